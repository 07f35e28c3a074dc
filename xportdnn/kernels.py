"""Axes, windows and broadcasting: what several layers compute in the same way.

An *image* is one item of a batch: (channels, *spatial axes). Windows are laid over its spatial axes; every layer with
windows works image by image, so that no result depends on the batch size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from xportdnn.errors import LayerError
from xportdnn.lazy import np
from xportdnn.shapes import written

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, ...]
T = TypeVar("T", bound="np.generic")

# What the unrolled windows of one convolution may take, in bytes: a block that stays in the cache halves the time.
COLUMN_BUFFER = 2 << 20


def four_axes(shape: Shape) -> Shape:
    """The shape itself, if it is (num, channels, height, width).

    Raises:
        LayerError: another number of axes.
    """
    if len(shape) != 4:
        raise LayerError(f"the bottom must have 4 axes (num, channels, height, width), it is {written(shape)}")
    return shape


def legacy_shape(shape: Shape) -> Shape:
    """(num, channels, height, width) of a bottom with up to 4 axes; missing ones are 1 (Blob::LegacyShape).

    Raises:
        LayerError: more than 4 axes.
    """
    if len(shape) > 4:
        raise LayerError(f"the bottom must not have more than 4 axes, it is {written(shape)}")
    return shape + (1,) * (4 - len(shape))


def along(blob: NDArray[T], axis: int, axes: int) -> NDArray[T]:
    """`blob` with its first axis at `axis` of `axes`, all other axes 1: ready to broadcast."""
    return blob.reshape((1,) * axis + blob.shape + (1,) * (axes - axis - blob.ndim))


def per_axis(
    name: str,
    repeated: Shape,
    pair: tuple[int | None, int | None],
    axes: int,
    default: int | None,
    least: int,
    halves: bool = False,
) -> Shape:
    """One value for each of `axes` spatial axes, from a repeated field or its `_h`/`_w` pair (base_conv_layer.cpp).

    Args:
        name: the repeated field, for messages.
        repeated: its values: none, one for all axes, or one each.
        pair: the `_h` and `_w` fields, None where absent.
        default: the value when nothing is given; None: something must be.
        least: smaller values are refused.
        halves: one of the pair is enough, the other is 0.

    Raises:
        LayerError: too few, too many or too small values, or both ways of giving them.
    """
    stem = name.removesuffix("_size")
    label = name
    if pair != (None, None):
        label = f"{stem}_h and {stem}_w"
        if repeated:
            raise LayerError(f"{name} and {stem}_h/{stem}_w are both given; keep one of the two")
        if axes != 2:
            raise LayerError(f"{label} need 2 spatial axes, the bottom has {axes}; use {name}")
        if None in pair and not halves:
            given, absent = ("h", "w") if pair[1] is None else ("w", "h")
            raise LayerError(f"{stem}_{given} is given without {stem}_{absent}; give both, or {name}")
        repeated = (pair[0] or 0, pair[1] or 0)
    elif not repeated:
        if default is None:
            raise LayerError(f"{name} is missing; give it once or once per spatial axis")
        repeated = (default,)
    if len(repeated) not in (1, axes):
        raise LayerError(
            f"{name} is given {len(repeated)} times; give it once, or once for each of {axes} spatial axes"
        )
    if min(repeated) < least:
        raise LayerError(f"{label} must be at least {least}, not {min(repeated)}")
    return repeated if len(repeated) == axes else repeated * axes


@dataclass(frozen=True)
class Windows:
    """How a kernel steps over the spatial axes: one value per axis in each field."""

    kernel: Shape
    stride: Shape
    pad: Shape
    dilation: Shape

    @property
    def extent(self) -> Shape:
        """The cells from the first to the last tap of the kernel."""
        return tuple(dilation * (kernel - 1) + 1 for kernel, dilation in zip(self.kernel, self.dilation, strict=True))

    def span(self, counts: Shape) -> Shape:
        """The cells from the first tap of the first window to the last tap of the last one."""
        steps = zip(counts, self.stride, self.extent, strict=True)
        return tuple((count - 1) * stride + extent for count, stride, extent in steps)

    def cells(self, tap: Shape, counts: Shape, first: int = 0) -> tuple[slice, ...]:
        """Where one tap of every window lies in (channels, *span); windows are counted from row `first`."""
        starts = [index * dilation for index, dilation in zip(tap, self.dilation, strict=True)]
        starts[0] += first * self.stride[0]
        return of_image(map(strided, starts, counts, self.stride))


def of_image(spatial: Iterable[slice]) -> tuple[slice, ...]:
    """The index of the same cells in every channel."""
    return (slice(None), *spatial)


def strided(start: int, count: int, stride: int) -> slice:
    """`count` cells from `start` on, `stride` apart."""
    return slice(start, start + (count - 1) * stride + 1, stride)


def padded(image: NDArray[T], before: Shape, size: Shape, fill: float = 0.0) -> NDArray[T]:
    """The image moved by `before` cells into planes of `size`: cells it leaves free are `fill`, the rest is cut off.

    Returns a view if there is nothing to fill.
    """
    kept = (slice(max(0, -start), max(0, end - start)) for start, end in zip(before, size, strict=True))
    image = image[of_image(kept)]
    if image.shape[1:] == size:
        return image
    planes = np.full((len(image), *size), fill, image.dtype)
    starts = (max(0, start) for start in before)
    inside = (slice(start, start + length) for start, length in zip(starts, image.shape[1:], strict=True))
    planes[of_image(inside)] = image
    return planes


def sliding(image: NDArray[T], windows: Windows, counts: Shape) -> NDArray[T]:
    """Every tap of every window, zero outside the image: a view of shape (channels, *kernel, *counts)."""
    axes = len(counts)
    planes = padded(image, windows.pad, windows.span(counts))
    views = np.lib.stride_tricks.sliding_window_view(planes, windows.extent, axis=tuple(range(1, axes + 1)))
    steps = (slice(None, None, step) for step in windows.stride + windows.dilation)
    taps_last = views[of_image(steps)]
    every: NDArray[T] = taps_last.transpose(0, *range(axes + 1, 2 * axes + 1), *range(1, axes + 1))
    return every


def row_blocks(rows: int, row_bytes: int) -> Iterator[slice]:
    """Slices of `rows` that keep a buffer of `row_bytes` per row within `COLUMN_BUFFER`; at least one row each."""
    height = max(1, COLUMN_BUFFER // max(1, row_bytes))
    return (slice(start, min(start + height, rows)) for start in range(0, rows, height))


def reduce_windows(reduce: np.ufunc, planes: NDArray[T], windows: Windows, counts: Shape) -> NDArray[T]:
    """`reduce` (add, maximum) over every window of (channels, *span): (channels, *counts).

    One axis after the other: the cost grows with the sum of the kernel's sides, not with their product.
    """
    for axis, (kernel, stride, count) in enumerate(zip(windows.kernel, windows.stride, counts, strict=True), start=1):
        lines = planes.swapaxes(0, axis)
        result: NDArray[T] = lines[strided(0, count, stride)].copy(order="K")
        for start in range(1, kernel):
            reduce(result, lines[strided(start, count, stride)], out=result)
        planes = result.swapaxes(0, axis)
    return planes
