"""Q.F numbers: integers of `bits` bits times 2**-fl, as Ristretto's dynamic fixed point and CHaiDNN's DynamicFixed.

Values saturate at [-2**(bits-1), 2**(bits-1) - 1] * 2**-fl and are rounded to the nearest multiple of 2**-fl
(pmgysel/caffe base_ristretto_layer.cpp, Trim2FixedPoint; CHaiDNN xi_common_utils.hpp). A negative `fl` means steps
above 1. Scaling a float32 by a power of two is exact, so rounding is the only error inside the range. Floats of more
than 25 bits saturate one step high in `trim`, because float32 has no 2**(bits-1) - 1 there; integers do not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xportdnn.arithmetic.rounding import Rounding, half_away
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xportdnn.arithmetic import Int64s, Integers
    from xportdnn.layers import Array

_FINEST = 256


def quantize(values: Array, bits: int, fl: int, rounding: Rounding = half_away) -> Int64s:
    """Integers in [-2**(bits-1), 2**(bits-1) - 1], in the shape of `values`; bits is 1 to 32."""
    whole = rounding(_scaled(values, bits, fl)).astype(np.int64)
    return np.clip(whole, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, out=whole)


def quantized(value: float, bits: int, fl: int) -> int:
    """`quantize` for one finite float32, without NumPy."""
    limit = 1 << (bits - 1)
    # the smallest float32 is beyond the range of any width with fewer places than these
    scaled = math.ldexp(value, min(fl, _FINEST))
    clipped = min(max(scaled, -limit), limit - 1)
    return int(math.copysign(math.floor(abs(clipped) + 0.5), clipped))


def dequantize(integers: Integers, fl: int) -> Array:
    """float32(integer) * 2**-fl."""
    return np.asarray(np.ldexp(integers.astype(np.float32), -fl))


def trim(values: Array, bits: int, fl: int, rounding: Rounding = half_away) -> Array:
    """What quantization leaves of float32 values: a multiple of 2**-fl."""
    result = rounding(_scaled(values, bits, fl))
    return np.ldexp(result, -fl, out=result)


def saturates(values: Array, bits: int, fl: int) -> NDArray[np.bool_]:
    """Which values lie beyond the range."""
    scaled = np.ldexp(values.astype(np.float64), fl)
    limit = 1 << (bits - 1)
    return np.asarray((scaled < -limit) | (scaled > limit - 1))


def _scaled(values: Array, bits: int, fl: int) -> Array:
    limit = 1 << (bits - 1)
    # beyond float32's range on either side is beyond the format's range or below half a step
    with np.errstate(over="ignore", under="ignore"):
        result: Array = np.ldexp(values, fl)
    return np.clip(result, np.float32(-limit), np.float32(limit - 1), out=result)
