"""A Convolution's weights as CHaiDNN stores them, BatchNorm and Scale worked in where they follow (xtract_opt.cpp,
fuseBNScaleConvParams).

In Xilinx mode the fusing throws the Convolution's th_params away for the largest weight of every fused filter, and
takes bw_layer_out and th_layer_out of the Scale, the threshold through a variable of type int: 5.5 becomes 5, and what
is below 1 becomes 0. In DynamicFixed mode it takes the Scale's output format, and for the weights as many fractional
bits as `bw_params - (ceil(|log2(max)|) + 1)` says. The fused weights are computed in float32; how the board's host
rounds in between is not recorded, which may move a weight at a tie by one step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from xportdnn.arithmetic.board import weights as host
from xportdnn.arithmetic.board.weights import Stored
from xportdnn.choices import Mode, Triple
from xportdnn.errors import LayerError
from xportdnn.kernels import along
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation.formats import Block, Fixed, Threshold, Whole
from xportdnn.simulation.trimmed import moments, thresholds

_NEEDED = {
    Mode.XILINX: ("bw_layer_in", "bw_layer_out", "bw_params", "th_layer_in", "th_layer_out", "th_params"),
    Mode.DYNAMIC_FIXED: ("bw_layer_in", "bw_layer_out", "bw_params", "fl_layer_in", "fl_layer_out", "fl_params"),
}
_WRITTEN = {Mode.XILINX: ("bw_layer_out", "th_layer_out"), Mode.DYNAMIC_FIXED: ("bw_layer_out", "fl_layer_out")}


@dataclass(frozen=True)
class Prepared:
    """A convolution's floats, and the formats in which the board is going to store them.

    Attributes:
        weight: (num_output, channels / group, *kernel).
        bias: (num_output,), zeros where the layer has none.
        precision: complete; what the Scale says of the output, where one is worked in.
        th_params: (num_output,); none in DynamicFixed mode.
        truncated: the th_layer_out of which only the whole part was kept; None where nothing was lost.
    """

    weight: Array
    bias: Array
    precision: Precision
    th_params: Array | None = None
    truncated: float | None = None

    @property
    def bits(self) -> Triple:
        widths = (self.precision.bw_layer_in, self.precision.bw_params, self.precision.bw_layer_out)
        return Triple(*(width for width in widths if width is not None))

    @property
    def fl(self) -> Triple:
        """Empty of meaning in Xilinx mode."""
        lengths = (self.precision.fl_layer_in, self.precision.fl_params, self.precision.fl_layer_out)
        return Triple(*(length or 0 for length in lengths))


@dataclass(frozen=True)
class Convolution:
    """A convolution as the board has it.

    Attributes:
        truncated: as in `Prepared`.
    """

    stored: Stored
    mode: Mode
    bits: Triple
    fl_params: int
    layer_in: Whole
    layer_out: Whole
    truncated: float | None = None


def of_board(block: Block | None) -> Precision | None:
    """A block as the board's parser reads it: that of Ristretto's dynamic fixed point, too.

    Raises:
        LayerError: it is Ristretto's for another format.
    """
    if not isinstance(block, Ristretto):
        return block
    if block.precision != "DYNAMIC_FIXED_POINT":
        raise LayerError(f"{block.precision} is no format of the board")
    names = _NEEDED[Mode.DYNAMIC_FIXED]
    return Precision(**{name: getattr(block, name) for name in names})


def alone(layer: Layer, blobs: Arrays, block: Block | None) -> Prepared:
    """A Convolution by itself.

    Raises:
        LayerError: its block is missing or incomplete.
    """
    precision = _complete(of_board(block), _NEEDED)
    bias = blobs[1] if len(blobs) > 1 else np.zeros(layer.params.num_output, np.float32)
    if precision.mode is Mode.XILINX:
        return Prepared(blobs[0], bias, precision, thresholds(layer, blobs[0], precision))
    return Prepared(blobs[0], bias, precision)


def fused(blobs: Sequence[Arrays], eps: float, block: Block | None, written: Block | None) -> Prepared:
    """A Convolution with the BatchNorm and Scale behind it.

    Args:
        blobs: of the three layers.
        eps: the BatchNorm's.
        block: the Convolution's.
        written: the Scale's.

    Raises:
        LayerError: a block is missing or incomplete, or there is no number to store.
    """
    precision = _complete(of_board(block), _NEEDED)
    output = _complete(of_board(written), _WRITTEN, "its Scale ")
    if output.mode is not precision.mode:
        raise LayerError(
            f"is in {precision.mode.value} mode, its Scale in {output.mode.value}; convert the network again"
        )
    weight, bias = worked_in(eps, *blobs)
    if precision.mode is Mode.XILINX:
        return _fused_xilinx(weight, bias, precision, output)
    peak = float(np.abs(weight).max(initial=0))
    if not peak:
        raise LayerError("all its weights are 0 with BatchNorm and Scale worked in; the board takes their logarithm")
    assert precision.bw_params is not None
    fl_params = fused_fl_params(precision.bw_params, peak)
    bits, fl = output.bw_layer_out, output.fl_layer_out
    return Prepared(weight, bias, replace(precision, bw_layer_out=bits, fl_layer_out=fl, fl_params=fl_params))


def fused_fl_params(bw_params: int, peak: float) -> int:
    """The fractional bits of fused weights in DynamicFixed mode; peak: the largest |weight|, above 0."""
    return bw_params - (math.ceil(abs(math.log2(peak))) + 1)


def _fused_xilinx(weight: Array, bias: Array, precision: Precision, output: Precision) -> Prepared:
    assert output.th_layer_out is not None
    whole = float(math.trunc(output.th_layer_out))
    if whole < 1:
        raise LayerError(
            f"the th_layer_out {output.th_layer_out:g} of its Scale becomes 0 on the board, which keeps it in an int "
            "and divides by it; work BatchNorm and Scale into the weights before the conversion"
        )
    rows = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    written = replace(precision, bw_layer_out=output.bw_layer_out, th_layer_out=whole)
    return Prepared(weight, bias, written, rows, output.th_layer_out if whole != output.th_layer_out else None)


def gains(eps: float, batch_norm: Arrays, scale: Arrays) -> Array:
    """(num_output,): gamma / sqrt(variance + eps), what the weights of every channel are multiplied by.

    Raises:
        LayerError: a variance is so far below 0 that there is none.
    """
    _, variance = moments(batch_norm)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = scale[0] / np.sqrt(variance + np.float32(eps))
    if not np.isfinite(factor).all():
        raise LayerError("the variances of its BatchNorm and eps together are not all above 0; check the weights")
    return np.asarray(factor, np.float32)


def worked_in(eps: float, conv: Arrays, batch_norm: Arrays, scale: Arrays) -> tuple[Array, Array]:
    """weights * S and S * (bias - mean) + beta with S = gamma / sqrt(variance + eps)."""
    mean, _ = moments(batch_norm)
    factor = gains(eps, batch_norm, scale)
    bias = conv[1] if len(conv) > 1 else np.zeros_like(mean)
    beta = scale[1] if len(scale) > 1 else np.zeros_like(mean)
    return np.asarray(conv[0] * along(factor, 0, conv[0].ndim), np.float32), np.asarray(factor * (bias - mean) + beta)


def store(prepared: Prepared) -> Convolution:
    """As the host stores it.

    Raises:
        LayerError: the board cannot store its numbers.
    """
    weight, bias, bits, precision = prepared.weight, prepared.bias, prepared.bits, prepared.precision
    if prepared.th_params is None:
        fl = prepared.fl
        stored = host.dynamic_fixed(weight, bias, bits, fl)
        sides = Fixed(fl.layer_in, bits.layer_in), Fixed(fl.layer_out, bits.layer_out)
        return Convolution(stored, Mode.DYNAMIC_FIXED, bits, fl.params, *sides)
    th_in, th_out = precision.th_layer_in, precision.th_layer_out
    assert th_in is not None
    assert th_out is not None
    stored = host.xilinx(weight, bias, bits, th_in, prepared.th_params, th_out)
    limits = Threshold(th_in, bits.layer_in), Threshold(th_out, bits.layer_out)
    return Convolution(stored, Mode.XILINX, bits, 0, *limits, prepared.truncated)


def _complete(block: Precision | None, needed: Mapping[Mode, tuple[str, ...]], whose: str = "") -> Precision:
    if block is None:
        raise LayerError(
            f"{whose}has no precision_param; the board would take its own defaults for it (DynamicFixed, 6 bits); "
            "convert the network"
        )
    missing = [name for name in needed[block.mode] if getattr(block, name) in (None, ())]
    if missing:
        raise LayerError(
            f"{whose}has no {', '.join(missing)} in its precision_param; the board would take its own defaults; "
            "convert the network again"
        )
    return block
