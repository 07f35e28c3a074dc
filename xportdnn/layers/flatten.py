"""Flatten: the axes from `axis` to `end_axis` become one (caffe flatten_layer.cpp)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.shapes import axis_index


@dataclass(frozen=True)
class Params:
    axis: int = 1
    end_axis: int = -1


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's with the axes from `axis` to `end_axis`, both included, multiplied out.

    An `end_axis` just before `axis` puts a new axis of size 1 there.

    Raises:
        LayerError: no such axis, or `end_axis` further before `axis`.
    """
    (bottom,) = bottoms
    first, last = axis_index(bottom, p.axis), axis_index(bottom, p.end_axis, "end_axis")
    if last + 1 < first:
        raise LayerError(f"end_axis {p.end_axis} comes before axis {p.axis}; exchange them")
    return ((*bottom[:first], math.prod(bottom[first : last + 1]), *bottom[last + 1 :]),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    (top,) = shape(p, (x.shape,))
    return (x.reshape(top),)


KIND = LayerKind("Flatten", Params, shape, forward, field="flatten_param", in_place=False, ties="all")
