"""ReLU: max(x, 0) + negative_slope * min(x, 0) (caffe relu_layer.cpp, also for slopes above 1)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    negative_slope: float = 0.0

    IGNORED = ("engine",)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    rectified = np.maximum(x, 0)
    if p.negative_slope:
        rectified += np.float32(p.negative_slope) * np.minimum(x, 0)
    return (rectified,)


KIND = LayerKind("ReLU", Params, shape, forward, field="relu_param", ties="all")
