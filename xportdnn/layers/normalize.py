"""Normalize: divides by the Euclidean norm over the channels or the whole image, then scales (SSD normalize_layer.cpp).

Liu et al. 2016, SSD: Single Shot MultiBox Detector, section 3.1, after ParseNet.
"""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.errors import LayerError
from xportdnn.kernels import along
from xportdnn.layers import Array, Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import written


@dataclass(frozen=True)
class Params:
    across_spatial: bool = True
    channel_shared: bool = True
    eps: float = 1e-10

    IGNORED = ("scale_filler",)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's.

    Raises:
        LayerError: the bottom has no channel axis.
    """
    if len(bottoms[0]) < 2:
        raise LayerError(f"the bottom must have a channel axis (axis 1), it is {written(bottoms[0])}; reshape it")
    return bottoms


def blobs(p: Params, bottoms: Shapes) -> Shapes:
    """One scale per channel, or a single one without axes."""
    (bottom,) = shape(p, bottoms)
    return (() if p.channel_shared else (bottom[1],),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    scale = along(blobs[0], 1, x.ndim)[0]
    axes = tuple(range(x.ndim - 1)) if p.across_spatial else (0,)
    top = np.empty_like(x)
    for result, image in zip(top, x, strict=True):
        squares = np.square(image, dtype=np.float64)
        norm = np.sqrt(squares.sum(axis=axes, keepdims=True) + p.eps)
        np.divide(image, norm.astype(np.float32), out=result)
    top *= scale
    return (top,)


def channels(p: Params, weight: Array) -> Array:
    """(C, 1), one scale a row; a single row where all channels share one."""
    return weight.reshape(-1, 1)


KIND = LayerKind("Normalize", Params, shape, forward, field="norm_param", blobs=blobs, channels=channels)
