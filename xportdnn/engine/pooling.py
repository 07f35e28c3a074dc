"""Pooling along the height, then along the width: the cost grows with the sum of a window's sides."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.engine import layout
from xportdnn.engine.kernel import Run
from xportdnn.kernels import Windows
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.layers.pooling import FLT_MAX, divisors
from xportdnn.lazy import np


@dataclass(frozen=True)
class Pooling:
    """One image (1, C, H, W) to (1, C, *counts): the maximum or the average of every window, of finite numbers."""

    bottom: Shape
    windows: Windows
    counts: Shape
    maximum: bool

    @property
    def scratch(self) -> int:
        return self.counts[0] * self.bottom[3] * self.bottom[1]

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        height, width, channels = layout.size(self.bottom)
        lines = scratch[: self.scratch].reshape(self.counts[0], width, channels)
        out = layout.image(top)
        down = self._fold(layout.image(bottoms[0]), lines, axis=0)
        across = self._fold(lines.swapaxes(0, 1), out.swapaxes(0, 1), axis=1)
        cells = divisors(self.windows, (height, width), self.counts)[:, :, np.newaxis].astype(np.float32)

        def run() -> None:
            down()
            across()
            if not self.maximum:
                np.divide(out, cells, out=out)

        return run

    def _fold(self, x: Array, out: Array, axis: int) -> Run:
        """The maxima or sums over the windows along the first axis, which is `axis` of the image."""
        reduce, neutral = (np.maximum, -FLT_MAX) if self.maximum else (np.add, 0.0)
        windows = self.windows
        kernel, stride, before = windows.kernel[axis], windows.stride[axis], windows.pad[axis]
        everywhere: list[Array] = []  # taps that lie inside the image for all windows
        some: list[tuple[Array, Array]] = []
        for tap in range(-before, kernel - before):
            first, last = max(0, -(tap // stride)), min(len(out) - 1, (len(x) - 1 - tap) // stride)
            cells = x[first * stride + tap : last * stride + tap + 1 : stride] if first <= last else x[:0]
            if len(cells) == len(out):
                everywhere.append(cells)
            elif len(cells):
                some.append((out[first : last + 1], cells))

        def run() -> None:
            if len(everywhere) > 1:
                reduce(everywhere[0], everywhere[1], out=out)
            else:
                np.copyto(out, everywhere[0] if everywhere else neutral)
            for cells in everywhere[2:]:
                reduce(out, cells, out=out)
            for part, cells in some:
                reduce(part, cells, out=part)

        return run
