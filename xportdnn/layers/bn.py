"""BN of SegNet and ENet: scale * normalized x + shift (caffe-segnet bn_layer.cpp).

In the mode INFERENCE the statistics have been folded into scale and shift, and x is taken as it is; in the mode LEARN
(the default) x is normalized by the batch's own statistics first.
"""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.decode import enum
from xportdnn.kernels import legacy_shape
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np

EPS = 1e-9


@dataclass(frozen=True)
class Params:
    bn_mode: str = enum("LEARN", "INFERENCE")

    IGNORED = ("scale_filler", "shift_filler")


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """Always 4 axes: missing ones are added behind."""
    return (legacy_shape(bottoms[0]),)


def blobs(p: Params, bottoms: Shapes) -> Shapes:
    channels = legacy_shape(bottoms[0])[1]
    return ((1, channels, 1, 1), (1, channels, 1, 1))


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    x = x.reshape(legacy_shape(x.shape))
    scale, shift = blobs
    if p.bn_mode == "LEARN":
        mean = x.mean(axis=(0, 2, 3), dtype=np.float64, keepdims=True)
        variance = ((x - mean) ** 2).mean(axis=(0, 2, 3), keepdims=True)
        x = ((x - mean) / np.sqrt(variance + EPS)).astype(np.float32)
    return (x * scale + shift,)


KIND = LayerKind("BN", Params, shape, forward, field="bn_param", blobs=blobs)
