"""MVN, mean and variance normalization of every plane or every image by itself (caffe mvn_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.kernels import legacy_shape
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    normalize_variance: bool = True
    across_channels: bool = False
    eps: float = 1e-9


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """Always 4 axes: missing ones are added behind."""
    return (legacy_shape(bottoms[0]),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """(x - mean) / (deviation + eps): biased, and eps outside the root."""
    (x,) = bottoms
    x = x.reshape(legacy_shape(x.shape))
    axes = (0, 1, 2) if p.across_channels else (1, 2)
    top = np.empty_like(x)
    for result, image in zip(top, x, strict=True):
        centred = image - image.mean(axis=axes, dtype=np.float64, keepdims=True)
        if p.normalize_variance:
            centred /= np.sqrt((centred**2).mean(axis=axes, keepdims=True)) + p.eps
        result[...] = centred
    return (top,)


KIND = LayerKind("MVN", Params, shape, forward, field="mvn_param")
