"""Biases corrected by what quantization shifts the mean of their channels (Nagel et al. 2019, arXiv:1906.04721).

Rounding is not even: the errors of a channel's weights and of what it reads add up to a mean error that is the same in
every place, and a bias can take it back. Layer by layer in order, with everything before quantized and corrected: the
mean of the float channel minus that of the quantized one, before it is brought into its output format. Where a ReLU
alone reads the channel, the places count at which it is above zero in one of the two: what lies below is all the same
behind the ReLU, and its error, often the larger part, says nothing of the rest. The network that comes out is meant to
be quantized; in float it is a little off.

In Xilinx mode the board keeps a bias in whole steps of its output, clipped at th_layer_out (xi_common_utils.hpp,
Trim2FixedPointBias_Offline). Here it is in whole steps as well, so that what that rounding costs is corrected
downstream, and a correction of less than half a step is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from xportdnn import execute, sequential
from xportdnn.arithmetic.rounding import half_away
from xportdnn.arithmetic.threshold import divisor, trim
from xportdnn.choices import Mode
from xportdnn.errors import CalibrationError
from xportdnn.folding.absorb import after, takes_from_behind
from xportdnn.folding.affine import Affine
from xportdnn.folding.wiring import wiring
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.opening import Opened
from xportdnn.precision import Precision
from xportdnn.shapes import axis_index
from xportdnn.simulation.fake import Fake, rectifies
from xportdnn.simulation.held import Held
from xportdnn.workers import Tick, crew

if TYPE_CHECKING:
    from xportdnn.folding.affine import Doubles

Feeds: TypeAlias = Mapping[Value, Array]


def as_held(blobs: Arrays, block: Precision | None) -> Arrays:
    """A layer's blobs with the bias as the board holds it: in whole steps of the output, clipped at th_layer_out."""
    grid = _grid(block)
    if grid is None or len(blobs) < 2:
        return blobs
    return (blobs[0], trim(blobs[1], np.float32(grid.th), grid.bits), *blobs[2:])


class _Grid(NamedTuple):
    """th_layer_out and bw_layer_out."""

    th: float
    bits: int


def _grid(block: Precision | None) -> _Grid | None:
    if block is None or block.mode is not Mode.XILINX or not block.th_params:
        return None
    return (
        None
        if block.th_layer_out is None or block.bw_layer_out is None
        else _Grid(block.th_layer_out, block.bw_layer_out)
    )


def corrected(
    opened: Opened,
    weights: Mapping[int, Arrays],
    blocks: Mapping[int, Precision],
    pictures: Sequence[Feeds],
    workers: int = 1,
    tick: Tick = lambda: None,
) -> dict[int, Arrays]:
    """The new blobs of the layers whose bias changes, by layer index; those without a bias get one.

    Args:
        weights: float arrays by layer index.
        blocks: the formats, by layer index.
        tick: called after every layer.

    Raises:
        CalibrationError: the pictures' blobs do not fit into the memory.
    """
    _check_memory(opened, len(pictures))
    sharing = wiring(opened.net).sharing
    wanted = {
        layer.index
        for layer in runnable(opened.net, opened.inputs)
        if takes_from_behind(layer) and len(layer.bottoms) == 1 and layer.index not in sharing
    }
    layers = [_with_bias(layer) if layer.index in wanted else layer for layer in runnable(opened.net, opened.inputs)]
    biased = {
        layer.index: _biased(layer, weights) if layer.index in wanted else weights[layer.index] for layer in layers
    }
    held = {index: as_held(blobs, blocks.get(index)) for index, blobs in biased.items()}
    fake = Fake(opened.net, layers, held, blocks)
    found: dict[int, Arrays] = {}

    def share(indices: Sequence[int]) -> _Share:
        return _Share(opened.net, layers, biased, fake.twin(), blocks, pictures, indices)

    with crew(share, len(pictures), workers, lambda: None) as shares:
        for position, layer in enumerate(layers):
            own, block = biased[layer.index], blocks.get(layer.index)
            if layer.index in wanted:
                shift = _mean([part for answer in shares.call(_Share.shifts, position) for part in answer.items()])
                change = _change(own[1], held[layer.index][1], shift, block)
                if change.any():
                    found[layer.index] = own = after(layer, own, Affine(np.ones_like(change), change))
                shares.call(_Share.settle, position, as_held(own, block)[1])
            else:
                shares.call(_Share.pass_on, position)
            tick()
    return found


def _with_bias(layer: Layer) -> Layer:
    return replace(layer, params=replace(layer.params, bias_term=True))


def _biased(layer: Layer, weights: Mapping[int, Arrays]) -> Arrays:
    """The layer's blobs, with zeros for a bias where it has none."""
    weight, *biases = weights[layer.index]
    return (weight, biases[0] if biases else np.zeros(layer.params.num_output, np.float32))


class _Shift(NamedTuple):
    """Of one picture: float minus quantized, summed over the places of each channel that count, and how many those are.

    Both (num_output,) float64.
    """

    total: Doubles
    places: Doubles


def _mean(shifts: Sequence[tuple[int, _Shift]]) -> Doubles:
    """The mean over all pictures, added up in their order."""
    in_order = [shift for _, shift in sorted(shifts, key=lambda each: each[0])]
    places = np.sum([shift.places for shift in in_order], axis=0)
    mean: Doubles = np.sum([shift.total for shift in in_order], axis=0) / np.maximum(places, 1)
    return mean


def _change(bias: Array, held: Array, shift: Doubles, block: Precision | None) -> Doubles:
    """What is added to the bias.

    Args:
        held: the bias as the board holds it.
        shift: (num_output,) float minus quantized mean.
    """
    grid = _grid(block)
    if grid is None:
        return shift
    step = float(divisor(grid.th, grid.bits))
    whole = half_away(shift / step) * step
    return np.where(whole != 0, whole + (held.astype(np.float64) - bias), 0.0)


class _Share:
    """Some of the pictures, each with the blobs that later layers read, in float and quantized."""

    def __init__(
        self,
        net: Net,
        layers: Sequence[Layer],
        weights: Mapping[int, Arrays],
        fake: Fake,
        blocks: Mapping[int, Precision],
        pictures: Sequence[Feeds],
        indices: Sequence[int],
    ) -> None:
        """
        Args:
            layers: those that run; the methods take positions among them.
            weights: float arrays by layer index.
            fake: with the biases that the board holds.
        """
        self.net, self.layers, self.weights, self.fake, self.blocks = net, layers, weights, fake, blocks
        self.indices = indices
        self.position = indices[0]
        self.tick: Tick = lambda: None
        self.pending = Counter(value for layer in layers for value in set(layer.bottoms))
        self.floats: dict[int, dict[Value, Array]] = {index: dict(pictures[index]) for index in indices}
        self.held: dict[int, dict[Value, Held]] = {
            index: {
                value: fake.feed(np.asarray(array, np.float32), blocks.get(value.writer)).tops[0]
                for value, array in floats.items()
            }
            for index, floats in self.floats.items()
        }

    def pass_on(self, position: int) -> None:
        """Run a layer that is not corrected."""
        layer = self.layers[position]
        for at in self.indices:
            self._keep(layer, at, self._floats(layer, at), self._quantized(layer, at))
        self._release(layer)

    def shifts(self, position: int) -> dict[int, _Shift]:
        """Picture -> what quantization does to the channels' means, before the output format."""
        layer = self.layers[position]
        block = self.blocks.get(layer.index)
        if block is not None:
            self.fake.reformat(layer, replace(block, th_layer_out=None))
        rectified = rectifies(self.net, layer)
        found: dict[int, _Shift] = {}
        for at in self.indices:
            floats, quantized = self._floats(layer, at), self._quantized(layer, at)
            found[at] = _shift(layer, floats[0], quantized[0].real, rectified)
            self.floats[at] |= zip(layer.tops, floats, strict=True)
        if block is not None:
            self.fake.reformat(layer, block)
        return found

    def settle(self, position: int, bias: Array) -> None:
        """Run a layer whose shift was asked for, with its new bias."""
        layer = self.layers[position]
        prepared = self.fake.prepared[layer.index]
        self.fake.prepared[layer.index] = prepared._replace(blobs=(prepared.blobs[0], bias))
        for at in self.indices:
            self._keep(layer, at, (self.floats[at][layer.tops[0]],), self._quantized(layer, at))
        self._release(layer)

    def _floats(self, layer: Layer, at: int) -> Arrays:
        bottoms = tuple(self.floats[at][value] for value in layer.bottoms)
        return execute.forward(self.net, layer, bottoms, self.weights.get(layer.index, ()))

    def _quantized(self, layer: Layer, at: int) -> tuple[Held, ...]:
        self.position = at
        return self.fake.run(layer, tuple(self.held[at][value] for value in layer.bottoms)).tops

    def _keep(self, layer: Layer, at: int, floats: Arrays, held: tuple[Held, ...]) -> None:
        self.floats[at] |= zip(layer.tops, floats, strict=True)
        self.held[at] |= zip(layer.tops, held, strict=True)

    def _release(self, layer: Layer) -> None:
        """Drop what no later layer reads."""
        self.pending.subtract(set(layer.bottoms))
        for value in {*layer.bottoms, *layer.tops}:
            if not self.pending[value]:
                for at in self.indices:
                    self.floats[at].pop(value, None)
                    self.held[at].pop(value, None)


def _shift(layer: Layer, signal: Array, quantized: Array, rectified: bool) -> _Shift:
    """What quantization does to the channels of one picture.

    Args:
        rectified: whether only places count where one of both is above zero.
    """
    axis = axis_index(signal.shape, layer.params.axis)
    one, two = (np.moveaxis(each, axis, 0).reshape(each.shape[axis], -1) for each in (signal, quantized))
    counts = (one > 0) | (two > 0) if rectified else np.ones(one.shape, np.bool_)
    difference = np.subtract(one, two, dtype=np.float64)
    return _Shift(difference.sum(axis=1, where=counts), counts.sum(axis=1, dtype=np.float64))


def _check_memory(opened: Opened, count: int) -> None:
    each = 2 * sequential.peak_bytes(opened.net, opened.shapes, list(opened.inputs))
    available = sequential.available_bytes()
    if available is not None and each * count > available:
        raise CalibrationError(
            f"bias correction keeps the blobs of all pictures in memory: {count} need about {each * count / 2**30:.1f} "
            f"GiB and {available / 2**30:.1f} GiB are free; use a smaller --calibration_size"
        )
