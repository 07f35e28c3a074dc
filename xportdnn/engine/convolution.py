"""Convolution as matrix products: the windows of some image rows unrolled (im2col), times the weights.

A stretch of rows is small enough for its unrolled windows to stay in the cache. 1x1 kernels read the image as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from xportdnn.engine import layout, product
from xportdnn.engine.kernel import Op, Run, blocks, nothing, padded
from xportdnn.engine.product import Factor
from xportdnn.kernels import Windows
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np


def factor(weight: Array, group: int, outputs: int) -> Factor:
    """Weights (num_output, channels / group, kh, kw) as factors of the unrolled windows of so many outputs."""
    taps = math.prod(weight.shape[1:])
    taps_first = weight.reshape(group, -1, *weight.shape[1:]).transpose(0, 3, 4, 2, 1)
    cut = product.strips(taps_first, product.width(len(weight) // group, taps, outputs))
    return Factor(tuple(strips.reshape(len(strips), group, taps, -1) for strips in cut))


@dataclass(frozen=True)
class Convolution:
    """One image (1, C, H, W) to (1, M, *counts).

    Attributes:
        bottom, counts: the image's shape, and how many windows lie over its height and width.
        weights: one factor for each group (see `factor`).
        finish: what is done to every stretch of the top's rows.
    """

    bottom: Shape
    windows: Windows
    counts: Shape
    weights: Factor
    finish: tuple[Op, ...]

    @property
    def _direct(self) -> bool:
        """Whether the image itself is the matrix of its windows."""
        windows = self.windows
        return windows.kernel == windows.stride == (1, 1) and windows.pad == (0, 0)

    def _blocks(self) -> list[slice]:
        rows, width = self.counts
        numbers = self.weights.stack * (self.weights.columns if self._direct else self.weights.inner)
        return list(blocks(rows, width, numbers))

    @property
    def _parts(self) -> tuple[int, int]:
        """What padded rows of the image and their unrolled windows take of the scratch."""
        if self._direct:
            return 0, 0
        tallest: int = max(rows.stop - rows.start for rows in self._blocks())
        planes = math.prod(self.windows.span((tallest, self.counts[1]))) * self.bottom[1]
        return planes, tallest * self.counts[1] * self.weights.stack * self.weights.inner

    @property
    def scratch(self) -> int:
        return sum(self._parts)

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        group, taps, width = self.weights.stack, self.weights.inner, self.counts[1]
        target = layout.pixels(top).reshape(-1, group, self.weights.columns).transpose(1, 0, 2)
        stretches = []
        for rows in self._blocks():
            pixels = slice(rows.start * width, rows.stop * width)
            if self._direct:
                unroll = nothing
                matrix = layout.pixels(bottoms[0])[pixels].reshape(-1, group, taps).transpose(1, 0, 2)
            else:
                unroll, columns = self._unroll(layout.image(bottoms[0]), rows, scratch)
                matrix = columns.reshape(group, -1, taps)
            stretches.append((unroll, self.weights.products(matrix, target[:, pixels]), layout.rows(top)[rows]))

        def run() -> None:
            for unroll, products, rows in stretches:
                unroll()
                for x, strips, out in products:
                    np.matmul(x, strips, out=out)
                for op in self.finish:
                    op(rows, rows)

        return run

    def _unroll(self, image: Array, rows: slice, scratch: Array) -> tuple[Run, Array]:
        """The work of unrolling the windows of some rows of the top, into (group, rows, width, *kernel, C / group)."""
        windows, counts = self.windows, (rows.stop - rows.start, self.counts[1])
        (above, left), (step, _) = windows.pad, windows.stride
        planes, fill = padded(image, (above - rows.start * step, left), windows.span(counts), scratch)
        patches = self._patches(planes, counts)
        columns = scratch[self._parts[0] :][: patches.size].reshape(patches.shape)

        def run() -> None:
            fill()
            np.copyto(columns, patches)

        return run, columns

    def _patches(self, planes: Array, counts: Shape) -> Array:
        """Every window of (*span, C), a view of shape (group, *counts, *kernel, C / group)."""
        channels = planes.shape[2] // self.weights.stack
        y, x, c = planes.strides
        (sy, sx), (dy, dx) = self.windows.stride, self.windows.dilation
        return np.lib.stride_tricks.as_strided(
            planes,
            (self.weights.stack, *counts, *self.windows.kernel, channels),
            (c * channels, y * sy, x * sx, y * dy, x * dx, c),
            writeable=False,
        )
