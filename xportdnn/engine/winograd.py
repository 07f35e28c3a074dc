"""3x3 convolution of stride 1 by Winograd's minimal filtering: 4x4 outputs from 36 products instead of 144.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308: F(4x4, 3x3). Each of the three
transforms is one matrix product with the Kronecker square of the one-dimensional matrix, over all tiles and channels
at once; between them stand 36 matrix products over the channels.

The points of interpolation are 0, +-1/sqrt(2), +-sqrt(2) and infinity. Against the usual +-1 and +-2 they take the
rounding error to about a third (see Barabasz et al., arXiv:1803.10986, on the choice of points).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from xportdnn.engine import layout
from xportdnn.engine.kernel import Op, Run, padded
from xportdnn.kernels import Windows
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELLS = 4  # outputs of a tile along each axis
_TAPS = _CELLS + 2  # inputs
# Bytes of transformed tiles that a block may take.
_TILES = 3 << 19
_LEAST_CHANNELS = 32
_LEAST_SIDE = 12


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
    """Whether a convolution can be done so, and is faster for it."""
    return (
        windows.kernel == (3, 3)
        and windows.stride == windows.dilation == (1, 1)
        and group == 1
        and min(channels, num_output) >= _LEAST_CHANNELS
        and min(counts) >= _LEAST_SIDE
    )


def transformed(weight: Array) -> Array:
    """(num_output, channels, 3, 3) as (36, channels, num_output)."""
    num_output, channels = weight.shape[:2]
    taps = weight.reshape(-1, 9).T.astype(np.float32)
    tiles = np.matmul(transforms().weights.astype(np.float32), taps)
    return np.ascontiguousarray(tiles.reshape(-1, num_output, channels).transpose(0, 2, 1))


class _Block(NamedTuple):
    """Views for some rows of tiles, in the order in which they are filled.

    Attributes:
        windows, tiles: the inputs of every tile, where they lie and side by side, (6, 6, down, across, C).
        values: transformed, (36, tiles, C).
        products: (36, tiles, M).
        cells: the outputs of every tile, (16, tiles * M).
        parts: pairs of views: where cells belong in the top, and the cells.
        rows: the stretch of the top.
    """

    windows: Array
    tiles: Array
    values: Array
    products: Array
    cells: Array
    parts: list[tuple[Array, Array]]
    rows: Array


@dataclass(frozen=True)
class Winograd:
    """One image (1, C, H, W) to (1, M, *counts).

    Attributes:
        before: cells of pad above and to the left.
        weights: see `transformed`.
        finish: what is done to every stretch of the top's rows.
    """

    before: Shape
    counts: Shape
    weights: Array
    finish: tuple[Op, ...]

    @property
    def _grid(self) -> tuple[int, int]:
        """Tiles down and across."""
        return -(-self.counts[0] // _CELLS), -(-self.counts[1] // _CELLS)

    @property
    def _span(self) -> Shape:
        return tuple(_CELLS * tiles + 2 for tiles in self._grid)

    @property
    def _halves(self) -> tuple[int, int]:
        """Numbers per tile in the two pieces of memory between which the transforms go back and forth."""
        channels, outputs = self.weights.shape[1:]
        return _TAPS**2 * max(channels, outputs), max(_TAPS**2 * channels, _CELLS**2 * outputs)

    @property
    def _height(self) -> int:
        """Rows of tiles in a block: few enough for the cache, but enough to pay for the packing of the weights."""
        down, across = self._grid
        worthwhile: int = min(self.weights.shape[1:]) // 3
        height = max(_TILES // (4 * across * sum(self._halves)), -(-worthwhile // across))
        blocks: int = -(-down // height)
        return -(-down // blocks)

    @property
    def scratch(self) -> int:
        channels: int = self.weights.shape[1]
        return math.prod(self._span) * channels + self._height * self._grid[1] * sum(self._halves)

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        channels = self.weights.shape[1]
        planes, fill = padded(layout.image(bottoms[0]), self.before, self._span, scratch)
        free = scratch[math.prod(self._span) * channels :]
        blocks = [self._block(planes, top, free, start) for start in range(0, self._grid[0], self._height)]
        inputs, outputs = transforms().inputs.astype(np.float32), transforms().outputs.astype(np.float32)

        def run() -> None:
            fill()
            for block in blocks:
                np.copyto(block.tiles, block.windows)
                np.matmul(inputs, block.tiles.reshape(len(inputs), -1), out=block.values.reshape(len(inputs), -1))
                np.matmul(block.values, self.weights, out=block.products)
                np.matmul(outputs, block.products.reshape(len(inputs), -1), out=block.cells)
                for place, cells in block.parts:
                    np.copyto(place, cells)
                for op in self.finish:
                    op(block.rows, block.rows)

        return run

    def _block(self, planes: Array, top: Array, free: Array, start: int) -> _Block:
        channels, outputs = self.weights.shape[1:]
        across = self._grid[1]
        down = min(self._height, self._grid[0] - start)
        count = down * across
        y, x, c = planes.strides
        windows = np.lib.stride_tricks.as_strided(
            planes[start * _CELLS :],
            (_TAPS, _TAPS, down, across, channels),
            (y, x, _CELLS * y, _CELLS * x, c),
            writeable=False,
        )
        first, second = free[: count * self._halves[0]], free[count * self._halves[0] :]
        cells = second[: _CELLS**2 * count * outputs].reshape(_CELLS**2, -1)
        rows = slice(start * _CELLS, min((start + down) * _CELLS, self.counts[0]))
        return _Block(
            windows,
            first[: windows.size].reshape(windows.shape),
            second[: windows.size].reshape(_TAPS**2, count, channels),
            first[: _TAPS**2 * count * outputs].reshape(_TAPS**2, count, outputs),
            cells,
            list(_parts(layout.image(top)[rows], cells.reshape(_CELLS, _CELLS, down, across, outputs))),
            layout.rows(top)[rows],
        )


def _parts(top: Array, cells: Array) -> Iterator[tuple[Array, Array]]:
    """The cells of whole tiles, and of those that stick out of the top on either side: pairs of place and cells."""
    height, width, outputs = top.shape
    for rows, down in _tiles(height):
        for columns, across in _tiles(width):
            place = top[rows, columns]
            tall, wide = place.shape[0] // _count(down), place.shape[1] // _count(across)
            tiled = place.reshape(_count(down), tall, _count(across), wide, outputs).transpose(1, 3, 0, 2, 4)
            yield tiled, cells[:tall, :wide, down, across]


def _tiles(length: int) -> Iterator[tuple[slice, slice]]:
    """The cells of an axis and the tiles they lie in: first the whole tiles, then the last one if it sticks out."""
    whole = length // _CELLS
    if whole:
        yield slice(0, whole * _CELLS), slice(0, whole)
    if length % _CELLS:
        yield slice(whole * _CELLS, length), slice(whole, whole + 1)


def _count(tiles: slice) -> int:
    return int(tiles.stop - tiles.start)
