"""Swish: x * sigmoid(beta * x) (caffe swish_layer.cpp; Ramachandran et al., arXiv:1710.05941)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.layers.sigmoid import sigmoid
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    beta: float = 1.0


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    return (x * sigmoid(np.float32(p.beta) * x),)


KIND = LayerKind("Swish", Params, shape, forward, field="swish_param")
