"""Concat: blobs one after the other along one axis (caffe concat_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import axis_or_legacy, written


@dataclass(frozen=True)
class Params:
    axis: int | None = None
    concat_dim: Uint | None = None


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The first bottom's, its axis as long as those of all bottoms together.

    Raises:
        LayerError: no such axis, or bottoms that differ along another one.
    """
    first = bottoms[0]
    axis = axis_or_legacy(first, p.axis, p.concat_dim, "concat_dim")
    for index, other in enumerate(bottoms):
        if len(other) != len(first) or first[:axis] + first[axis + 1 :] != other[:axis] + other[axis + 1 :]:
            raise LayerError(
                f"bottom {index} is {written(other)} but bottom 0 is {written(first)}; "
                f"they may differ along axis {axis} only"
            )
    return ((*first[:axis], sum(each[axis] for each in bottoms), *first[axis + 1 :]),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    axis = axis_or_legacy(bottoms[0].shape, p.axis, p.concat_dim, "concat_dim")
    return (np.concatenate(bottoms, axis),)


KIND = LayerKind("Concat", Params, shape, forward, field="concat_param", bottoms=(1, None), in_place=False, ties="all")
