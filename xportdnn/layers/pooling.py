"""Pooling: maximum or average over windows (caffe pooling_layer.cpp), to the last clipped window.

The board moves integers through MAX and AVE pooling without rescaling, hence `ties="all"`; a second top, the mask of
MAX pooling, holds indices and is no quantity to quantize.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xportdnn.decode import Uint, count_of, enum
from xportdnn.errors import LayerError
from xportdnn.kernels import Windows, four_axes, padded, per_axis, reduce_windows
from xportdnn.layers import Array, Arrays, LayerKind, Shape, Shapes
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# C's FLT_MAX; where MAX pooling starts from, and what it leaves in a window without any pixel.
FLT_MAX = 3.4028234663852886e38


@dataclass(frozen=True)
class Params:
    """`round_mode` (2018) and `ceil_mode` (older forks) say the same: output sizes are rounded up or down."""

    pool: str = enum("MAX", "AVE", "STOCHASTIC")
    pad: Uint | None = None
    pad_h: Uint | None = None
    pad_w: Uint | None = None
    kernel_size: Uint | None = None
    kernel_h: Uint | None = None
    kernel_w: Uint | None = None
    stride: Uint | None = None
    stride_h: Uint | None = None
    stride_w: Uint | None = None
    global_pooling: bool = False
    round_mode: str = enum("CEIL", "FLOOR")
    ceil_mode: bool = True
    tops: int = count_of("top")

    IGNORED = ("engine",)


def given(value: int | None) -> Shape:
    """An optional field as if it could be repeated."""
    return () if value is None else (value,)


def windows_of(p: Params, size: Shape) -> Windows:
    """The windows over planes of `size` (height, width).

    Raises:
        LayerError: missing, contradicting or unusable kernel, stride or pad.
    """
    if p.global_pooling and (p.kernel_size, p.kernel_h, p.kernel_w) != (None, None, None):
        raise LayerError("global_pooling takes the whole plane; remove kernel_size, kernel_h and kernel_w")
    kernel = size if p.global_pooling else given(p.kernel_size)
    windows = Windows(
        kernel=per_axis("kernel_size", kernel, (p.kernel_h, p.kernel_w), 2, default=None, least=1),
        stride=per_axis("stride", given(p.stride), (p.stride_h, p.stride_w), 2, default=1, least=1),
        pad=per_axis("pad", given(p.pad), (p.pad_h, p.pad_w), 2, default=0, least=0),
        dilation=(1, 1),
    )
    if p.global_pooling and (windows.stride != (1, 1) or windows.pad != (0, 0)):
        raise LayerError("global_pooling has one window without pad; remove stride and pad")
    for side, border in zip(windows.kernel, windows.pad, strict=True):
        if border and border >= side:
            raise LayerError(f"pad {border} must be smaller than the kernel ({side}); reduce pad")
    return windows


def window_counts(p: Params, windows: Windows, size: Shape) -> Shape:
    """The number of windows along each axis.

    With any pad, a last window that would start behind the image and its pad is dropped; without pad it stays, empty.

    Raises:
        LayerError: an axis without any window.
    """
    counts: list[int] = []
    for length, pad, kernel, stride in zip(size, windows.pad, windows.kernel, windows.stride, strict=True):
        room = length + 2 * pad - kernel
        floor = p.round_mode == "FLOOR" or not p.ceil_mode
        count = 1 + (room // stride if floor else -(-room // stride))
        if any(windows.pad) and (count - 1) * stride >= length + pad:
            count -= 1
        if count < 1:
            raise LayerError(f"the kernel ({kernel}) does not fit into {length} cells; use a smaller kernel_size")
        counts.append(count)
    return tuple(counts)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """(num, channels, *counts), for the mask too.

    Raises:
        LayerError: fields that contradict each other or do not fit the bottom, or a method without a forward.
    """
    num, channels, *size = four_axes(bottoms[0])
    if p.pool == "STOCHASTIC":
        raise LayerError("pool: STOCHASTIC has no forward in Caffe's TEST phase; use MAX or AVE")
    if p.pool == "AVE" and p.tops > 1:
        raise LayerError("a second top (the mask) needs pool: MAX; remove it or change pool")
    top = (num, channels, *window_counts(p, windows_of(p, tuple(size)), tuple(size)))
    return (top,) * max(1, p.tops)


def maxima(image: Array, windows: Windows, counts: Shape) -> Array:
    """(channels, height, width) to (channels, *counts); NaN never wins, as in Caffe's comparison."""
    planes = padded(np.fmax(image, np.float32(-FLT_MAX)), windows.pad, windows.span(counts), -FLT_MAX)
    return reduce_windows(np.maximum, planes, windows, counts)


def mask(image: Array, windows: Windows, counts: Shape) -> Array:
    """The index of every window's maximum in its plane, the first of equals; -1 where there is none."""
    height, width = image.shape[1:]
    indices = np.arange(height * width, dtype=np.float32).reshape(1, height, width)
    span = windows.span(counts)
    planes = padded(image, windows.pad, span, -FLT_MAX)
    where = padded(indices, windows.pad, span, -1)
    best = np.full((len(image), *counts), -FLT_MAX, np.float32)
    found = np.full_like(best, -1)
    for tap in np.ndindex(windows.kernel):
        cells = windows.cells(tap, counts)
        better = planes[cells] > best
        np.copyto(best, planes[cells], where=better)
        np.copyto(found, where[cells], where=better)
    return found


def divisors(windows: Windows, size: Shape, counts: Shape) -> NDArray[np.int64]:
    """The cells of each window: pad counts, what hangs over beyond the pad does not."""
    sides: list[NDArray[np.int64]] = []
    for axis, count in enumerate(counts):
        starts = np.arange(count) * windows.stride[axis] - windows.pad[axis]
        sides.append(np.minimum(windows.kernel[axis], size[axis] + windows.pad[axis] - starts))
    rows, columns = sides
    return np.outer(rows, columns)


def averages(image: Array, windows: Windows, counts: Shape) -> Array:
    """(channels, height, width) to (channels, *counts); 0/0 (NaN) where a window lies outside."""
    planes = padded(image, windows.pad, windows.span(counts)).astype(np.float64)
    sums = reduce_windows(np.add, planes, windows, counts)
    with np.errstate(invalid="ignore"):
        return (sums / divisors(windows, image.shape[1:], counts)).astype(np.float32)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """(num, channels, height, width) to the pooled values and, with a second top, the mask of their places."""
    (x,) = bottoms
    (top, *_) = shape(p, (x.shape,))
    windows = windows_of(p, x.shape[2:])
    pool = maxima if p.pool == "MAX" else averages
    rules = (pool, mask) if p.tops > 1 else (pool,)
    tops = tuple(np.empty(top, np.float32) for _ in rules)
    for index, image in enumerate(x):
        for rule, values in zip(rules, tops, strict=True):
            values[index] = rule(image, windows, top[2:])
    return tops


KIND = LayerKind("Pooling", Params, shape, forward, field="pooling_param", tops=(1, 2), ties="all")
