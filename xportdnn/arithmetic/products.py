"""Exact products of integer matrices by floating-point BLAS, which is many times faster than integer loops.

A dot product's partial sums never exceed sum |w| |x|, in whatever order BLAS adds them and whether it fuses a
multiplication with an addition or not. While that sum is at most 2**24 every partial sum is a float32 number, up to
2**53 a float64 number, so nothing is ever rounded and the result is the integer itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xportdnn.errors import LayerError
from xportdnn.kernels import Windows, row_blocks, sliding
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from xportdnn.arithmetic import Integers
    from xportdnn.layers import Shape

    Numbers = NDArray[np.number[Any]]


def peak(values: Integers) -> int:
    """The largest magnitude; 0 of an empty array."""
    return max(int(values.max(initial=0)), -int(values.min(initial=0)))


def bound(weight: Integers, largest: int) -> int:
    """What no partial sum of `weight` (num_output, ...) with values up to `largest` exceeds."""
    rows = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1)
    return largest * int(rows.max(initial=0))


def carrier(limit: int) -> DTypeLike:
    """The fastest dtype that holds every partial sum up to `limit` exactly.

    Raises:
        LayerError: 64 bits are not enough.
    """
    if limit <= 1 << 24:
        return np.float32
    if limit <= 1 << 53:
        return np.float64
    if limit < 1 << 63:
        return np.int64
    raise LayerError(f"a sum of products may reach {limit:.3g}, which needs more than 64 bits; use fewer bits")


def unrolled(
    image: Integers, windows: Windows, counts: Shape, dtype: DTypeLike, group: int
) -> Iterator[tuple[slice, Numbers]]:
    """Blocks of window rows with their taps side by side, small enough for the cache.

    Args:
        image: (channels, *size); zero outside.

    Yields:
        The rows of `counts[0]`, and (group, channels / group * taps, windows of these rows), channels before taps.
    """
    rows_first = sliding(image.astype(dtype), windows, counts).swapaxes(0, -len(counts))
    taps = len(image) // group * math.prod(windows.kernel)
    row_bytes = rows_first[:1].nbytes
    for rows in row_blocks(counts[0], row_bytes):
        yield rows, rows_first[rows].swapaxes(0, -len(counts)).reshape(group, taps, -1)
