"""Scale: multiplies by a blob, or by the second bottom, along some axes, and may add a bias (caffe scale_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.kernels import along
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.layers.bias import covered, first_axis


@dataclass(frozen=True)
class Params:
    axis: int = 1
    num_axes: int = 1
    bias_term: bool = False

    IGNORED = ("filler", "bias_filler")


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The first bottom's.

    Raises:
        LayerError: the scale does not fit it.
    """
    covered(bottoms, p.axis, p.num_axes)
    return bottoms[:1]


def blobs(p: Params, bottoms: Shapes) -> Shapes:
    """The scale, unless it is the second bottom, and with `bias_term` a bias of the same shape."""
    blob = covered(bottoms, p.axis, p.num_axes)
    return (blob,) * ((len(bottoms) == 1) + p.bias_term)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    x, scale, *biases = (*bottoms, *blobs)
    axis = first_axis(x.shape, scale.shape, p.axis)
    top = x * along(scale, axis, x.ndim)
    for bias in biases:
        top += along(bias, axis, x.ndim)
    return (top,)


KIND = LayerKind("Scale", Params, shape, forward, field="scale_param", bottoms=(1, 2), blobs=blobs)
