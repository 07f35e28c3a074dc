"""Floats into the board and integers out of it (CHaiDNN interface/xi_readwrite_util.cpp; PackDataToHardware,
UnpackDataToSoftware)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xportdnn.arithmetic import qformat, threshold, twos_complement
from xportdnn.arithmetic.board.convolution import Result
from xportdnn.arithmetic.board.saturations import Saturations
from xportdnn.arithmetic.rounding import Rounding, half_away, half_up, toward_zero
from xportdnn.errors import LayerError
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from xportdnn.arithmetic import Int8s
    from xportdnn.layers import Array


def input_xilinx(values: Array, th_layer_in: float, bw_layer_in: int) -> Result:
    """The network's input, pixels minus mean in the application's units, quantized for the first layer."""
    return _by_threshold(values, th_layer_in, bw_layer_in, half_away)


def software_xilinx(values: Array, th_layer_in: float, bw_layer_in: int) -> Result:
    """The floats of a layer that ran in software, going back: the only place where halves are rounded up."""
    return _by_threshold(values, th_layer_in, bw_layer_in, half_up)


def _by_threshold(values: Array, th: float, bits: int, rounding: Rounding) -> Result:
    integers = threshold.quantize(values, th, bits, rounding).astype(np.int8)
    return Result(integers, Saturations(inputs=int(np.count_nonzero(threshold.clips(values, th)))))


def pixels_dynamic_fixed(pixels: NDArray[np.uint8], mean: ArrayLike, fl_layer_in: int, bw_layer_in: int) -> Result:
    """8-bit pixels for the first layer without floats: (pixel << fl) - mean, the mean truncated and kept in 8 bits.

    Args:
        mean: in pixel units, broadcast against `pixels`.

    Raises:
        LayerError: fl_layer_in is negative.
    """
    if fl_layer_in < 0:
        raise LayerError(f"fl_layer_in is {fl_layer_in}, the board shifts pixels left by it; use at least 0")
    whole = toward_zero(np.ldexp(np.asarray(mean, np.float32), fl_layer_in)).astype(np.int64)
    exact = (pixels.astype(np.int64) << fl_layer_in) - twos_complement.wrap(whole, 8)
    integers = twos_complement.saturate(exact, bw_layer_in)
    return Result(integers.astype(np.int8), Saturations(inputs=int(np.count_nonzero(integers != exact))))


def normalised(pixels: NDArray[np.uint8], mean: ArrayLike, divisor: ArrayLike) -> Array:
    """(pixel / 255 - mean) / divisor in double, then float32: what `input_dynamic_fixed` takes on that path."""
    mean, divisor = np.asarray(mean, np.float64), np.asarray(divisor, np.float64)
    return np.asarray((pixels / 255.0 - mean) / divisor, np.float32)


def input_dynamic_fixed(values: Array, fl_layer_in: int, bw_layer_in: int) -> Result:
    """Floats to Q.F, halves away from zero."""
    integers = qformat.quantize(values, bw_layer_in, fl_layer_in).astype(np.int8)
    lost = qformat.saturates(values, bw_layer_in, fl_layer_in)
    return Result(integers, Saturations(inputs=int(np.count_nonzero(lost))))


def output_xilinx(integers: Int8s, th_layer_out: float, bw_layer_out: int) -> Array:
    """Integers to float32 for a layer that runs in software."""
    return threshold.dequantize(integers, th_layer_out, bw_layer_out)


def output_dynamic_fixed(integers: Int8s, fl_layer_out: int) -> Array:
    """Integers to float32 for a layer that runs in software.

    Raises:
        LayerError: fl_layer_out is negative, for which the host divides by an undefined shift.
    """
    if fl_layer_out < 0:
        raise LayerError(f"fl_layer_out is {fl_layer_out}, the host divides by 1 << fl; use at least 0 before software")
    return qformat.dequantize(integers, fl_layer_out)
