"""The convolutions of a quantized network as the board will hold them, for the rules about their numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from xportdnn.arithmetic import threshold
from xportdnn.arithmetic.board.weights import Stored
from xportdnn.check.reading import Reading, fusion, readings
from xportdnn.check.signs import nonnegative
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.choices import Mode
from xportdnn.decode import decode
from xportdnn.errors import LayerError
from xportdnn.layers import Array
from xportdnn.lazy import np
from xportdnn.network import Layer
from xportdnn.precision import Precision
from xportdnn.simulation.board.geometry import check_fused
from xportdnn.simulation.board.weights import Prepared, alone, fused, store

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEEPEST = 126  # 2**fl beyond this is no normal float32
_DEAD = 0.01  # weights below this part of a layer's largest are those of filters that training has given up


@dataclass(frozen=True)
class BoardConvolution:
    """A Convolution with weights and a complete block.

    Attributes:
        board: as the board reads it.
        layer: as Caffe reads it.
        reading: its block.
        output: the block with the output's format, that of its Scale where one is worked in.
        negative: whether what it reads can be below 0.
    """

    board: BoardLayer
    layer: Layer
    reading: Reading
    output: Reading
    prepared: Prepared
    negative: bool

    @property
    def mode(self) -> Mode:
        return self.prepared.precision.mode

    @property
    def is_fused(self) -> bool:
        """Whether BatchNorm and Scale are worked in."""
        return self.output is not self.reading

    @cached_property
    def stored(self) -> Stored | None:
        """What the host stores; None where it cannot, of which the rules about multipliers and shifts speak."""
        try:
            return store(self.prepared).stored
        except LayerError:
            return None

    @cached_property
    def peaks(self) -> Array:
        """(num_output,): the largest magnitude among the weights of each channel."""
        rows: Array = np.abs(self.prepared.weight).reshape(len(self.prepared.weight), -1).max(axis=1, initial=0)
        return rows

    @property
    def step(self) -> float:
        """What one unit of the output stands for."""
        precision, bits = self.prepared.precision, self.prepared.bits.layer_out
        if precision.th_layer_out is not None and self.mode is Mode.XILINX:
            return float(threshold.step(precision.th_layer_out, bits))
        return math.ldexp(1, -self.prepared.fl.layer_out)

    @property
    def alive(self) -> NDArray[np.bool_]:
        """(num_output,): which channels have weights that matter beside those of the others."""
        return np.asarray(self.peaks > _DEAD * self.peaks.max(initial=0))

    def start(self, name: str) -> int:
        """Where a field stands, those of the output in the block that the board takes them from."""
        number = (self.output if name.endswith("_out") else self.reading).one(name)
        return -1 if number is None else number.start


@lru_cache(maxsize=1)
def convolutions(subject: Subject) -> tuple[BoardConvolution, ...]:
    """Every Convolution whose numbers can be known, in file order."""
    if subject.net is None or not subject.weights:
        return ()
    read = {reading.layer.index: reading for reading in readings(subject)}
    return tuple(_found(subject, read))


def _found(subject: Subject, read: Mapping[int, Reading]) -> Iterator[BoardConvolution]:
    assert subject.net is not None
    normalised, positive = fusion(subject).normalised, nonnegative(subject.net)
    for index, layer in subject.caffe_layers.items():
        if layer.kind is None or layer.kind.name != "Convolution" or layer.index not in subject.weights:
            continue
        batch_norm, scale = normalised.get(layer.index, (None, None))
        reading = read.get(index)
        output = reading if scale is None else read.get(subject.board_layers[scale.index].index)
        if reading is None or output is None:
            continue
        try:
            block = _precision(reading)
            if batch_norm is None or scale is None:
                prepared = alone(layer, subject.weights[layer.index], block)
            else:
                check_fused(batch_norm, scale)
                blobs = [subject.weights[each.index] for each in (layer, batch_norm, scale)]
                prepared = fused(blobs, batch_norm.params.eps, block, _precision(output))
        except LayerError:
            continue  # blocks that are incomplete or contradict themselves have rules of their own
        if _usable(prepared) and not (_is_depthwise(layer) and prepared.th_params is not None):
            negative = layer.bottoms[0] not in positive
            yield BoardConvolution(subject.layers[index], layer, reading, output, prepared, negative)


def _is_depthwise(layer: Layer) -> bool:
    """Whether it is, of which the board makes other numbers in Xilinx mode than its thresholds say."""
    return bool(layer.params.group > 2 and layer.params.group == layer.params.num_output)


def _usable(prepared: Prepared) -> bool:
    """Whether weights and thresholds are numbers to compute with; those that are not have rules of their own."""
    found: list[Array] = [prepared.weight, prepared.bias]
    if prepared.th_params is None:
        if max(map(abs, prepared.fl)) > _STEEPEST:
            return False
    else:
        sides = np.array([prepared.precision.th_layer_in, prepared.precision.th_layer_out], np.float32)
        if not (sides > 0).all() or (prepared.th_params < 0).any():
            return False
        found += [sides, prepared.th_params]
    return all(bool(np.isfinite(array).all()) for array in found)


def _precision(reading: Reading) -> Precision:
    """The block as values.

    Raises:
        LayerError: there is none that the parser reads in the mode that its fields are of.
    """
    block = reading.layer.block
    if block is None or reading.mode is None:
        raise LayerError("has no block that can be read")
    precision = decode(block, Precision)
    if precision.mode is not reading.mode:
        raise LayerError("has fields of the other mode")
    return precision
