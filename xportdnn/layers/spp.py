"""SPP, spatial pyramid pooling: 1, 2x2, 4x4 ... bins of every plane in one row (caffe spp_layer.cpp)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xportdnn.decode import Uint, enum
from xportdnn.errors import LayerError
from xportdnn.kernels import four_axes
from xportdnn.layers import Arrays, LayerKind, Shape, Shapes, pooling
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    pyramid_height: Uint = 0
    pool: str = enum("MAX", "AVE", "STOCHASTIC")

    IGNORED = ("engine",)


def levels(p: Params, bottom: Shape) -> tuple[pooling.Params, ...]:
    """The Pooling layer of each level: windows as large as their stride, padded evenly to cover the plane.

    Raises:
        LayerError: no levels, or a plane too small for the bins of the last one.
    """
    if not p.pyramid_height:
        raise LayerError("pyramid_height is missing or 0; give the number of levels")
    height, width = four_axes(bottom)[2:]
    found: list[pooling.Params] = []
    for level in range(p.pyramid_height):
        bins = 2**level
        kernels = [math.ceil(length / bins) for length in (height, width)]
        pads = [(kernel * bins - length + 1) // 2 for kernel, length in zip(kernels, (height, width), strict=True)]
        if any(pad >= kernel for pad, kernel in zip(pads, kernels, strict=True)):
            raise LayerError(f"{bins}x{bins} bins do not fit a plane of {height}x{width}; reduce pyramid_height")
        found.append(
            pooling.Params(
                pool=p.pool, pad_h=pads[0], pad_w=pads[1], kernel_h=kernels[0], kernel_w=kernels[1],
                stride_h=kernels[0], stride_w=kernels[1],
            )
        )  # fmt: skip
    return tuple(found)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """(num, bins of all levels and channels); a single level keeps its 4 axes.

    Raises:
        LayerError: no levels, or a bottom too small for them.
    """
    tops = [pooling.shape(level, bottoms)[0] for level in levels(p, bottoms[0])]
    return (tops[0] if len(tops) == 1 else (bottoms[0][0], sum(math.prod(top[1:]) for top in tops)),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    tops = [pooling.forward(level, bottoms, blobs)[0] for level in levels(p, bottoms[0].shape)]
    return (tops[0] if len(tops) == 1 else np.concatenate([top.reshape(len(top), -1) for top in tops], axis=1),)


KIND = LayerKind("SPP", Params, shape, forward, field="spp_param")
