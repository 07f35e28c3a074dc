"""Sigmoid: 1 / (1 + e^-x) (caffe sigmoid_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Array, Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    IGNORED = ("engine",)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return bottoms


def sigmoid(x: Array) -> Array:
    """Float32 of any shape to values in [0, 1]; the exponent is never positive, so that nothing overflows."""
    decay: Array = np.exp(-np.abs(x))
    numerator: Array = np.where(x < 0, decay, np.float32(1))
    return numerator / (1 + decay)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    return (sigmoid(x),)


KIND = LayerKind("Sigmoid", Params, shape, forward, field="sigmoid_param")
