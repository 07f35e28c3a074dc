"""Log: the logarithm to `base` of shift + scale * x (caffe log_layer.cpp)."""

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
        LayerError: no logarithm has that base; -1 stands for e.
    """
    if p.base != -1 and (not 0 < p.base < math.inf or p.base == 1):
        raise LayerError(f"log_param base is {p.base:g}; give a positive number other than 1, or -1 for e")
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """The logarithm of 0 is minus infinity, that of a negative number NaN."""
    (x,) = bottoms
    per_log = 1.0 if p.base == -1 else 1 / math.log(p.base)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (np.float32(per_log) * np.log(np.float32(p.scale) * x + np.float32(p.shift)),)


KIND = LayerKind("Log", Params, shape, forward, field="log_param")
