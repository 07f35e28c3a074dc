"""Depthwise convolution: every channel with its own kernel, all taps of a row of the image in one `einsum`.

With the weights repeated for every pixel of a row, a row of the top is the sum over the taps of products of long,
contiguous rows; `einsum` does them with multiply-add and without temporaries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from xportdnn.engine import layout
from xportdnn.engine.kernel import Op, Run, blocks, pad
from xportdnn.kernels import Windows
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np


def row_weights(weight: Array, width: int) -> Array:
    """(channels, 1, kh, kw) as (kh, kw, width * channels)."""
    return np.tile(weight[:, 0].transpose(1, 2, 0), (1, 1, width)).astype(np.float32)


@dataclass(frozen=True)
class Depthwise:
    """One image (1, C, H, W) to (1, C, *counts).

    Attributes:
        weights: see `row_weights`.
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
    def _padded(self) -> int:
        return math.prod(self._span) * self.bottom[1]

    @property
    def scratch(self) -> int:
        spread = self._span[0] * self.windows.kernel[1] * self.counts[1] * self.bottom[1]
        return self._padded + (spread if self.windows.stride[1] > 1 else 0)

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        planes, fill = pad(layout.image(bottoms[0]), self.windows.pad, self._span, scratch)
        height, width = self.counts
        channels = self.bottom[1]
        y, x, c = planes.strides
        step, apart = self.windows.stride[1], self.windows.dilation[1]
        strided = np.lib.stride_tricks.as_strided
        # every tap's own columns of all rows
        columns = strided(planes, (self._span[0], self.windows.kernel[1], width, channels), (y, x * apart, x * step, c))
        if step > 1:
            spread = scratch[self._padded :][: columns.size].reshape(columns.shape)
        else:
            spread = columns
        y, tap = spread.strides[:2]
        taps = strided(
            spread,
            (height, *self.windows.kernel, width * channels),
            (y * self.windows.stride[0], y * self.windows.dilation[0], tap, c),
            writeable=False,
        )
        out = layout.rows(top)
        stretches = [(taps[rows], out[rows]) for rows in blocks(height, 4 * width * channels, width)]

        def run() -> None:
            fill()
            if spread is not columns:
                np.copyto(spread, columns)
            for windows, rows in stretches:
                np.einsum("hijn,ijn->hn", windows, self.weights, out=rows)
                for op in self.finish:
                    op(rows, rows)

        return run
