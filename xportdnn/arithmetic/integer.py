"""A layer in integers as a careful implementer computes it: sums wide enough for every case, rounded once.

The sums of a convolution or inner product are exact. In Q.F they have fl_layer_in + fl_params fractional bits, and
a right shift by fl_layer_in + fl_params - fl_layer_out brings them to the output format; whether that shift rounds is
what makes an integer implementation agree with Ristretto or miss it by one. With thresholds the ratio of steps is no
power of two, so the shift follows a multiplication by a fixed-point factor. Saturation is `twos_complement.saturate`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from xportdnn.arithmetic import Int64s, Integers
from xportdnn.arithmetic.products import bound, carrier, peak, unrolled
from xportdnn.arithmetic.rounding import half_away
from xportdnn.errors import LayerError
from xportdnn.kernels import Windows, along
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from xportdnn.layers import Shape

Shift: TypeAlias = Callable[[Int64s, int], Int64s]
# half of it may still be added in 64 bits
_ROOM = 1 << 62
FRACTION_BITS = 22


def convolution(images: Integers, weight: Integers, windows: Windows, counts: Shape, group: int = 1) -> Int64s:
    """The exact sums of products.

    Args:
        images: (num, channels, *size).
        weight: (num_output, channels / group, *kernel).
        counts: windows along each axis.

    Returns:
        (num, num_output, *counts).

    Raises:
        LayerError: a sum may need more than 64 bits.
    """
    dtype = carrier(bound(weight, peak(images)))
    matrix = weight.astype(dtype).reshape(group, len(weight) // group, -1)
    sums = np.empty((len(images), len(weight), *counts), np.int64)
    for image, result in zip(images, sums, strict=True):
        for rows, columns in unrolled(image, windows, counts, dtype, group):
            result[:, rows] = np.matmul(matrix, columns).reshape(len(weight), -1, *counts[1:])
    return sums


def inner_product(vectors: Integers, matrix: Integers) -> Int64s:
    """The exact sums of products of (..., inputs) with (num_output, inputs): (..., num_output).

    Raises:
        LayerError: a sum may need more than 64 bits.
    """
    dtype = carrier(bound(matrix, peak(vectors)))
    return np.asarray(np.matmul(vectors.astype(dtype), matrix.astype(dtype).T), np.int64)


def shift_half_away(sums: Int64s, places: int) -> Int64s:
    """sums / 2**places, rounded to the nearest, halves away from zero, as C's `round` and the board's output stage.

    Negative `places` multiply, as in every shift here.

    Raises:
        LayerError: the sums or the result reach 2**62.
    """
    sign = sums >> 63
    return (shift_half_up((sums ^ sign) - sign, places) ^ sign) - sign


def shift_half_up(sums: Int64s, places: int) -> Int64s:
    """floor(sums / 2**places + 1/2): half the divisor is added before the shift.

    Raises:
        LayerError: the sums or the result reach 2**62.
    """
    _check_room(sums, places)
    return _shifted(sums + (1 << min(places, 63) - 1) if places > 0 else sums, places)


def shift_truncating(sums: Int64s, places: int) -> Int64s:
    """floor(sums / 2**places), the bare shift: half a step low on average.

    Raises:
        LayerError: the sums or the result reach 2**62.
    """
    _check_room(sums, places)
    return _shifted(sums, places)


def _shifted(sums: Int64s, places: int) -> Int64s:
    return sums >> min(places, 63) if places > 0 else sums << min(-places, 63)


def _check_room(sums: Int64s, places: int) -> None:
    up = min(max(0, -places), 63)
    if peak(sums) << up >= _ROOM:
        raise LayerError(f"a sum of {peak(sums):.3g} times 2**{up} does not fit into 62 bits; use fewer bits")


def factors(steps: ArrayLike, fraction_bits: int = FRACTION_BITS) -> Int64s:
    """Real ratios step_in * step_params / step_out as integers with `fraction_bits` fractional bits."""
    return half_away(np.ldexp(np.asarray(steps, np.float64), fraction_bits)).astype(np.int64)


def rescale(
    sums: Int64s,
    factor: Int64s,
    offset: Int64s,
    shift: Shift = shift_half_away,
    fraction_bits: int = FRACTION_BITS,
) -> Int64s:
    """Sums in steps of input times weight to integers in steps of the output, not yet saturated.

    Args:
        sums: (num, num_output, ...).
        factor: (num_output,) from `factors`.
        offset: (num_output,), the bias in output steps with `fraction_bits` fractional bits: `factors(bias / step)`.

    Raises:
        LayerError: a product reaches 2**62.
    """
    if peak(sums) * peak(factor) + peak(offset) >= _ROOM:
        raise LayerError(
            f"a sum of {peak(sums):.3g} times a factor of {peak(factor):.3g} does not fit into 62 bits; use fewer bits"
        )
    axes = sums.ndim
    return shift(sums * along(factor, 1, axes) + along(offset, 1, axes), fraction_bits)
