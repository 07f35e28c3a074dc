"""Depthwise convolution: every channel with its own kernel, all taps of some image rows in one `einsum`.

With the weights repeated for every pixel of a row, a row of the top is a sum of products of long, contiguous rows,
one for each tap; `einsum` adds them up without temporaries. Where the stride leaves columns out, every tap first gets
its own columns side by side.
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
    def _planes(self) -> Shape:
        """Padded copies of the image, one for all taps or, with a stride, one for each tap along the width."""
        height, width = self.windows.span(self.counts)
        if self.windows.stride[1] == 1:
            return 1, height, width
        return self.windows.kernel[1], height, self.counts[1]

    @property
    def scratch(self) -> int:
        return math.prod(self._planes) * self.bottom[1]

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        x, out = layout.image(bottoms[0]), layout.rows(top)
        (height, width), channels = self.counts, self.bottom[1]
        (above, left), (down, step), (below, apart) = self.windows.pad, self.windows.stride, self.windows.dilation
        planes = scratch[: self.scratch].reshape(*self._planes, channels)
        fills: list[Run] = []
        for tap, plane in enumerate(planes):
            outside = max(0, -(-(left - tap * apart) // step))  # windows whose tap lies left of the image
            fills.append(pad(x[:, outside * step + tap * apart - left :: step], (above, outside), plane))
        own, y, pixel, number = planes.strides
        taps = np.lib.stride_tricks.as_strided(
            planes,
            (height, *self.windows.kernel, width * channels),
            (y * down, y * below, pixel * apart if step == 1 else own, number),
            writeable=False,
        )
        stretches = [(taps[rows], out[rows]) for rows in blocks(height, width, channels)]

        def run() -> None:
            for fill in fills:
                fill()
            for windows, rows in stretches:
                np.einsum("hijn,ijn->hn", windows, self.weights, out=rows)
                for op in self.finish:
                    op(rows, rows)

        return run
