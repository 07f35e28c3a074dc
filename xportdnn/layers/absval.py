"""AbsVal: |x| (caffe absval_layer.cpp, which refuses to work in place)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    """AbsVal has no parameters."""


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    return (np.abs(x),)


KIND = LayerKind("AbsVal", Params, shape, forward, in_place=False)
