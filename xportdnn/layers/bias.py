"""Bias: adds a blob, or the second bottom, along some axes (caffe bias_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.errors import LayerError
from xportdnn.kernels import along
from xportdnn.layers import Arrays, LayerKind, Shape, Shapes
from xportdnn.shapes import axis_index, written


@dataclass(frozen=True)
class Params:
    axis: int = 1
    num_axes: int = 1

    IGNORED = ("filler",)


def first_axis(bottom: Shape, blob: Shape, axis: int) -> int:
    """The axis of the bottom that the blob's first axis belongs to; where a single value goes is all the same."""
    return axis_index(bottom, axis) if blob else 0


def covered(bottoms: Shapes, axis: int, num_axes: int) -> Shape:
    """The shape of the blob that is laid over the first bottom: the second bottom's, or the axes it says.

    Raises:
        LayerError: the first bottom has no such axes, or the second one does not match them.
    """
    bottom = bottoms[0]
    if len(bottoms) > 1:
        start = first_axis(bottom, bottoms[1], axis)
        if bottom[start : start + len(bottoms[1])] != bottoms[1]:
            raise LayerError(
                f"the second bottom ({written(bottoms[1])}) does not match the first ({written(bottom)}) "
                f"from axis {start} on; change axis or the bottom"
            )
        return bottoms[1]
    start = axis_index(bottom, axis)
    end = len(bottom) if num_axes == -1 else start + num_axes
    if num_axes < -1 or end > len(bottom):
        raise LayerError(f"num_axes {num_axes} from axis {start} does not fit {written(bottom)}; use -1 for all axes")
    return bottom[start:end]


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The first bottom's.

    Raises:
        LayerError: the bias does not fit it.
    """
    covered(bottoms, p.axis, p.num_axes)
    return bottoms[:1]


def blobs(p: Params, bottoms: Shapes) -> Shapes:
    """None with a second bottom."""
    return (covered(bottoms, p.axis, p.num_axes),) if len(bottoms) == 1 else ()


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    x, bias = (*bottoms, *blobs)
    return (x + along(bias, first_axis(x.shape, bias.shape, p.axis), x.ndim),)


KIND = LayerKind("Bias", Params, shape, forward, field="bias_param", bottoms=(1, 2), blobs=blobs)
