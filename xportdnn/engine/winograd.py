"""3x3 convolution of stride 1 by Winograd's minimal filtering: 4x4 outputs from 36 products instead of 144.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308: F(4x4, 3x3). A tile of 6x6
inputs is transformed by one matrix product over all its channels, with the Kronecker square of the one-dimensional
matrix; each of the 36 values has a product of its own, all tiles with the weights; 4x4 outputs come back the same way.

The points of interpolation are 0, +-1/sqrt(2), +-sqrt(2) and infinity. Against the usual +-1 and +-2 they take the
rounding error to about a third (see Barabasz et al., arXiv:1803.10986, on the choice of points).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from xportdnn.engine import layout, product
from xportdnn.engine.kernel import Op, Run, padded
from xportdnn.engine.product import Factor, Product
from xportdnn.kernels import Windows
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELLS = 4  # outputs of a tile along each axis
_TAPS = _CELLS + 2  # inputs
_BLOCK = 1 << 21  # bytes of transformed tiles that are worked on at a time
_SHARE = 0.8  # of the multiplications that a plain convolution needs: more are not worth it


class Transforms(NamedTuple):
    """The matrices for whole tiles: of the inputs (36, 36), of the weights (36, 9), of the outputs (16, 36)."""

    inputs: NDArray[np.floating]
    weights: NDArray[np.floating]
    outputs: NDArray[np.floating]


@lru_cache(maxsize=1)
def transforms() -> Transforms:
    """By Toom and Cook: values of polynomials at some points, their products, and the polynomial through those."""
    points = np.sqrt(0.5) * np.array([0, 1, -1, 2, -2])
    others = [np.delete(points, index) for index in range(_TAPS - 1)]
    inputs, weights, outputs = np.zeros((_TAPS, _TAPS)), np.zeros((_TAPS, 3)), np.zeros((_CELLS, _TAPS))
    for index, point in enumerate(points):
        inputs[index, :-1] = np.poly(others[index])[::-1]
        weights[index] = point ** np.arange(3) / np.prod(point - others[index])
        outputs[:, index] = point ** np.arange(_CELLS)
    inputs[-1], weights[-1, -1], outputs[-1, -1] = np.poly(points)[::-1], 1, 1
    return Transforms(np.kron(inputs, inputs), np.kron(weights, weights), np.kron(outputs, outputs))


def pays(windows: Windows, counts: Shape, channels: int, num_output: int, group: int) -> bool:
    """Whether a convolution can be done so, and with fewer multiplications, those of the transforms included."""
    if (windows.kernel, windows.stride, windows.dilation, group) != ((3, 3), (1, 1), (1, 1), 1):
        return False
    tile = _TAPS**2 * (channels * num_output + _TAPS**2 * channels + _CELLS**2 * num_output)
    return tiles(counts) * tile < _SHARE * math.prod(counts) * 9 * channels * num_output


def tiles(counts: Shape) -> int:
    """How many tiles cover so many outputs."""
    return math.prod(-(-count // _CELLS) for count in counts)


def factor(weight: Array, counts: Shape) -> Factor:
    """Weights (num_output, channels, 3, 3), transformed, as 36 factors of the tiles that cover so many outputs."""
    num_output, channels = weight.shape[:2]
    kernels = weight.reshape(num_output, channels, 9).transpose(1, 2, 0)
    cut = product.strips(kernels, product.width(num_output, channels, tiles(counts)))
    return Factor(tuple(_transformed(strips) for strips in cut))


def _transformed(strips: Array) -> Array:
    """(count, channels, 9, width) to (count, 36, channels, width)."""
    count, channels, taps, width = strips.shape
    found = np.empty((count, _TAPS**2, channels, width), np.float32)
    # in double precision, so that the error of a weight is one rounding
    kernels, values = np.empty((channels, taps, width)), np.empty((channels, _TAPS**2, width))
    for strip, tiles in zip(strips, found, strict=True):
        np.copyto(kernels, strip)
        np.matmul(transforms().weights, kernels, out=values)
        np.copyto(tiles, values.swapaxes(0, 1), casting="same_kind")
    return found


class _Block(NamedTuple):
    """Views for some rows of tiles, in the order in which they are filled; every tile's numbers lie together.

    Attributes:
        fill: the work of padding the image's rows.
        windows: the inputs of every tile where they lie, (down, across, 6, 6, C).
        inputs: the same side by side, (tiles, 36, C).
        values: transformed, (tiles, 36, C).
        products: the work of (36, tiles, C) times (36, C, M).
        results: what comes of it, (tiles, 36, M).
        outputs: transformed back, (tiles, 16, M).
        parts: pairs of views: where outputs belong in the top, and the outputs.
        rows: the stretch of the top.
    """

    fill: Run
    windows: Array
    inputs: Array
    values: Array
    products: list[Product]
    results: Array
    outputs: Array
    parts: list[tuple[Array, Array]]
    rows: Array


@dataclass(frozen=True)
class Winograd:
    """One image (1, C, H, W) to (1, M, *counts).

    Attributes:
        before: cells of pad above and to the left.
        weights: see `factor`.
        finish: what is done to every stretch of the top's rows.
    """

    before: Shape
    counts: Shape
    weights: Factor
    finish: tuple[Op, ...]

    @property
    def _grid(self) -> tuple[int, int]:
        """Tiles down and across."""
        return -(-self.counts[0] // _CELLS), -(-self.counts[1] // _CELLS)

    def _span(self, down: int) -> Shape:
        """(height, width) of the inputs of so many rows of tiles."""
        return _CELLS * down + 2, _CELLS * self._grid[1] + 2

    @property
    def _halves(self) -> tuple[int, int]:
        """Numbers per tile in the two pieces of memory between which the transforms go back and forth."""
        channels, outputs = self.weights.inner, self.weights.columns
        return _TAPS**2 * max(channels, outputs), max(_TAPS**2 * channels, _CELLS**2 * outputs)

    @property
    def _height(self) -> int:
        """Rows of tiles in a block: few enough for the cache, but enough to be worth a reading of all weights."""
        down, across = self._grid
        worthwhile = min(self.weights.inner, self.weights.columns) // 6
        height = max(_BLOCK // (4 * across * sum(self._halves)), -(-worthwhile // across))
        return -(-down // -(-down // height))

    @property
    def scratch(self) -> int:
        planes = math.prod(self._span(self._height)) * self.weights.inner
        return planes + self._height * self._grid[1] * sum(self._halves)

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        starts = range(0, self._grid[0], self._height)
        blocks = [self._block(layout.image(bottoms[0]), top, scratch, start) for start in starts]
        forth, back = transforms().inputs.astype(np.float32), transforms().outputs.astype(np.float32)

        def run() -> None:
            for block in blocks:
                block.fill()
                np.copyto(block.inputs.reshape(block.windows.shape), block.windows)
                np.matmul(forth, block.inputs, out=block.values)
                for x, strips, out in block.products:
                    np.matmul(x, strips, out=out)
                np.matmul(back, block.results, out=block.outputs)
                for place, outputs in block.parts:
                    np.copyto(place, outputs)
                for op in self.finish:
                    op(block.rows, block.rows)

        return run

    def _block(self, image: Array, top: Array, scratch: Array, start: int) -> _Block:
        channels, num_output, across = self.weights.inner, self.weights.columns, self._grid[1]
        down = min(self._height, self._grid[0] - start)
        count = down * across
        before = (self.before[0] - start * _CELLS, self.before[1])
        planes, fill = padded(image, before, self._span(down), scratch)
        free = scratch[math.prod(self._span(self._height)) * channels :]
        y, x, c = planes.strides
        windows = np.lib.stride_tricks.as_strided(
            planes,
            (down, across, _TAPS, _TAPS, channels),
            (_CELLS * y, _CELLS * x, y, x, c),
            writeable=False,
        )
        first, second = free[: count * self._halves[0]], free[count * self._halves[0] :]
        inputs = first[: windows.size].reshape(count, _TAPS**2, channels)
        values = second[: windows.size].reshape(count, _TAPS**2, channels)
        results = first[: count * _TAPS**2 * num_output].reshape(count, _TAPS**2, num_output)
        outputs = second[: count * _CELLS**2 * num_output].reshape(count, _CELLS**2, num_output)
        products = self.weights.products(values.transpose(1, 0, 2), results.transpose(1, 0, 2))
        rows = slice(start * _CELLS, min((start + down) * _CELLS, self.counts[0]))
        parts = list(_parts(layout.image(top)[rows], outputs.reshape(down, across, _CELLS, _CELLS, num_output)))
        return _Block(fill, windows, inputs, values, products, results, outputs, parts, layout.rows(top)[rows])


def _parts(top: Array, outputs: Array) -> Iterator[tuple[Array, Array]]:
    """The outputs of whole tiles, and of those that stick out of the top on either side: pairs of place and outputs."""
    height, width, channels = top.shape
    for rows, down in _edges(height):
        for columns, across in _edges(width):
            place = top[rows, columns]
            kept = outputs[down, across]
            tall, wide = place.shape[0] // len(kept), place.shape[1] // kept.shape[1]
            tiled = place.reshape(len(kept), tall, kept.shape[1], wide, channels).transpose(0, 2, 1, 3, 4)
            yield tiled, kept[:, :, :tall, :wide]


def _edges(length: int) -> Iterator[tuple[slice, slice]]:
    """The cells of an axis and the tiles they lie in: first the whole tiles, then the last one if it sticks out."""
    whole = length // _CELLS
    if whole:
        yield slice(0, whole * _CELLS), slice(0, whole)
    if length % _CELLS:
        yield slice(whole * _CELLS, length), slice(whole, whole + 1)
