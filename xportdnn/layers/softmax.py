"""Softmax: e^x divided by its sum along one axis (caffe softmax_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import axis_index


@dataclass(frozen=True)
class Params:
    axis: int = 1

    IGNORED = ("engine",)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's.

    Raises:
        LayerError: the bottom has no such axis.
    """
    axis_index(bottoms[0], p.axis)
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """The maximum is subtracted first, which changes nothing but keeps e^x finite."""
    (x,) = bottoms
    grown = np.exp(x - x.max(axis=p.axis, keepdims=True))
    return (grown / grown.sum(axis=p.axis, keepdims=True),)


KIND = LayerKind("Softmax", Params, shape, forward, field="softmax_param")
