"""Slice: one blob cut along one axis into several (caffe slice_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from xportdnn import decode
from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shape, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import axis_or_legacy


@dataclass(frozen=True)
class Params:
    axis: int | None = None
    slice_dim: Uint | None = None
    slice_point: tuple[Uint, ...] = ()
    tops: int = decode.count_of("top")


def points(p: Params, size: int) -> tuple[int, ...]:
    """Where an axis of `size` is cut: at the given points, or into equal parts.

    Raises:
        LayerError: the points do not give every top a part, or the parts cannot be equal.
    """
    if not p.slice_point:
        if size % p.tops:
            raise LayerError(f"{size} cannot be cut into {p.tops} equal tops; give {p.tops - 1} slice_point entries")
        return tuple(range(size // p.tops, size, size // p.tops))
    if len(p.slice_point) != p.tops - 1:
        raise LayerError(f"{len(p.slice_point)} slice_point entries for {p.tops} tops; {p.tops} tops need {p.tops - 1}")
    edges = (0, *p.slice_point, size)
    for before, after in pairwise(edges):
        if after <= before:
            given = ", ".join(map(str, p.slice_point))
            raise LayerError(f"slice_point {given} must rise and stay between 1 and {size - 1}")
    return p.slice_point


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's shape with a part of its axis for every top.

    Raises:
        LayerError: no such axis, or it cannot be cut as asked.
    """
    (bottom,) = bottoms
    axis = axis_or_legacy(bottom, p.axis, p.slice_dim, "slice_dim")
    edges = (0, *points(p, bottom[axis]), bottom[axis])

    def part(start: int, end: int) -> Shape:
        return (*bottom[:axis], end - start, *bottom[axis + 1 :])

    return tuple(part(start, end) for start, end in pairwise(edges))


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    axis = axis_or_legacy(x.shape, p.axis, p.slice_dim, "slice_dim")
    return tuple(np.split(x, points(p, x.shape[axis]), axis))


KIND = LayerKind("Slice", Params, shape, forward, field="slice_param", tops=(1, None), in_place=False, ties="all")
