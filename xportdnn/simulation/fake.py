"""Quantized numbers, float arithmetic: what Ristretto does, and what Xilinx calls S/W in its tables.

A layer with a block reads its bottoms and weights in the block's formats, computes by the reference rule, and its tops
are brought into the format that it writes. What the block says nothing of stays float, so a layer without one computes
in float altogether. The blocks of layers that only rectify or move numbers (ReLU, Concat) repeat those of their
producers; where these compute in float, as InnerProduct and PriorBox do, such a block quantizes nothing.

Of Ristretto's own block only layers of its own types (`ConvolutionRistretto`) take notice, as in Ristretto. They trim
their bottoms in the bottoms' memory: whoever reads the blob later, also through Split, Reshape and Flatten, which share
memory in Caffe, sees trimmed numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import NamedTuple

from xportdnn import execute, scales
from xportdnn.layers import Array, Arrays
from xportdnn.network import Layer, Net
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation import formats as form
from xportdnn.simulation.formats import Block, Format
from xportdnn.simulation.held import Floats, Hardware, Held, Outcome
from xportdnn.simulation.places import Problems
from xportdnn.simulation.trimmed import trimmed


class Prepared(NamedTuple):
    """What a layer reads, multiplies with and writes; None: float."""

    layer_in: Format | None
    layer_out: Format | None
    blobs: Arrays
    in_place: bool = False


class Turn(NamedTuple):
    """What is done to the numbers at a layer; it follows from the formats alone, before there are any.

    Attributes:
        reads: the formats that its bottoms are brought into first; None: read as they are.
        writes: the formats that its tops are brought into at last; None: left as they are.
        tops: the formats that the tops have in the end; None: float.
    """

    reads: tuple[Format | None, ...]
    writes: tuple[Format | None, ...]
    tops: tuple[Format | None, ...]


class Fake:
    """The arithmetic of `fake`.

    Attributes:
        clipped: layer index -> weights and biases beyond their format.
        warnings: none.
    """

    warnings: tuple[str, ...] = ()

    def __init__(
        self,
        net: Net,
        layers: Sequence[Layer],
        weights: Mapping[int, Arrays],
        formats: Mapping[int, Block],
        as_ristretto: bool = False,
    ) -> None:
        """Quantize the weights.

        Args:
            layers: those that will run.
            formats: the blocks, by layer index.
            as_ristretto: with the defects of Ristretto's CPU code.

        Raises:
            NetworkError: layers whose weights do not fit their blocks.
        """
        self.net = net
        self.clipped: dict[int, int] = {}
        self.prepared: dict[int, Prepared] = {}
        unfit = Problems(net)
        for layer in layers:
            blobs = weights.get(layer.index, ())
            block = heeded(layer, formats)
            if block is None:
                self.prepared[layer.index] = Prepared(None, None, blobs)
                continue
            rounding = form.rounding_of(block, layer.index)
            layer_in, layer_out = (side(block, rounding, as_ristretto) for side in (form.layer_in, form.layer_out))
            with unfit.of(layer):
                parameters = trimmed(layer, blobs, block, rounding, as_ristretto)
                self.clipped[layer.index] = parameters.clipped
                in_place = isinstance(block, Ristretto)
                self.prepared[layer.index] = Prepared(layer_in, layer_out, parameters.blobs, in_place)
        unfit.check("weights that do not fit their formats:")

    def twin(self) -> Fake:
        """The same weights, with formats of activations that can be changed apart."""
        other = copy(self)
        other.prepared = dict(self.prepared)
        return other

    def reformat(self, layer: Layer, block: Precision) -> None:
        """Other formats for what a layer reads and writes; its weights stay as they are."""
        if layer.index in self.prepared:
            rounding = form.rounding_of(block, layer.index)
            self.prepared[layer.index] = self.prepared[layer.index]._replace(
                layer_in=form.layer_in(block, rounding), layer_out=form.layer_out(block, rounding)
            )

    def feed(self, array: Array, block: Block | None) -> Outcome:
        """An input of the network."""
        layer_out = form.layer_out(block) if block is not None else None
        top, saturated = _quantized(Floats(array, fed=True), layer_out, False)
        return Outcome((top,), saturated=saturated)

    def turn(self, layer: Layer, known: Sequence[Format | None]) -> Turn:
        """What is done at a layer.

        Args:
            known: the formats that its bottoms have.
        """
        layer_in, layer_out, *_ = self.prepared[layer.index]
        if passes_floats_on(layer, known):
            layer_in = layer_out = None
        wanted = [layer_in if scales.reads_numbers(layer, index) else None for index in range(len(known))]
        reads, read = _brought(known, wanted)
        moved = _shared(layer, read) if rearranges(layer) else None
        wanted = [layer_out if index in quantities(layer) else None for index in range(len(layer.tops))]
        return Turn(reads, *_brought([moved] * len(wanted), wanted))

    def run(self, layer: Layer, bottoms: tuple[Held, ...]) -> Outcome:
        """One layer.

        Raises:
            LayerError: NaN or infinity where numbers are quantized.
        """
        own, turn = self.prepared[layer.index], self.turn(layer, [held.format for held in bottoms])
        floats = [held if isinstance(held, Floats) else Floats(held.real, held.format) for held in bottoms]
        read = [_quantized(held, wanted, False) for held, wanted in zip(floats, turn.reads, strict=True)]
        arrays = execute.forward(self.net, layer, tuple(held.real for held, _ in read), own.blobs)
        rectified = rectifies(self.net, layer)
        written = [
            _quantized(Floats(array), wanted, rectified) for array, wanted in zip(arrays, turn.writes, strict=True)
        ]
        tops = tuple(replace(held, format=known) for (held, _), known in zip(written, turn.tops, strict=True))
        lost = sum(cut for _, cut in (*read, *written))
        return Outcome(tops, tuple(held for held, _ in read), lost, in_place=own.in_place)

    def hardware(self, layer: Layer) -> Hardware:
        """Nothing: these are no numbers of hardware."""
        return Hardware({}, {})


def heeded(layer: Layer, formats: Mapping[int, Block]) -> Block | None:
    """The layer's block, if the layer takes notice of it."""
    block = formats.get(layer.index)
    return None if isinstance(block, Ristretto) and not layer.type.endswith("Ristretto") else block


def passes_floats_on(layer: Layer, known: Sequence[Format | None]) -> bool:
    """Whether the layer only rectifies or moves numbers, and none of them is quantized.

    Args:
        known: the formats of its bottoms.
    """
    return scales.repeats(layer) and all(each is None for each in known)


def quantities(layer: Layer) -> range:
    """Which tops hold numbers to quantize: the mask of a MAX pooling does not."""
    assert layer.kind is not None
    return range(1 if layer.kind.name == "Pooling" else len(layer.tops))


def rectifies(net: Net, layer: Layer) -> bool:
    """Whether a ReLU, the only reader of the layer's tops, makes everything below zero equal."""
    readers = [reader for value in layer.tops for reader in net.readers.get(value, ())]
    return bool(readers) and all(
        reader.kind is not None and reader.kind.name == "ReLU" and not reader.params.negative_slope
        for reader in readers
    )


def rearranges(layer: Layer) -> bool:
    """Whether the tops hold numbers of the bottoms and zeros only."""
    assert layer.kind is not None
    if layer.kind.name == "ReLU":
        return not layer.params.negative_slope
    return scales.copied(layer) or (layer.kind.name == "Pooling" and layer.params.pool == "MAX")


def _brought(
    known: Sequence[Format | None], wanted: Sequence[Format | None]
) -> tuple[tuple[Format | None, ...], tuple[Format | None, ...]]:
    """Where numbers of known formats must change to have the wanted ones, and the formats they have then."""
    pairs = list(zip(known, wanted, strict=True))
    return tuple(new if new != old else None for old, new in pairs), tuple(new or old for old, new in pairs)


def _shared(layer: Layer, read: Sequence[Format | None]) -> Format | None:
    """The format that all bottoms have."""
    found = {each for index, each in enumerate(read) if scales.reads_numbers(layer, index)}
    return found.pop() if len(found) == 1 else None


def _quantized(held: Floats, wanted: Format | None, rectified: bool) -> tuple[Floats, int]:
    """The numbers in a format, and how many were beyond its range; None: as they are."""
    if wanted is None:
        return held, 0
    real = held.real.copy()
    lost = form.bring(wanted, real, rectified)
    return Floats(real, wanted, held.fed), lost
