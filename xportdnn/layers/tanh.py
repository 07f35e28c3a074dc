"""TanH: the hyperbolic tangent (caffe tanh_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    IGNORED = ("engine",)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    return (np.tanh(x),)


KIND = LayerKind("TanH", Params, shape, forward, field="tanh_param")
