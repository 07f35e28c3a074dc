"""What a fast rule looks like, and the pieces of work that several of them share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np

Run: TypeAlias = Callable[[], None]
Op: TypeAlias = Callable[[Array, Array], None]
"""`op(x, out)` changes whole image rows, (rows, width * channels), number by number; `out` may be `x`."""

BLOCK = 1 << 18  # bytes that are worked on at a time, so that they stay in the cache
LEAST_PIXELS = 128  # fewer would not be worth the calls


class Kernel(Protocol):
    """The fast rule of one layer for fixed shapes: one image in, one top out.

    Attributes:
        scratch: how many float32 numbers of working memory it needs.
    """

    @property
    def scratch(self) -> int: ...

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        """The work as a function without arguments, which reads and writes these arrays every time it is called.

        Args:
            bottoms, top: laid out with the channels last (see `layout`).
            scratch: flat; its content is of no meaning before and after.
        """
        ...


def nothing() -> None:
    """No work."""


def blocks(rows: int, width: int, numbers: int) -> Iterator[slice]:
    """`rows` of `width` pixels, with so many float32 `numbers` each, in stretches of almost equal height."""
    height = max(BLOCK // (4 * width * numbers), -(-LEAST_PIXELS // width))
    height = -(-rows // -(-rows // height))
    return (slice(start, min(start + height, rows)) for start in range(0, rows, height))


def pad(x: Array, before: Shape, planes: Array) -> Run:
    """The work of filling planes (*size, channels) with an image that is moved by `before` cells, zeros around it.

    What sticks out is cut off.
    """
    x, top, left = _moved(x, before, planes.shape)
    middle = planes[top : top + x.shape[0]]
    inside = middle[:, left : left + x.shape[1]]
    borders = (planes[:top], planes[top + x.shape[0] :], middle[:, :left], middle[:, left + x.shape[1] :])
    free = [border for border in borders if border.size]

    def run() -> None:
        for border in free:
            border.fill(0)
        np.copyto(inside, x)

    return run


def padded(x: Array, before: Shape, size: Shape, scratch: Array) -> tuple[Array, Run]:
    """Planes of `size` and the work of filling them (see `pad`); a view and no work where they lie in the image."""
    inside = _moved(x, before, size)[0]
    if inside.shape[:2] == size:
        return inside, nothing
    planes = scratch[: math.prod(size) * x.shape[2]].reshape(*size, x.shape[2])
    return planes, pad(x, before, planes)


def _moved(x: Array, before: Shape, size: Shape) -> tuple[Array, int, int]:
    """What of an image falls into planes of `size` when it is moved by `before` cells, and where it begins there."""
    kept = (slice(max(0, -start), max(0, end - start)) for start, end in zip(before, size[:2], strict=True))
    return x[tuple(kept)], max(0, before[0]), max(0, before[1])
