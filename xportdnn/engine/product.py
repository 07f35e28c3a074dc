"""Matrix products as many small ones.

BLAS first copies both factors of a product into an order that suits it, which costs as much as the product itself
where a matrix has few rows. OpenBLAS leaves a product of up to a million multiplications as it lies (the small matrix
kernels of its 0.3.17), and reaches the processor's peak with it. So weights are kept in strips of some columns, each
in one piece, and some rows at a time are multiplied with all strips in one call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from xportdnn.layers import Array
from xportdnn.lazy import np

_SMALL = 1_000_000  # multiplications
_WIDE, _NARROW = 64, 32  # columns of a strip
_ROWS = 60  # with fewer, the wide strips are not worth it
_GRAIN = 6  # rows that the kernels take at a time


class Product(NamedTuple):
    """Arguments of `np.matmul`: the strips' part of `out` is x times the strips."""

    x: Array
    strips: Array
    out: Array


@dataclass(frozen=True)
class Factor:
    """The right factors of a stack of products: (stack, inner, columns).

    Attributes:
        strips: each (count, stack, inner, width), contiguous; the last may be narrower.
    """

    stack: int
    inner: int
    columns: int
    strips: tuple[Array, ...]

    def products(self, x: Array, out: Array) -> list[Product]:
        """x (stack, rows, inner) times this, into out (stack, rows, columns)."""
        rows = x.shape[1]
        found: list[Product] = []
        for first in range(0, rows, self._height(rows)):
            some = slice(first, first + self._height(rows))
            start = 0
            for strips in self.strips:
                count, width = strips.shape[0], strips.shape[3]
                part = out[:, some, start : start + count * width]
                cut = part.reshape(*part.shape[:2], count, width).transpose(2, 0, 1, 3)
                found.append(Product(x[:, some], strips, cut))
                start += count * width
        return found

    def _height(self, rows: int) -> int:
        """Rows at a time: as many as a small product can have; all of them where that would be too few."""
        height = _SMALL // (self.inner * self.strips[0].shape[3]) // _GRAIN * _GRAIN
        return height or rows


def factor(weights: Array, rows: int) -> Factor:
    """Weights (stack, *inner axes, columns), in any order of memory, for left factors of that many rows."""
    stack, *inner, columns = weights.shape
    depth = int(np.prod(inner))
    width = min(columns, _WIDE if _WIDE * depth * min(rows, _ROWS) <= _SMALL else _NARROW)
    whole = columns // width * width
    strips = []
    for part in (weights[..., :whole], weights[..., whole:]):
        if part.size:
            cut = part.reshape(*part.shape[:-1], -1, min(width, part.shape[-1]))
            first = np.ascontiguousarray(np.moveaxis(cut, -2, 0), np.float32)
            strips.append(first.reshape(len(first), stack, depth, -1))
    return Factor(stack, depth, columns, tuple(strips))
