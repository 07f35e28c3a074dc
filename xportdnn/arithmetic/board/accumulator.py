"""The sums of a convolution as the kernel's accumulators hold them (CHaiDNN design/conv, XI_DP_ENABLE 1).

The input channels are processed in chunks. The sum of a chunk is exact until it leaves 24 bits (8-bit mode) or its
halves leave 20 bits (6-bit mode), then it saturates at 18 bits. Chunks are added in order by an addition that keeps a
limit once either side has reached it. In 6-bit mode one multiplier serves both images of a pair, image 1 lying 20
bits above image 0, so the carries of image 0 reach image 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from xportdnn.arithmetic.products import bound, carrier, peak, unrolled
from xportdnn.arithmetic.twos_complement import saturate, wrap
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from xportdnn.arithmetic import Int8s, Int32s
    from xportdnn.arithmetic.products import Numbers
    from xportdnn.kernels import Windows
    from xportdnn.layers import Shape

    Mask = NDArray[np.bool_]

BITS = 18
LOWEST, HIGHEST = -(1 << (BITS - 1)), (1 << (BITS - 1)) - 1
_SUM_BITS = 24
_HALF_BITS = 20
# products that one chunk has for each of four input channels that are read side by side
_SLOTS = 511


def portions(channels: int, kernel: Shape, group: int) -> tuple[int, int]:
    """The input channels of a group as the kernel counts them, in fours, and into how many chunks they are divided."""
    planes = -(-channels // 4) * 4
    if channels > 4:
        planes //= group
    count = 1
    while planes // count // 4 * math.prod(kernel) > _SLOTS:
        count *= 2
    return planes, count


def chunks(channels: int, kernel: Shape, group: int) -> tuple[slice, ...]:
    """The input channels of a group in the portions that share one exact sum.

    Where they do not divide evenly, which the kernel gets wrong (`faults`), the last chunk takes the rest.

    Args:
        channels: input channels of all groups.
    """
    planes, count = portions(channels, kernel, group)
    size, end = max(1, planes // count), channels // group
    starts = [start for start in range(0, count * size, size) if start < end]
    return tuple(slice(*edges) for edges in zip(starts, [*starts[1:], end], strict=True))


class Block(NamedTuple):
    """The accumulators of some rows of a pair of images.

    Attributes:
        images: which one or two images.
        rows: which rows of the top.
        values: (images, num_output, windows in these rows), within 18 bits.
        wraps: how many had a sum that wrapped at 24 or 20 bits.
        saturated: how many the 18-bit limit changed.
    """

    images: slice
    rows: slice
    values: Int32s
    wraps: int
    saturated: int


class _Sum(NamedTuple):
    """Sums (images, group, num_output / group, windows) and which of them a limit has changed; None: none."""

    values: Int32s
    wrapped: Mask | None
    stuck: Mask | None


@dataclass(frozen=True)
class _Chunk:
    """The weights of one chunk.

    Attributes:
        taps: where the chunk lies among all taps of a group.
        matrix: (group, num_output / group, taps).
        low: `matrix` with zeros for the last two of every four channels.
        limit: no partial sum exceeds it.
    """

    taps: slice
    matrix: Numbers
    low: Numbers
    limit: int


def blocks(images: Int8s, weight: Int8s, windows: Windows, counts: Shape, group: int, six: bool) -> Iterator[Block]:
    """The accumulators of all windows of all images, a pair and some rows at a time.

    Args:
        images: (num, channels, *size).
        weight: (num_output, channels / group, *kernel).
        counts: windows along each axis.
        six: 6-bit mode.
    """
    largest = peak(images)
    parts = chunks(weight.shape[1] * group, windows.kernel, group)
    # a chunk has at most 2044 products of at most 2**14, so float64 holds it and often float32 does
    dtype = carrier(max(bound(weight[:, part], largest) for part in parts))
    prepared = [_chunk(weight, part, group, largest, dtype) for part in parts]
    for first in range(0, len(images), 2):
        pair = images[first : first + 2]
        stacked = pair.reshape(-1, *pair.shape[2:])
        for rows, columns in unrolled(stacked, windows, counts, dtype, len(pair) * group):
            total = _accumulate(prepared, columns.reshape(len(pair), group, *columns.shape[1:]), six)
            values = total.values.reshape(len(pair), len(weight), -1)
            yield Block(slice(first, first + 2), rows, values, _count(total.wrapped), _count(total.stuck))


def _chunk(weight: Int8s, channels: slice, group: int, largest: int, dtype: DTypeLike) -> _Chunk:
    taps = math.prod(weight.shape[2:])
    part = weight[:, channels]
    low = part.copy()
    low[:, 2::4] = low[:, 3::4] = 0
    matrix, low_matrix = (each.astype(dtype).reshape(group, len(weight) // group, -1) for each in (part, low))
    return _Chunk(slice(channels.start * taps, channels.stop * taps), matrix, low_matrix, bound(part, largest))


def _accumulate(parts: Sequence[_Chunk], columns: Numbers, six: bool) -> _Sum:
    """All chunks in order; columns: (images, group, taps, windows)."""
    total, limit = _chunk_sum(parts[0], columns, six), parts[0].limit
    for part in parts[1:]:
        limit += part.limit
        term = _chunk_sum(part, columns, six)
        exact = total.values + term.values
        values, stuck = exact, _either(total.stuck, term.stuck)
        if limit > HIGHEST:
            values = _sticky(total.values, term.values, exact)
            stuck = _either(stuck, values != exact)
        total = _Sum(values, _either(total.wrapped, term.wrapped), stuck)
    return total


def _sticky(first: Int32s, second: Int32s, exact: Int32s) -> Int32s:
    """The sum within 18 bits; a limit in either operand stays, and the positive one wins."""
    result = saturate(exact, BITS)
    result[(first == LOWEST) | (second == LOWEST)] = LOWEST
    result[(first == HIGHEST) | (second == HIGHEST)] = HIGHEST
    return result


def _chunk_sum(chunk: _Chunk, columns: Numbers, six: bool) -> _Sum:
    """One chunk, limits below which nothing can happen left out."""
    columns = columns[:, :, chunk.taps]
    exact: Int32s = np.matmul(chunk.matrix, columns).astype(np.int32)
    if chunk.limit <= HIGHEST:
        return _Sum(exact, None, None)
    values, wrapped = exact, None
    if chunk.limit >= 1 << (_HALF_BITS if six else _SUM_BITS) - 1:
        low: Int32s = np.matmul(chunk.low, columns).astype(np.int32) if six else exact
        values = _halves(low, exact - low) if six else wrap(exact, _SUM_BITS)
        wrapped = values != exact
    saturated = saturate(values, BITS)
    return _Sum(saturated, wrapped, saturated != values)


def _halves(first: Int32s, second: Int32s) -> Int32s:
    """The sums of both images in 6-bit mode from those of channels 0, 1 and 2, 3 of every four.

    Image 1 is read from bit 20 on, rounded: it receives what image 0 carries beyond 2**19.
    """
    values = wrap(first, _HALF_BITS) + wrap(second, _HALF_BITS)
    if len(values) == 2:
        carried = (
            wrap(half[1] + (half[0] + (1 << _HALF_BITS - 1) >> _HALF_BITS), _HALF_BITS) for half in (first, second)
        )
        values[1] = wrap(np.add(*carried), _HALF_BITS)
    return values


def _either(first: Mask | None, second: Mask | None) -> Mask | None:
    if first is None or second is None:
        return second if first is None else first
    return first | second


def _count(mask: Mask | None) -> int:
    return 0 if mask is None else int(np.count_nonzero(mask))
