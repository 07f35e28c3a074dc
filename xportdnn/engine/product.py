"""Matrix products as many small ones.

BLAS first copies both factors of a product into an order that suits it. Where a matrix has few rows, that costs as
much as the product itself. For processors with AVX-512, OpenBLAS leaves factors as they lie if there are no more than
a million multiplications (kernel/x86_64/sgemm_small_kernel_permit_skylakex.c), and then computes at their peak. So
weights are kept in strips of a few columns, each in one piece, and a few rows at a time are multiplied with all strips.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from xportdnn.layers import Array
from xportdnn.lazy import np

_SMALL = 1_000_000  # multiplications
_WIDE, _NARROW = 64, 32  # columns of a strip
_ROWS = 60  # enough of them for one small product, so that other BLAS libraries do not lose much
_GRAIN = 6  # rows that OpenBLAS's kernels take at a time


class Product(NamedTuple):
    """Arguments of `np.matmul`: the strips' part of `out` is x times the strips."""

    x: Array
    strips: Array
    out: Array


@dataclass(frozen=True)
class Factor:
    """The right factors of a stack of products, (stack, inner, columns), cut into strips of columns.

    Attributes:
        strips: each (count, stack, inner, width), contiguous; those of the last piece are narrower.
    """

    strips: tuple[Array, ...]

    @property
    def stack(self) -> int:
        return int(self.strips[0].shape[1])

    @property
    def inner(self) -> int:
        return int(self.strips[0].shape[2])

    @property
    def columns(self) -> int:
        return sum(len(strips) * strips.shape[3] for strips in self.strips)

    def products(self, x: Array, out: Array) -> list[Product]:
        """x (stack, rows, inner) times this, into out (stack, rows, columns)."""
        rows = x.shape[1]
        height = _SMALL // (self.inner * self.strips[0].shape[3]) // _GRAIN * _GRAIN or rows
        found: list[Product] = []
        for first in range(0, rows, height):
            some = slice(first, first + height)
            start = 0
            for strips in self.strips:
                end = start + len(strips) * strips.shape[3]
                part = out[:, some, start:end]
                cut = part.reshape(*part.shape[:2], len(strips), -1).transpose(2, 0, 1, 3)
                found.append(Product(x[:, some], strips, cut))
                start = end
        return found


def width(columns: int, inner: int, rows: int) -> int:
    """Columns of a strip: the wide ones, if they leave a small product all the rows there are, or enough."""
    return min(columns, _WIDE if _WIDE * inner * min(rows, _ROWS) <= _SMALL else _NARROW)


def strips(weights: Array, width: int) -> Iterator[Array]:
    """Weights (..., columns), in any order of memory, as (count, ..., width), and what is left over as one more."""
    columns = weights.shape[-1]
    whole = columns // width * width
    yield _cut(weights[..., :whole], width)
    if whole < columns:
        yield _cut(weights[..., whole:], columns - whole)


def _cut(weights: Array, width: int) -> Array:
    pieces = weights.reshape(*weights.shape[:-1], -1, width)
    return np.ascontiguousarray(np.moveaxis(pieces, -2, 0), np.float32)
