"""A convolution's floats as the host stores them for the kernel (CHaiDNN software/init: convInit, loadConvWgtsTXT,
loadConvBiasTXT; xi_common_utils.hpp)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xportdnn.arithmetic import qformat, threshold, twos_complement
from xportdnn.arithmetic.board.saturations import Saturations
from xportdnn.arithmetic.rounding import half_away
from xportdnn.choices import BOARD_WIDTHS, Triple
from xportdnn.errors import LayerError
from xportdnn.kernels import along
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from xportdnn.arithmetic import Int8s
    from xportdnn.layers import Array

# where the kernel's output stage keeps the binary point in Xilinx mode: QUANT_PREC_SHIFT in hw_settings.h
XILINX_SHIFT = 22
_BIAS_FRACTION = 8


@dataclass(frozen=True)
class Stored:
    """What the kernel reads of a convolution.

    Attributes:
        weights: (num_output, channels / group, *kernel).
        bias: (num_output,) int16; in Xilinx mode with 8 fractional bits of an output step, in DynamicFixed with
            fl_layer_in + fl_params fractional bits.
        scale: (num_output,) uint32 with 22 fractional bits; None in DynamicFixed mode, which has no factors.
        shift: right shift from sum to output.
        six: whether the kernel runs in 6-bit mode; bw_layer_in decides that alone, for the output too.
        saturations: of weights, biases and factors.
    """

    weights: Int8s
    bias: NDArray[np.int16]
    scale: NDArray[np.uint32] | None
    shift: int
    six: bool
    saturations: Saturations

    @property
    def terms(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Factor and addend of the output stage for each output channel, as 32-bit words."""
        bias = self.bias.astype(np.int32)
        if self.scale is None:
            return np.ones(bias.shape, np.uint32), bias.view(np.uint32)
        addend = bias << (self.shift - _BIAS_FRACTION)
        return self.scale & np.uint32(0xFFFFFF), addend.view(np.uint32)


def xilinx(
    weight: Array, bias: Array, bits: Triple, th_layer_in: float, th_params: ArrayLike, th_layer_out: float
) -> Stored:
    """Quantization by thresholds.

    Args:
        weight: (num_output, channels / group, *kernel), float32.
        bias: (num_output,), zeros where the layer has none.
        th_params: (num_output,).

    Raises:
        LayerError: a width is neither 6 nor 8, th_layer_out is not positive, or a factor does not fit into 32 bits.
    """
    _check_widths(bits)
    if not th_layer_out > 0:
        raise LayerError(f"th_layer_out is {th_layer_out:g}, the board divides by it; give a positive threshold")
    rows = along(np.asarray(th_params, np.float32), 0, weight.ndim)
    weights = threshold.quantize(weight, rows, bits.params)
    whole_bias = threshold.quantize(bias, th_layer_out, bits.layer_out)
    scale = _scale(bits, th_layer_in, th_params, th_layer_out)
    return Stored(
        weights.astype(np.int8),
        (whole_bias << _BIAS_FRACTION).astype(np.int16),
        scale,
        XILINX_SHIFT,
        bits.layer_in == 6,
        Saturations(
            weights=int(np.count_nonzero(threshold.clips(weight, rows))),
            biases=int(np.count_nonzero(threshold.clips(bias, th_layer_out))),
            factors=int(np.count_nonzero(scale >> 24)),
        ),
    )


def factors(bits: Triple, th_layer_in: float, th_params: ArrayLike, th_layer_out: float) -> Array:
    """step_params * step_in / step_out for each output channel, every operation rounded to float32."""
    product = threshold.step(th_params, bits.params) * threshold.step(th_layer_in, bits.layer_in)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return np.asarray(product / threshold.step(th_layer_out, bits.layer_out), np.float32)


def _scale(bits: Triple, th_layer_in: float, th_params: ArrayLike, th_layer_out: float) -> NDArray[np.uint32]:
    """The factors with 22 fractional bits."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.ldexp(factors(bits, th_layer_in, th_params, th_layer_out), XILINX_SHIFT)
        scale = half_away(scaled.astype(np.float64))
    largest = float(scale.max(initial=0))
    if not largest < 1 << 32:
        raise LayerError(
            f"th_layer_in {th_layer_in:g} times a th_params over th_layer_out {th_layer_out:g} needs a factor of "
            f"{math.ldexp(largest, -XILINX_SHIFT):.3g}, the board stores less than 1024; raise th_layer_out"
        )
    return scale.astype(np.uint32)


def dynamic_fixed(weight: Array, bias: Array, bits: Triple, fl: Triple) -> Stored:
    """Quantization to Q.F formats.

    A negative fl_params, a negative shift in C, stores zero weights in the code that was run.

    Args:
        weight: (num_output, channels / group, *kernel), float32.
        bias: (num_output,), zeros where the layer has none.

    Raises:
        LayerError: a width is neither 6 nor 8, or the output shift is not 1 to 31.
    """
    _check_widths(bits)
    shift = fl.layer_in + fl.params - fl.layer_out
    if not 1 <= shift <= 31:
        raise LayerError(
            f"fl_layer_in {fl.layer_in} + fl_params {fl.params} - fl_layer_out {fl.layer_out} is {shift}, "
            "the board shifts by 1 to 31; change one of the three"
        )
    weights = qformat.quantize(weight, bits.params, fl.params)
    wide_bias = qformat.quantize(bias, bits.layer_out, fl.layer_out) << shift
    stored_bias = twos_complement.wrap(wide_bias, 16)
    lost = (stored_bias != wide_bias) | qformat.saturates(bias, bits.layer_out, fl.layer_out)
    return Stored(
        (weights if fl.params >= 0 else np.zeros_like(weights)).astype(np.int8),
        stored_bias.astype(np.int16),
        None,
        shift,
        bits.layer_in == 6,
        Saturations(
            weights=int(np.count_nonzero(qformat.saturates(weight, bits.params, fl.params))),
            biases=int(np.count_nonzero(lost)),
        ),
    )


def _check_widths(bits: Triple) -> None:
    for name, width in zip(("bw_layer_in", "bw_params", "bw_layer_out"), bits, strict=True):
        if width not in BOARD_WIDTHS:
            raise LayerError(f"{name} is {width}, the board computes with 6 or 8 bits; use one of these")
