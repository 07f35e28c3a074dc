"""Layers that put several images together: number by number, or side by side."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.engine import layout
from xportdnn.engine.kernel import Op, Run, blocks
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np

_OPERATIONS = {"PROD": "multiply", "SUM": "add", "MAX": "maximum"}


@dataclass(frozen=True)
class Eltwise:
    """Product, sum or maximum of bottoms of one shape, weighted by `coeff` if there are any."""

    operation: str
    coeff: tuple[float, ...]
    finish: tuple[Op, ...]
    scratch: int = 0

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        height, width, channels = layout.size(top.shape)
        images = [layout.rows(array) for array in (*bottoms, top)]
        stretches = [[image[rows] for image in images] for rows in blocks(height, width, channels)]
        reduce: np.ufunc = getattr(np, _OPERATIONS[self.operation])
        coeff = [np.float32(c) for c in self.coeff] if self.operation == "SUM" else []

        def run() -> None:
            for *xs, out in stretches:
                if coeff:
                    xs = [c * x for c, x in zip(coeff, xs, strict=True)]
                reduce(xs[0], xs[1], out=out)
                for x in xs[2:]:
                    reduce(out, x, out=out)
                for op in self.finish:
                    op(out, out)

        return run


@dataclass(frozen=True)
class Concat:
    """Bottoms side by side along the channels."""

    scratch: int = 0

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        target = layout.pixels(top)
        copies = []
        start = 0
        for bottom in bottoms:
            source = layout.pixels(bottom)
            copies.append((target[:, start : start + source.shape[1]], source))
            start += source.shape[1]

        def run() -> None:
            for part, source in copies:
                np.copyto(part, source)

        return run
