"""What a careful implementer of the same formats gets: integers between layers, wide sums, rounding to the nearest.

Integers go through layers with a block, and without one through those that only move, rectify or select them (Concat,
Split, ReLU, MAX pooling) wherever all bottoms have one format. All other layers compute in float on dequantized
bottoms, as software beside the hardware does, and the next layer with a block quantizes what it reads.

Outputs are limited as their format says: from -127 to 127 with thresholds at 8 bits, from -128 to 127 in Q.F.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xportdnn import scales
from xportdnn.arithmetic import Int64s
from xportdnn.errors import NetworkError
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, Net
from xportdnn.precision import Ristretto
from xportdnn.simulation import formats
from xportdnn.simulation.fake import Fake, heeded, passes_floats_on, rearranges, rectifies
from xportdnn.simulation.formats import Block, Fixed, Threshold, Whole
from xportdnn.simulation.held import Floats, Hardware, Held, Outcome, Quantized
from xportdnn.simulation.integer.jobs import Job, job
from xportdnn.simulation.integer.rules import RULES, converted
from xportdnn.simulation.moves import moved
from xportdnn.simulation.places import Problems, Warnings

_ROUNDING = "half away from zero"
_REMEDY = "simulate and evaluate them with --arithmetic fake, export them without --c_dir"


class Integer:
    """The arithmetic of `integer`.

    Attributes:
        jobs: layer index -> its weights in integers.
        clipped: layer index -> weights and biases beyond their format.
        warnings: none.
    """

    warnings: tuple[str, ...] = ()

    def __init__(
        self, net: Net, layers: Sequence[Layer], weights: Mapping[int, Arrays], blocks: Mapping[int, Block]
    ) -> None:
        """Quantize the weights.

        Raises:
            NetworkError: layers with formats that are no integers, or that do not fit into 64 bits.
        """
        self.net = net
        self.blocks = {layer.index: block for layer in layers if (block := heeded(layer, blocks)) is not None}
        self.jobs: dict[int, Job] = {}
        _check_formats(net, layers, self.blocks)
        problems = Problems(net)
        for layer in layers:
            block = self.blocks.get(layer.index)
            if block is None:
                continue
            with problems.of(layer):
                found = job(layer, weights.get(layer.index, ()), block)
                if found is not None:
                    self.jobs[layer.index] = found
        problems.check(f"layers that cannot be computed in integers; {_REMEDY}:")
        floating = [layer for layer in layers if layer.index not in self.jobs]
        self.fake = Fake(net, floating, weights, blocks)
        self.clipped = self.fake.clipped | {index: found.clipped for index, found in self.jobs.items()}

    def feed(self, array: Array, block: Block | None) -> Outcome:
        """An input of the network."""
        return _whole(self.fake.feed(array, block))

    def run(self, layer: Layer, bottoms: tuple[Held, ...]) -> Outcome:
        """One layer.

        Raises:
            LayerError: a sum that does not fit into 64 bits, or NaN or infinity in a float.
        """
        block = None if passes_floats_on(layer, [held.format for held in bottoms]) else self.blocks.get(layer.index)
        read, lost = _read(layer, bottoms, formats.whole_in(block))
        results, form = self._compute(layer, read, formats.whole_out(block))
        if form is None:
            outcome = _whole(self.fake.run(layer, read))
            return outcome._replace(read=read, saturated=outcome.saturated + lost)
        tops = tuple(Quantized(top, form) for top, _ in results)
        return Outcome(tops, read, lost + sum(cut for _, cut in results), in_place=isinstance(block, Ristretto))

    def hardware(self, layer: Layer) -> Hardware:
        """The integers of a layer with weights."""
        found = self.jobs.get(layer.index)
        if found is None:
            return Hardware({}, {"rounding": _ROUNDING})
        arrays = {"multiplier": found.requantization.factor, "bias": found.requantization.offset}
        if found.weights is not None:
            arrays = {"weights": found.weights, **arrays}
        facts = {
            "output": f"({'x' if found.weights is None else 'sum'} * multiplier + bias) / 2^shift",
            "shift": found.requantization.places,
            "rounding": _ROUNDING,
            "limits": list(found.requantization.out.limits),
        }
        return Hardware(arrays, facts)

    def _compute(
        self, layer: Layer, read: Sequence[Held], out: Whole | None
    ) -> tuple[Sequence[tuple[Int64s, int]], Whole | None]:
        """The tops with how many of their values were cut off, and their format; None if computed in float."""
        assert layer.kind is not None
        numbers = [held for index, held in enumerate(read) if scales.reads_numbers(layer, index)]
        source = _one_format(numbers)
        if source is None:
            return (), None
        arrays = [np.asarray(held.integers, np.int64) for held in numbers if isinstance(held, Quantized)]
        rectified = rectifies(self.net, layer)
        if found := self.jobs.get(layer.index):
            return [found.run(array, rectified) for array in arrays], found.requantization.out
        if out is None and not rearranges(layer):
            return (), None
        form = out or source
        if scales.copied(layer):
            others = [held.real for held in read[len(arrays) :]]
            moves = [np.asarray(top, np.int64) for top in moved(layer, [*arrays, *others])]
            return [converted(top, source, form, rectified) for top in moves], form
        if layer.kind.name in RULES and len(layer.tops) == 1:
            return [RULES[layer.kind.name](layer, arrays, source, form, rectified)], form
        return (), None


def _check_formats(net: Net, layers: Sequence[Layer], blocks: Mapping[int, Block]) -> None:
    """Stop at formats that have no integers, once for each of them.

    Raises:
        NetworkError: there are some.
    """
    unfit = Warnings()
    for layer in layers:
        if layer.index in blocks and (reason := _unfit(blocks[layer.index])):
            unfit.add(reason, layer)
    if unfit.found:
        raise NetworkError(f"{net.source.name}: formats that have no integers; {_REMEDY}:", unfit.sentences)


def _unfit(block: Block) -> str:
    """Why the block's formats are no integers; empty if they are."""
    if not isinstance(block, Ristretto):
        return ""
    if block.precision != "DYNAMIC_FIXED_POINT":
        return f"{block.precision} is no format of integers"
    return "rounding_scheme STOCHASTIC has no integer rule" if block.rounding_scheme == "STOCHASTIC" else ""


def _read(layer: Layer, bottoms: Sequence[Held], wanted: Whole | None) -> tuple[tuple[Held, ...], int]:
    """The bottoms in the format that the layer reads, and how many of their values were cut off for that."""
    lost = 0
    read: list[Held] = []
    for index, held in enumerate(bottoms):
        if wanted is not None and scales.reads_numbers(layer, index):
            integers, cut = _quantized(held, wanted)
            read.append(Quantized(integers, wanted))
            lost += cut
        else:
            read.append(held)
    return tuple(read), lost


def _quantized(held: Held, wanted: Whole) -> tuple[Int64s, int]:
    if isinstance(held, Quantized):
        return converted(np.asarray(held.integers, np.int64), held.format, wanted)
    lost = wanted.clipped(held.real)
    return wanted.quantize(held.real), lost


def _one_format(read: Sequence[Held]) -> Whole | None:
    """The format that all of them have; None if they have several, or one holds floats."""
    found = {held.format if isinstance(held, Quantized) else None for held in read}
    return found.pop() if len(found) == 1 else None


def _whole(outcome: Outcome) -> Outcome:
    """Floats in a format of integers as those integers."""
    return outcome._replace(tops=tuple(_as_integers(held) for held in outcome.tops))


def _as_integers(held: Held) -> Held:
    if isinstance(held, Floats) and isinstance(held.format, Threshold | Fixed):
        return Quantized(held.format.quantize(held.real), held.format)
    return held
