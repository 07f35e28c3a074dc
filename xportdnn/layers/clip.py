"""Clip: x limited to [min, max] (caffe clip_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    min: float | None = None
    max: float | None = None


def limits(p: Params) -> tuple[float, float]:
    """Both limits; Caffe has no default for them.

    Raises:
        LayerError: one is missing.
    """
    if p.min is None or p.max is None:
        raise LayerError(f"clip_param has no {'min' if p.min is None else 'max'}; give both limits")
    return p.min, p.max


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's.

    Raises:
        LayerError: a limit is missing, or min is above max.
    """
    low, high = limits(p)
    if low > high:
        raise LayerError(f"clip_param min {low:g} is above max {high:g}; exchange them")
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    low, high = limits(p)
    return (np.clip(x, np.float32(low), np.float32(high)),)


KIND = LayerKind("Clip", Params, shape, forward, field="clip_param", ties="all")
