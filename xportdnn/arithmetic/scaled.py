"""caffe-jacinto's numbers: x * scale + offset, clipped, rounded, and back.

The scale follows from the range of the numbers (mathmanu/caffe-jacinto, branch caffe-0.17, net.cpp,
EstiamteQScaleParams). Where all are at least 0, as behind a ReLU, no bit is spent on a sign:

    power of two   2**(bits - bits of max|x|), one bit less with a sign; with an offset the bits of max - min count
    offset         (2**bits - 1) / (max - min), offset = -min * scale, not rounded: 0 may become another number
    no sign        (2**bits - 1) / max
    sign           (2**(bits - 1) - 1) / max|x|

Integers go from -2**(bits - 1) to 2**(bits - 1) - 1 with a sign, else from 0 to 2**bits - 1 (quantized_layer.cpp,
Trim2FixedPoint_cpu). All of it is float32. One revision of that branch divides 2**bits, not 2**bits - 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from xportdnn.arithmetic.rounding import Rounding, half_away
from xportdnn.errors import LayerError
from xportdnn.lazy import np

if TYPE_CHECKING:
    from xportdnn.layers import Array


_GREATEST = (2 - 2.0**-23) * 2.0**127  # of float32


class Scaled(NamedTuple):
    """Integers of `bits` bits.

    Attributes:
        scale, offset: float32 numbers.
        signed: half of the integers are below 0.
    """

    bits: int
    scale: float
    offset: float
    signed: bool

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest integer."""
        if self.signed:
            return -(1 << self.bits - 1), (1 << self.bits - 1) - 1
        return 0, (1 << self.bits) - 1


def of_range(minimum: float, maximum: float, bits: int, power_of_two: bool, with_offset: bool) -> Scaled:
    """The format for numbers of this range.

    Raises:
        LayerError: the range is empty; caffe-jacinto divides by it and goes on with NaN. Or float32 cannot hold it, or
            the scale that follows from it.
    """
    if not (abs(minimum) <= _GREATEST and abs(maximum) <= _GREATEST and maximum - minimum <= _GREATEST):
        raise LayerError("caffe-jacinto has no range of these numbers in float32")
    low, high = np.float32(minimum), np.float32(maximum)
    signed = not (low >= 0 or with_offset)
    extent = abs(high - low) if with_offset else max(abs(low), abs(high))
    if not extent and not power_of_two:
        raise LayerError("caffe-jacinto divides by the range of these numbers, which is 0, and goes on with NaN")
    largest = (1 << bits - signed) - 1
    wide = math.ldexp(1.0, bits - signed - _bits_of(float(extent))) if power_of_two else largest / float(extent)
    if wide > _GREATEST:
        raise LayerError("caffe-jacinto has no scale for a range as small as that of these numbers in float32")
    scale = np.float32(wide) if power_of_two else np.float32(largest) / extent
    return Scaled(bits, float(scale), float(-low * scale) if with_offset else 0.0, signed)


def _bits_of(extent: float) -> int:
    """ceil(log2(x)), and 0 for 0."""
    if not extent:
        return 0
    mantissa, exponent = math.frexp(extent)
    return exponent - (mantissa == 0.5)


def trim(values: Array, form: Scaled, rounding: Rounding = half_away, clip: bool = True) -> Array:
    """What quantization leaves of float32 values."""
    offset, least_greatest = np.float32(form.offset), form.limits
    result: Array = values * np.float32(form.scale) + offset
    if clip:
        np.clip(result, *map(np.float32, least_greatest), out=result)
    result = rounding(result) - offset
    result *= np.float32(1) / np.float32(form.scale)
    return result


def beyond(values: Array, form: Scaled) -> int:
    """How many values are clipped to another integer than the nearest."""
    nearest = half_away(values * np.float32(form.scale) + np.float32(form.offset))
    least, greatest = form.limits
    return int(np.count_nonzero((nearest < least) | (nearest > greatest)))
