"""ReLU6: x limited to [0, 6] (the relu6_layer.cpp of the MobileNet forks; Howard et al., arXiv:1704.04861)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    """ReLU6 has no parameters."""


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    return (np.clip(x, np.float32(0), np.float32(6)),)


KIND = LayerKind("ReLU6", Params, shape, forward, ties="all")
