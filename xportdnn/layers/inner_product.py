"""InnerProduct: the axes from `axis` on, taken as one vector, times a matrix (caffe inner_product_layer.cpp)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.layers import Array, Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import axis_index


@dataclass(frozen=True)
class Params:
    num_output: Uint = 0
    bias_term: bool = True
    axis: int = 1
    transpose: bool = False

    IGNORED = ("weight_filler", "bias_filler", "engine")


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The axes before `axis`, then num_output.

    Raises:
        LayerError: no num_output, or no such axis.
    """
    if p.num_output < 1:
        raise LayerError("num_output is missing or 0; give the number of outputs")
    return ((*bottoms[0][: axis_index(bottoms[0], p.axis)], p.num_output),)


def blobs(p: Params, bottoms: Shapes) -> Shapes:
    """Weights (num_output, inputs), the other way round with `transpose`, and the bias."""
    inputs = math.prod(bottoms[0][axis_index(bottoms[0], p.axis) :])
    weight = (inputs, p.num_output) if p.transpose else (p.num_output, inputs)
    return (weight, (p.num_output,)) if p.bias_term else (weight,)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """One product for each image, so that an image's result does not depend on the others in its batch."""
    (x,) = bottoms
    (top_shape,) = shape(p, (x.shape,))
    # of a matrix that is not aligned NumPy makes a copy in another order, and with it the sums have another one, too
    weight = np.require(blobs[0], requirements="A")
    matrix = weight if p.transpose else weight.T
    images = top_shape[0] if len(top_shape) > 1 else 1
    top = np.empty((images, math.prod(top_shape[1:-1]), p.num_output), np.float32)
    for result, image in zip(top, x.reshape(images, -1, len(matrix)), strict=True):
        np.matmul(image, matrix, out=result)
    if p.bias_term:
        top += blobs[1]
    return (top.reshape(top_shape),)


def channels(p: Params, weight: Array) -> Array:
    """(num_output, inputs)."""
    return weight.T if p.transpose else weight


KIND = LayerKind(
    "InnerProduct", Params, shape, forward, field="inner_product_param", blobs=blobs, channels=channels
)  # fmt: skip
