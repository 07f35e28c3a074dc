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

    def _planes(self, rows: int) -> Shape:
        """Padded rows of the image for so many of the top: once, or with a stride once for each tap along the width."""
        height, width = self.windows.span((rows, self.counts[1]))
        if self.windows.stride[1] == 1:
            return 1, height, width, self.bottom[1]
        return self.windows.kernel[1], height, self.counts[1], self.bottom[1]

    def _blocks(self) -> list[slice]:
        """Rows of the top whose planes fit a block."""
        copies, _, columns, channels = self._planes(1)
        height, width = self.counts
        return list(blocks(height, width, copies * self.windows.stride[0] * columns * channels // width))

    @property
    def scratch(self) -> int:
        return math.prod(self._planes(max(rows.stop - rows.start for rows in self._blocks())))

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        image, out = layout.image(bottoms[0]), layout.rows(top)
        stretches = [(*self._taps(image, rows, scratch), out[rows]) for rows in self._blocks()]

        def run() -> None:
            for fills, taps, rows in stretches:
                for fill in fills:
                    fill()
                np.einsum("hijn,ijn->hn", taps, self.weights, out=rows)
                for op in self.finish:
                    op(rows, rows)

        return run

    def _taps(self, image: Array, rows: slice, scratch: Array) -> tuple[list[Run], Array]:
        """All taps of some rows of the top, a view (rows, kh, kw, width * C), and the work of filling what it shows."""
        (above, left), (down, step), (below, apart) = self.windows.pad, self.windows.stride, self.windows.dilation
        shape = self._planes(rows.stop - rows.start)
        planes = scratch[: math.prod(shape)].reshape(shape)
        fills: list[Run] = []
        for tap, plane in enumerate(planes):
            outside = max(0, -(-(left - tap * apart) // step))  # windows whose tap lies left of the image
            columns = image[:, outside * step + tap * apart - left :: step]
            fills.append(pad(columns, (above - rows.start * down, outside), plane))
        own, y, pixel, number = planes.strides
        taps = np.lib.stride_tricks.as_strided(
            planes,
            (rows.stop - rows.start, *self.windows.kernel, self.counts[1] * self.bottom[1]),
            (y * down, y * below, pixel * apart if step == 1 else own, number),
            writeable=False,
        )
        return fills, taps
