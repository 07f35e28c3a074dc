"""Quantization by threshold, as the board, its host software and Xilinx's calibration quantizer define it.

A threshold th stands for the integer q = 2**(bw-1) - 1, so the step is th / q. Values are clipped to [-th, th] and
divided by the step; both, and the step itself, are float32 (CHaiDNN software/init/xi_common_utils.hpp,
Trim2FixedPoint_Offline; pyxir quantization/util.py). The range is symmetric: the most negative code is not used.

Two float32 roundings put the quotient at most 2**-23 of itself off, so up to 22 bits the integer is the nearest one
or, this close to a tie, the second nearest. Wider integers exceed what float32 resolves: even th itself may miss q
(what comes out above is cut back to q), and beyond 2**24 only every second, fourth ... integer occurs. A float32 value
has 24 significant bits itself, so that costs no more than the last of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xportdnn.arithmetic.rounding import Rounding, half_away, half_away_over
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from xportdnn.arithmetic import Int64s, Integers
    from xportdnn.layers import Array


def levels(bits: int) -> int:
    """The largest integer of a signed format without its most negative code: 127 at 8 bits, 31 at 6."""
    return int(2 ** (bits - 1)) - 1


def step(thresholds: ArrayLike, bits: int) -> Array:
    """th / (2**(bits - 1) - 1), correctly rounded to float32; the shape is that of `thresholds`."""
    # a quotient of float32 numbers taken in float64 and rounded once more is the float32 quotient
    return np.asarray(np.asarray(thresholds, np.float32).astype(np.float64) / levels(bits), np.float32)


def quantize(values: Array, thresholds: ArrayLike, bits: int, rounding: Rounding = half_away) -> Int64s:
    """Integers in [-q, q], q = 2**(bits - 1) - 1, in the shape of `values`.

    Args:
        thresholds: at least 0, broadcast against `values`; `kernels.along(th_params, 0, 4)` for weights by output
            channel. Where one is 0, or its step is below every float32, the integer is 0.
        bits: 2 to 32.
    """
    whole = rounding(_scaled(values, thresholds, bits)).astype(np.int64)
    limit = levels(bits)
    return np.clip(whole, -limit, limit, out=whole)


def dequantize(integers: Integers, thresholds: ArrayLike, bits: int) -> Array:
    """float32(integer) * step, in float32."""
    return np.asarray(integers.astype(np.float32) * step(thresholds, bits))


def trim(values: Array, thresholds: ArrayLike, bits: int, rounding: Rounding = half_away) -> Array:
    """What quantization leaves of float32 values: round(clip(x, -th, th) / step) * step."""
    result = rounding(_scaled(values, thresholds, bits))
    result *= divisor(thresholds, bits)
    return result


def trim_inside(values: Array, divisors: Array, spare: Array) -> None:
    """`trim` in place, halves away from zero, of values that lie within their thresholds.

    Args:
        divisors: see `divisor`.
        spare: see `half_away_over`.
    """
    values /= divisors
    half_away_over(values, spare)
    values *= divisors


def clips(values: Array, thresholds: ArrayLike) -> NDArray[np.bool_]:
    """Which values lie beyond their threshold."""
    return np.asarray(np.abs(values) > np.asarray(thresholds, np.float32))


def divisor(thresholds: ArrayLike, bits: int) -> Array:
    """The step, and 1 where it is 0: values clipped to 0 stay 0."""
    size = step(thresholds, bits)
    return np.where(size > 0, size, np.float32(1))


def _scaled(values: Array, thresholds: ArrayLike, bits: int) -> Array:
    limit = np.asarray(thresholds, np.float32)
    result: NDArray[np.float32] = np.clip(values, -limit, limit)
    result /= divisor(thresholds, bits)
    return result
