"""LRN, local response normalization (caffe lrn_layer.cpp).

ACROSS_CHANNELS divides by (k + alpha/n * sum of n channels' squares)^beta, WITHIN_CHANNEL by
(1 + alpha/n^2 * sum of an n x n neighbourhood's squares)^beta; there Caffe does not look at k.
"""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.decode import Uint, enum
from xportdnn.errors import LayerError
from xportdnn.kernels import Windows, four_axes, padded, reduce_windows
from xportdnn.layers import Array, Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    local_size: Uint = 5
    alpha: float = 1.0
    beta: float = 0.75
    norm_region: str = enum("ACROSS_CHANNELS", "WITHIN_CHANNEL")
    k: float = 1.0

    IGNORED = ("engine",)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's.

    Raises:
        LayerError: a bottom without 4 axes, or an even local_size.
    """
    four_axes(bottoms[0])
    if p.local_size % 2 == 0:
        raise LayerError(f"local_size must be odd, not {p.local_size}; a neighbourhood has a middle")
    return bottoms


def across(squares: Array, reach: int) -> Array:
    """The sums over each channel and `reach` channels on either side."""
    sums: Array = squares.copy()
    for distance in range(1, reach + 1):
        sums[distance:] += squares[:-distance]
        sums[:-distance] += squares[distance:]
    return sums


def within(squares: Array, reach: int) -> Array:
    """The sums over the square of `reach` cells around each cell."""
    side = 2 * reach + 1
    windows = Windows(kernel=(side, side), stride=(1, 1), pad=(reach, reach), dilation=(1, 1))
    size = squares.shape[1:]
    return reduce_windows(np.add, padded(squares, windows.pad, windows.span(size)), windows, size)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    if p.norm_region == "ACROSS_CHANNELS":
        sums, base, count = across, p.k, p.local_size
    else:
        sums, base, count = within, 1.0, p.local_size**2
    top = np.empty_like(x)
    for result, image in zip(top, x, strict=True):
        scale = np.float32(base) + np.float32(p.alpha / count) * sums(image * image, p.local_size // 2)
        np.multiply(image, scale ** np.float32(-p.beta), out=result)
    return (top,)


KIND = LayerKind("LRN", Params, shape, forward, field="lrn_param")
