"""PReLU: negative values times a learned slope (caffe prelu_layer.cpp; He et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.errors import LayerError
from xportdnn.kernels import along
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import written


@dataclass(frozen=True)
class Params:
    channel_shared: bool = False

    IGNORED = ("filler",)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's.

    Raises:
        LayerError: the bottom has no channel axis.
    """
    if len(bottoms[0]) < 2:
        raise LayerError(f"the bottom must have a channel axis (axis 1), it is {written(bottoms[0])}; reshape it")
    return bottoms


def blobs(p: Params, bottoms: Shapes) -> Shapes:
    """One slope per channel, or a single one without axes."""
    (bottom,) = shape(p, bottoms)
    return (() if p.channel_shared else (bottom[1],),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    top = np.minimum(x, 0)
    top *= along(blobs[0], 1, x.ndim)
    top += np.maximum(x, 0)
    return (top,)


KIND = LayerKind("PReLU", Params, shape, forward, field="prelu_param", blobs=blobs)
