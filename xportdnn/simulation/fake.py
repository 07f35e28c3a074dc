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
from typing import NamedTuple

from xportdnn import execute, scales
from xportdnn.layers import Array, Arrays
from xportdnn.network import Layer, Net
from xportdnn.precision import Ristretto
from xportdnn.simulation import formats as form
from xportdnn.simulation.formats import Block, Format
from xportdnn.simulation.held import Floats, Hardware, Held, Outcome
from xportdnn.simulation.places import Problems
from xportdnn.simulation.trimmed import trimmed


class _Prepared(NamedTuple):
    """What a layer reads, multiplies with and writes; None: float."""

    layer_in: Format | None
    layer_out: Format | None
    blobs: Arrays
    in_place: bool = False


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
        self.prepared: dict[int, _Prepared] = {}
        unfit = Problems(net)
        for layer in layers:
            blobs = weights.get(layer.index, ())
            block = heeded(layer, formats)
            if block is None:
                self.prepared[layer.index] = _Prepared(None, None, blobs)
                continue
            rounding = form.rounding_of(block, layer.index)
            layer_in, layer_out = (side(block, rounding, as_ristretto) for side in (form.layer_in, form.layer_out))
            with unfit.of(layer):
                parameters = trimmed(layer, blobs, block, rounding, as_ristretto)
                self.clipped[layer.index] = parameters.clipped
                in_place = isinstance(block, Ristretto)
                self.prepared[layer.index] = _Prepared(layer_in, layer_out, parameters.blobs, in_place)
        unfit.check("weights that do not fit their formats:")

    def feed(self, array: Array, block: Block | None) -> Outcome:
        """An input of the network."""
        layer_out = form.layer_out(block) if block is not None else None
        top, saturated = _quantized(Floats(array, fed=True), layer_out, False)
        return Outcome((top,), saturated=saturated)

    def run(self, layer: Layer, bottoms: tuple[Held, ...]) -> Outcome:
        """One layer.

        Raises:
            LayerError: NaN or infinity where numbers are quantized.
        """
        own = self.prepared[layer.index]
        if passes_floats_on(layer, bottoms):
            own = _Prepared(None, None, own.blobs)
        read, lost = self._read(layer, bottoms, own.layer_in)
        arrays = execute.forward(self.net, layer, tuple(held.real for held in read), own.blobs)
        known = _shared(layer, read) if rearranges(layer) else None
        tops: list[Floats] = []
        rectified = rectifies(self.net, layer)
        for index, array in enumerate(arrays):
            top = Floats(array, known)
            if index in quantities(layer):
                top, cut = _quantized(top, own.layer_out, rectified)
                lost += cut
            tops.append(top)
        return Outcome(tuple(tops), read, lost, in_place=own.in_place)

    def hardware(self, layer: Layer) -> Hardware:
        """Nothing: these are no numbers of hardware."""
        return Hardware({}, {})

    def _read(self, layer: Layer, bottoms: Sequence[Held], layer_in: Format | None) -> tuple[tuple[Floats, ...], int]:
        lost = 0
        read: list[Floats] = []
        for index, held in enumerate(bottoms):
            bottom = held if isinstance(held, Floats) else Floats(held.real, held.format)
            if reads_numbers(layer, index):
                bottom, cut = _quantized(bottom, layer_in, False)
                lost += cut
            read.append(bottom)
        return tuple(read), lost


def heeded(layer: Layer, formats: Mapping[int, Block]) -> Block | None:
    """The layer's block, if the layer takes notice of it."""
    block = formats.get(layer.index)
    return None if isinstance(block, Ristretto) and not layer.type.endswith("Ristretto") else block


def passes_floats_on(layer: Layer, bottoms: Sequence[Held]) -> bool:
    """Whether the layer only rectifies or moves numbers, and none of them is quantized."""
    return scales.repeats(layer) and all(isinstance(held, Floats) and held.format is None for held in bottoms)


def quantities(layer: Layer) -> range:
    """Which tops hold numbers to quantize: the mask of a MAX pooling does not."""
    assert layer.kind is not None
    return range(1 if layer.kind.name == "Pooling" else len(layer.tops))


def reads_numbers(layer: Layer, index: int) -> bool:
    """Whether a bottom holds numbers that count, and not only a size or an order."""
    assert layer.kind is not None
    return index == 0 or layer.kind.ties != "first"


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


def _shared(layer: Layer, read: Sequence[Floats]) -> Format | None:
    """The format that all bottoms have."""
    found = {held.format for index, held in enumerate(read) if reads_numbers(layer, index)}
    return found.pop() if len(found) == 1 else None


def _quantized(held: Floats, wanted: Format | None, rectified: bool) -> tuple[Floats, int]:
    """The numbers in a format, and how many were beyond its range."""
    if wanted is None or held.format == wanted:
        return held, 0
    lost = wanted.clipped(held.real, rectified)
    return Floats(wanted.trim(held.real), wanted, held.fed), lost
