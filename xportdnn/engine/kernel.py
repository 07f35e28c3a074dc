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
    """The work of copying (height, width, channels) into larger planes, moved by `before` cells, with zeros around it.

    What sticks out is cut off.
    """
    top, left = before
    x = x[: max(0, planes.shape[0] - top), : max(0, planes.shape[1] - left)]
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
    """`pad` into planes of `size` in `scratch`, and the planes; without a copy where the image is the planes."""
    if before == (0, 0) and size == x[: size[0], : size[1]].shape[:2]:
        return x[: size[0], : size[1]], nothing
    planes = scratch[: math.prod(size) * x.shape[2]].reshape(*size, x.shape[2])
    return planes, pad(x, before, planes)
