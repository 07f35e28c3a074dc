"""Reshape: the same values under other axes (caffe reshape_layer.cpp)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xportdnn import decode
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shape, Shapes
from xportdnn.layers.input import BlobShape
from xportdnn.shapes import written

SHAPE = decode.message(BlobShape, BlobShape())


@dataclass(frozen=True)
class Params:
    shape: BlobShape = SHAPE
    axis: int = 0
    num_axes: int = -1


def replaced(p: Params, ndim: int) -> tuple[int, int]:
    """First and last+1 of the axes that `shape` replaces; axis -1 is the place after the last one.

    Raises:
        LayerError: the bottom has no such axes.
    """
    start = p.axis if p.axis >= 0 else p.axis + ndim + 1
    if not 0 <= start <= ndim:
        raise LayerError(f"reshape_param axis {p.axis} is out of range; use {-ndim - 1} to {ndim}")
    if p.num_axes < -1 or start + p.num_axes > ndim:
        raise LayerError(f"num_axes {p.num_axes} from axis {start} is out of range; use -1, or 0 to {ndim - start}")
    return start, ndim if p.num_axes == -1 else start + p.num_axes


def copied(p: Params, bottom: Shape, start: int) -> list[int]:
    """The dims of `shape` with every 0 replaced by the bottom's axis of the same place.

    Raises:
        LayerError: a negative dim, a second -1, or a 0 without an axis to copy.
    """
    dims = list(p.shape.dim)
    for index, dim in enumerate(dims, start):
        if dim < -1:
            raise LayerError(f"reshape_param dim {dim} is not a size; use 0 to copy, -1 to infer, or a positive number")
        if dim == 0 and index >= len(bottom):
            raise LayerError(f"reshape_param dim 0 would copy axis {index}, but the bottom is {written(bottom)}")
        if dim == 0:
            dims[index - start] = bottom[index]
    if dims.count(-1) > 1:
        raise LayerError(f"reshape_param has {dims.count(-1)} dims of -1; only one can be inferred")
    return dims


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's with `num_axes` axes from `axis` on replaced by `shape`; one -1 takes what is left.

    Raises:
        LayerError: axes out of range, dims that are no sizes, or another number of values than the bottom has.
    """
    (bottom,) = bottoms
    start, end = replaced(p, len(bottom))
    dims = copied(p, bottom, start)
    rest = math.prod(bottom[:start]) * math.prod(bottom[end:])
    known = rest * math.prod(dim for dim in dims if dim != -1)
    count = math.prod(bottom)
    if count % known if -1 in dims else count != known:
        raise LayerError(
            f"reshape_param dims {written(p.shape.dim)} do not hold the {count} values of the bottom, "
            f"which is {written(bottom)}; let one dim be -1 or change the others"
        )
    inferred = (count // known if dim == -1 else dim for dim in dims)
    return ((*bottom[:start], *inferred, *bottom[end:]),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    (top,) = shape(p, (x.shape,))
    return (x.reshape(top),)


KIND = LayerKind("Reshape", Params, shape, forward, field="reshape_param", in_place=False, ties="all")
