"""Ristretto's integer power-of-two weights: +-2**e with exp_min <= e <= exp_max (base_ristretto_layer.cpp)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xportdnn.arithmetic.rounding import Rounding, half_away
from xportdnn.lazy import np

if TYPE_CHECKING:
    from xportdnn.layers import Array


def trim(weights: Array, exp_min: int, exp_max: int, rounding: Rounding = half_away) -> Array:
    """The sign of each weight times two to its rounded and limited base-2 logarithm, as float32.

    The format has no zero: 0 becomes +2**exp_min. The logarithm is rounded to float32 first, as C's `log2f` does; by
    that a weight within 1e-7 of sqrt(2) * 2**e may go either way.
    """
    with np.errstate(divide="ignore"):
        logarithms = np.log2(np.abs(weights).astype(np.float64)).astype(np.float32)
    exponents = rounding(np.clip(logarithms, np.float32(exp_min), np.float32(exp_max)))
    magnitudes = np.ldexp(np.ones_like(logarithms), exponents.astype(np.int32))
    return np.where(weights >= 0, magnitudes, -magnitudes)


def code_bits(exp_min: int, exp_max: int) -> int:
    """The bits of a sign and a rank from 1, that of 2**exp_min, in two's complement."""
    return 1 + (exp_max - exp_min + 1).bit_length()
