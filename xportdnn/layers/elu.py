"""ELU: x where positive, else alpha * (e^x - 1) (caffe elu_layer.cpp; Clevert et al., arXiv:1511.07289)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    alpha: float = 1.0


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    return (np.maximum(x, 0) + np.float32(p.alpha) * np.expm1(np.minimum(x, 0)),)


KIND = LayerKind("ELU", Params, shape, forward, field="elu_param")
