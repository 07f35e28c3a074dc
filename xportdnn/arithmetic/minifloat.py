"""Ristretto's minifloat: a sign, `exp_bits` of exponent and `mant_bits` of mantissa (base_ristretto_layer.cpp).

As in IEEE 754 the exponent's bias is 2**(exp_bits-1) - 1 and the leading 1 is not stored. Unlike it, every exponent
code is a normal number: there are no subnormals, infinities or NaN. What is below the smallest number becomes 0, what
is above the largest becomes the largest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xportdnn.arithmetic.rounding import Rounding, half_away
from xportdnn.lazy import np

if TYPE_CHECKING:
    from xportdnn.arithmetic import Int64s, Integers
    from xportdnn.layers import Array

_FLOAT32_BIAS = 127


def largest(mant_bits: int, exp_bits: int) -> float:
    """The largest number of the format that is also a float32."""
    return math.ldexp(2.0 - 2.0**-mant_bits, min(2**exp_bits - 1 - _bias(exp_bits), _FLOAT32_BIAS))


def smallest(exp_bits: int) -> float:
    """The smallest positive number of the format that is also a normal float32: what is below becomes 0."""
    return math.ldexp(1.0, max(-_bias(exp_bits), 1 - _FLOAT32_BIAS))


def exponent_bits(peak: float) -> int:
    """The bits of exponent that hold a largest |x|: ceil(log2(log2(peak) - 1) + 1), at least 1 (quantization.cpp).

    The largest exponent of e bits is 2**(e - 1), so that 1 bit reaches to 4, 2 bits to 8, 3 to 32, 4 to 512.
    """
    bits = 1
    while peak > math.ldexp(1.0, (1 << bits - 1) + 1):
        bits += 1
    return bits


def trim(
    values: Array, mant_bits: int, exp_bits: int, rounding: Rounding = half_away, *, as_ristretto: bool = False
) -> Array:
    """The nearest numbers of the format, as float32; 0 for what is below its smallest number.

    Args:
        mant_bits: 1 to 23.
        exp_bits: 1 to 8.
        rounding: applied to the magnitude's mantissa.
        as_ristretto: repeat the two defects of Ristretto's CPU code: it stops at the first value, in C order, that
            becomes 0 and leaves all behind it as they are; and a mantissa that rounds up in the largest exponent
            gives the next power of two, a number that the format does not have.
    """
    magnitude = np.abs(values)
    mantissa, exponent = np.frexp(magnitude)
    code = exponent - 1 + _bias(exp_bits)
    vanishes = (magnitude < np.finfo(np.float32).smallest_normal) | (code < 0)
    steps = rounding(np.ldexp(mantissa, mant_bits + 1))
    with np.errstate(over="ignore"):
        nearest = np.ldexp(steps, exponent - mant_bits - 1)
    limit = np.float32(largest(mant_bits, exp_bits))
    too_large = code > 2**exp_bits - 1 if as_ristretto else nearest > limit
    result: Array = np.copysign(np.where(vanishes, np.float32(0), np.where(too_large, limit, nearest)), values)
    if as_ristretto and vanishes.any():
        behind = int(np.argmax(vanishes)) + 1
        result.reshape(-1)[behind:] = values.reshape(-1)[behind:]
    return result


def codes(values: Array, mant_bits: int, exp_bits: int) -> Int64s:
    """Numbers of the format by their rank: 0 is 0, the smallest positive number 1, its negative -1.

    Behind the 1 that sets 0 apart these are the bits of exponent and mantissa. Two's complement of the format's width
    holds all of them but the largest positive one, 2**(mant_bits + exp_bits).
    """
    mantissa, exponent = np.frexp(np.abs(values).astype(np.float64))
    places = np.ldexp(2 * mantissa - 1, mant_bits).astype(np.int64)
    rank = ((exponent.astype(np.int64) - 1 + _bias(exp_bits)) << mant_bits) + places + 1
    return np.asarray(np.sign(values).astype(np.int64) * rank)


def of_codes(ranks: Integers, mant_bits: int, exp_bits: int) -> Array:
    """The numbers of `codes`, float32."""
    behind = np.abs(ranks.astype(np.int64)) - 1
    mantissa = (behind & ((1 << mant_bits) - 1)) + (1 << mant_bits)
    magnitude = np.ldexp(mantissa.astype(np.float32), (behind >> mant_bits) - _bias(exp_bits) - mant_bits)
    return np.asarray(np.where(ranks == 0, np.float32(0), np.copysign(magnitude, ranks)), np.float32)


def _bias(exp_bits: int) -> int:
    return int(2 ** (exp_bits - 1)) - 1
