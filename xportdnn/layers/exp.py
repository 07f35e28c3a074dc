"""Exp: base ^ (shift + scale * x) (caffe exp_layer.cpp)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    base: float = -1.0
    scale: float = 1.0
    shift: float = 0.0


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's.

    Raises:
        LayerError: base is neither positive nor -1, which stands for e.
    """
    if p.base != -1 and not 0 < p.base < math.inf:
        raise LayerError(f"exp_param base is {p.base:g}; give a positive number, or -1 for e")
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """What float32 cannot hold becomes infinity."""
    (x,) = bottoms
    log_base = 1.0 if p.base == -1 else math.log(p.base)
    with np.errstate(over="ignore"):
        return (np.exp(np.float32(log_base * p.scale) * x + np.float32(log_base * p.shift)),)


KIND = LayerKind("Exp", Params, shape, forward, field="exp_param")
