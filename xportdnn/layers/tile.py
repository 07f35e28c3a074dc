"""Tile: the bottom several times along one axis (caffe tile_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import axis_index


@dataclass(frozen=True)
class Params:
    axis: int = 1
    tiles: int = 0


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's with the axis `tiles` times as long.

    Raises:
        LayerError: the bottom has no such axis, or `tiles` is missing or below 1.
    """
    (bottom,) = bottoms
    axis = axis_index(bottom, p.axis)
    if p.tiles < 1:
        raise LayerError(f"tile_param tiles is {p.tiles}; give how many copies the top holds, at least 1")
    return ((*bottom[:axis], p.tiles * bottom[axis], *bottom[axis + 1 :]),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    return (np.concatenate(bottoms * p.tiles, p.axis),)


KIND = LayerKind("Tile", Params, shape, forward, field="tile_param", in_place=False, ties="all")
