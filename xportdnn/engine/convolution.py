"""Convolution as matrix products: the windows of some image rows unrolled (im2col), times the weights.

A stretch of rows is small enough for its unrolled windows to stay in the cache. 1x1 kernels read the image as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from xportdnn.engine import layout, product
from xportdnn.engine.kernel import Op, Run, blocks, padded
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
    def _span(self) -> Shape:
        return self.windows.span(self.counts)

    @property
    def _direct(self) -> bool:
        """Whether the image itself is the matrix of its windows."""
        windows = self.windows
        return windows.kernel == windows.stride == (1, 1) and windows.pad == (0, 0)

    @property
    def _padded(self) -> int:
        return math.prod(self._span) * self.bottom[1]

    def _blocks(self) -> list[slice]:
        rows, width = self.counts
        numbers = self.weights.stack * (self.weights.columns if self._direct else self.weights.inner)
        return list(blocks(rows, width, numbers))

    @property
    def scratch(self) -> int:
        if self._direct:
            return 0
        tallest: int = max(rows.stop - rows.start for rows in self._blocks())
        return self._padded + tallest * self.counts[1] * self.weights.stack * self.weights.inner

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        group, taps, width = self.weights.stack, self.weights.inner, self.counts[1]
        planes, fill = padded(layout.image(bottoms[0]), self.windows.pad, self._span, scratch)
        patches = self._patches(planes)
        columns = scratch[self._padded :]
        target = layout.pixels(top).reshape(-1, group, self.weights.columns).transpose(1, 0, 2)
        stretches = []
        for rows in self._blocks():
            wanted = patches[:, rows]
            pixels = slice(rows.start * width, rows.stop * width)
            if self._direct:
                unrolled = wanted
                matrix = layout.pixels(bottoms[0])[pixels].reshape(-1, group, taps).transpose(1, 0, 2)
            else:
                unrolled = columns[: wanted.size].reshape(wanted.shape)
                matrix = unrolled.reshape(group, -1, taps)
            products = self.weights.products(matrix, target[:, pixels])
            stretches.append((unrolled, wanted, products, layout.rows(top)[rows]))

        def run() -> None:
            fill()
            for unrolled, wanted, products, rows in stretches:
                if unrolled is not wanted:
                    np.copyto(unrolled, wanted)
                for x, strips, out in products:
                    np.matmul(x, strips, out=out)
                for op in self.finish:
                    op(rows, rows)

        return run

    def _patches(self, planes: Array) -> Array:
        """Every window of (*span, C), a view of shape (group, *counts, *kernel, C / group)."""
        group = self.weights.stack
        channels = planes.shape[2] // group
        y, x, c = planes.strides
        (sy, sx), (dy, dx) = self.windows.stride, self.windows.dilation
        return np.lib.stride_tricks.as_strided(
            planes,
            (group, *self.counts, *self.windows.kernel, channels),
            (c * channels, y * sy, x * sx, y * dy, x * dx, c),
            writeable=False,
        )
