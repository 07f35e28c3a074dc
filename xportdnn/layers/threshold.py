"""Threshold: 1 where x is above `threshold`, else 0 (caffe threshold_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    threshold: float = 0.0


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    return ((x > np.float32(p.threshold)).astype(np.float32),)


KIND = LayerKind("Threshold", Params, shape, forward, field="threshold_param")
