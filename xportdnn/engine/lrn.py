"""LRN across channels: the squares of all pixels in one vector, zeros between them, added to itself shifted."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.engine import layout
from xportdnn.engine.kernel import Run, blocks
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np


@dataclass(frozen=True)
class Lrn:
    """x * (k + alpha / size * sum of `size` channels' squares) ** -beta for one image."""

    bottom: Shape
    size: int
    alpha: float
    beta: float
    k: float

    @property
    def _reach(self) -> int:
        return min(self.size // 2, self.bottom[1] - 1)

    @property
    def _pitch(self) -> int:
        """Numbers from one pixel to the next: its channels and zeros that keep it apart."""
        return self.bottom[1] + self._reach

    def _blocks(self) -> list[slice]:
        height, width, channels = layout.size(self.bottom)
        return list(blocks(height * width, 1, channels))

    @property
    def scratch(self) -> int:
        pixels: int = max(part.stop - part.start for part in self._blocks())
        return 2 * (pixels * self._pitch + self._reach)

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        source, target = layout.pixels(bottoms[0]), layout.pixels(top)
        stretches = [self._block(source[part], target[part], scratch) for part in self._blocks()]

        def run() -> None:
            for stretch in stretches:
                stretch()

        return run

    def _block(self, x: Array, out: Array, scratch: Array) -> Run:
        reach, channels = self._reach, x.shape[1]
        length = len(x) * self._pitch
        spread, sums = scratch[: length + 2 * reach], scratch[length + 2 * reach :][:length]
        grid = spread[reach : reach + length].reshape(len(x), self._pitch)
        squares, between = grid[:, :channels], grid[:, channels:]
        shifted = [spread[start : start + length] for start in range(2 * reach + 1)]
        free = [edge for edge in (spread[:reach], spread[reach + length :], between) if edge.size]
        powers = spread[:length]  # the squares are of no use any more when these are computed
        factors = powers.reshape(len(x), self._pitch)[:, :channels]
        scale, base = np.float32(self.alpha / self.size), np.float32(self.k)

        def run() -> None:
            for edge in free:
                edge.fill(0)
            np.multiply(x, x, out=squares)
            np.copyto(sums, shifted[0])
            for neighbours in shifted[1:]:
                np.add(sums, neighbours, out=sums)
            np.multiply(sums, scale, out=sums)
            np.add(sums, base, out=sums)
            if self.beta == 0.75:  # the usual one, by square roots: power takes most of the time otherwise
                np.sqrt(sums, out=powers)
                np.multiply(powers, sums, out=powers)
                np.sqrt(powers, out=powers)
            else:
                np.power(sums, np.float32(self.beta), out=powers)
            np.divide(x, factors, out=out)

        return run
