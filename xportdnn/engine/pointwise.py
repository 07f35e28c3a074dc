"""Layers that change every number by itself, as operations on whole image rows that can follow another kernel.

A value per channel is laid out for a whole row of the image, width * channels numbers, so that NumPy's inner loops are
long whatever the number of channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, Union

from xportdnn.engine import layout
from xportdnn.engine.kernel import Op, Run, blocks
from xportdnn.layers import Array, Arrays, Shape, clip
from xportdnn.lazy import np
from xportdnn.network import Layer
from xportdnn.shapes import axis_index

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Affine:
    """(x - mean) * scale + shift for every channel, each (channels,) float64: BatchNorm, Scale, Bias and a row of them.

    The mean is taken off first and by itself: where it is large, nothing of the difference is lost.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]

    def then(self, after: Affine) -> Affine:
        """Both as one."""
        return Affine(self.mean, self.scale * after.scale, (self.shift - after.mean) * after.scale + after.shift)

    def ops(self, width: int) -> tuple[Op, ...]:
        """What of it changes anything, for images of this width."""
        steps = ((np.subtract, self.mean, 0.0), (np.multiply, self.scale, 1.0), (np.add, self.shift, 0.0))
        return tuple(
            _row_op(ufunc, channels.astype(np.float32), width)
            for ufunc, channels, neutral in steps
            if (channels != neutral).any()
        )


Part: TypeAlias = Union[Affine, Op]


def part(layer: Layer, top: Shape, blobs: Arrays) -> Part | None:
    """A layer as something to be done to the rows of an image of its top's shape, or None if it is not of the sort."""
    kind, p = layer.kind, layer.params
    if kind is None or len(layer.bottoms) != 1 or not layout.is_image(top):
        return None
    width, channels = layout.size(top)[1:]
    match kind.name:
        case "ReLU" if not p.negative_slope:
            return _row_op(np.maximum, np.zeros(channels, np.float32), width)
        case "ReLU":
            return _leaky(np.full(channels, p.negative_slope, np.float32), width)
        case "PReLU":
            return _leaky(np.broadcast_to(blobs[0], channels), width)
        case "ReLU6":
            return _clip(0.0, 6.0, channels, width)
        case "Clip":
            return _clip(*clip.limits(p), channels, width)
        case "BatchNorm" if p.use_global_stats:
            return _batch_norm(blobs, p.eps)
        case "Scale" | "Bias" if p.num_axes == 1 and axis_index(top, p.axis) == 1:
            zeros, ones = np.zeros(channels), np.ones(channels)
            scale, bias = (*((ones,) if kind.name == "Bias" else ()), *blobs, zeros)[:2]
            return Affine(zeros, scale.astype(np.float64), bias.astype(np.float64))
    return None


def _batch_norm(blobs: Arrays, eps: float) -> Affine:
    mean, variance, (count,) = (blob.astype(np.float64) for blob in blobs)
    factor = 1 / count if count else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return Affine(mean * factor, 1 / np.sqrt(variance * factor + eps), np.zeros_like(mean))


def merged(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The same with every run of `Affine`s made one."""
    found: list[Part] = []
    for each in parts:
        if found and isinstance(each, Affine) and isinstance(last := found[-1], Affine):
            found[-1] = last.then(each)
        else:
            found.append(each)
    return tuple(found)


def sequence(parts: Iterable[Part], width: int) -> tuple[Op, ...]:
    """One after the other, for images of this width."""
    ops: list[Op] = []
    for each in merged(parts):
        ops += each.ops(width) if isinstance(each, Affine) else [each]
    return tuple(ops)


def _row_op(ufunc: np.ufunc, channels: Array, width: int) -> Op:
    # a row even where all channels have one value: with a single number NumPy's maximum is four times slower
    row = np.tile(channels, width)

    def op(x: Array, out: Array) -> None:
        ufunc(x, row, out=out)

    return op


def _leaky(slope: Array, width: int) -> Op:
    zeros, slopes = np.zeros(slope.size * width, np.float32), np.tile(slope, width)

    def op(x: Array, out: Array) -> None:
        below = np.minimum(x, zeros)
        below *= slopes
        np.maximum(x, zeros, out=out)
        out += below

    return op


def _clip(low: float, high: float, channels: int, width: int) -> Op:
    raised = _row_op(np.maximum, np.full(channels, low, np.float32), width)
    lowered = _row_op(np.minimum, np.full(channels, high, np.float32), width)

    def op(x: Array, out: Array) -> None:
        raised(x, out)
        lowered(out, out)

    return op


def _same(x: Array, out: Array) -> None:
    np.copyto(out, x)


@dataclass(frozen=True)
class Pointwise:
    """Operations by themselves; the top may be the bottom's own memory."""

    ops: tuple[Op, ...]
    scratch: int = 0

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        source, target = layout.rows(bottoms[0]), layout.rows(top)
        height, width, channels = layout.size(top.shape)
        stretches = [(source[rows], target[rows]) for rows in blocks(height, width, channels)]
        first, *others = self.ops or (_same,)

        def run() -> None:
            for x, out in stretches:
                first(x, out)
                for op in others:
                    op(out, out)

        return run
