"""Convolution as matrix products: the windows of some image rows unrolled (im2col), times the weights.

A stretch of rows is small enough for its unrolled windows to stay in the cache and large enough to pay for the packing
of the weights that BLAS does at every product. 1x1 kernels read the image as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from xportdnn.engine import layout
from xportdnn.engine.kernel import Op, Run, blocks, padded
from xportdnn.kernels import Windows
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np

# Bytes of unrolled windows.
_COLUMNS = 1 << 19


def matrices(weight: Array, group: int) -> Array:
    """(num_output, channels / group, kh, kw) as (group, kh * kw * channels / group, num_output / group)."""
    num_output, channels, height, width = weight.shape
    grouped = weight.reshape(group, num_output // group, channels, height, width)
    taps_first = np.ascontiguousarray(grouped.transpose(0, 3, 4, 2, 1), np.float32)
    return taps_first.reshape(group, height * width * channels, num_output // group)


@dataclass(frozen=True)
class Convolution:
    """One image (1, C, H, W) to (1, M, *counts).

    Attributes:
        bottom, counts: the image's shape, and how many windows lie over its height and width.
        weights: see `matrices`.
        finish: what is done to every stretch of the top's rows.
    """

    bottom: Shape
    windows: Windows
    counts: Shape
    weights: Array
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
        taps = self.weights.shape[0] * self.weights.shape[1]
        if self._direct:
            return list(blocks(rows, 4 * width * self.weights.shape[0] * self.weights.shape[2], width))
        return list(blocks(rows, 4 * width * taps, width, _COLUMNS))

    @property
    def scratch(self) -> int:
        if self._direct:
            return 0
        tallest: int = max(rows.stop - rows.start for rows in self._blocks())
        group, taps = self.weights.shape[:2]
        return int(self._padded + tallest * self.counts[1] * group * taps)

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        (group, taps, outputs), width = self.weights.shape, self.counts[1]
        planes, fill = padded(layout.image(bottoms[0]), self.windows.pad, self._span, scratch)
        patches = self._patches(planes)
        columns = scratch[self._padded :]
        target = layout.pixels(top).reshape(-1, group, outputs).transpose(1, 0, 2)
        stretches = []
        for rows in self._blocks():
            wanted = patches[:, rows]
            pixels = slice(rows.start * width, rows.stop * width)
            if self._direct:
                matrix = layout.pixels(bottoms[0])[pixels].reshape(-1, group, taps).transpose(1, 0, 2)
                unrolled = wanted
            else:
                unrolled = columns[: wanted.size].reshape(wanted.shape)
                matrix = unrolled.reshape(group, -1, taps)
            stretches.append((unrolled, wanted, matrix, target[:, pixels], layout.rows(top)[rows]))

        def run() -> None:
            fill()
            for unrolled, wanted, matrix, out, rows in stretches:
                if unrolled is not wanted:
                    np.copyto(unrolled, wanted)
                np.matmul(matrix, self.weights, out=out)
                for op in self.finish:
                    op(rows, rows)

        return run

    def _patches(self, planes: Array) -> Array:
        """Every window of (*span, C), a view of shape (group, *counts, *kernel, C / group)."""
        group = self.weights.shape[0]
        channels = planes.shape[2] // group
        y, x, c = planes.strides
        (sy, sx), (dy, dx) = self.windows.stride, self.windows.dilation
        return np.lib.stride_tricks.as_strided(
            planes,
            (group, *self.counts, *self.windows.kernel, channels),
            (c * channels, y * sy, x * sx, y * dy, x * dx, c),
            writeable=False,
        )
