"""BNLL: log(1 + e^x), the binomial normal log likelihood (caffe bnll_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    """BNLL has no parameters."""


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """The exponent is never positive, so that nothing overflows."""
    (x,) = bottoms
    return (np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),)


KIND = LayerKind("BNLL", Params, shape, forward)
