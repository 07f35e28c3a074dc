"""Factors and summands of channels put into the weights of a Convolution, Deconvolution or InnerProduct.

With y = W x + b, what follows the layer gives W' = scale W, b' = scale b + shift over its outputs; what stands before
it gives W' = W scale, b' = b + W shift over its inputs. Computed in float64, stored as float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xportdnn.folding.affine import Affine, RefusalError
from xportdnn.kernels import along
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.layers.convolution import windows_of
from xportdnn.lazy import np
from xportdnn.network import Layer
from xportdnn.shapes import axis_index

if TYPE_CHECKING:
    from xportdnn.folding.affine import Doubles

_WEIGHTED = ("Convolution", "Deconvolution", "InnerProduct")


def takes_from_behind(layer: Layer) -> bool:
    """Whether a layer is one whose weights can take the factors of its output channels."""
    return layer.kind is not None and layer.kind.name in _WEIGHTED and len(layer.tops) == 1


def takes_from_before(layer: Layer) -> bool:
    """Whether a layer is one whose weights can take the factors of its input channels.

    A Deconvolution is none: at the edges of its top fewer inputs overlap, so that no one bias stands for a shift.
    """
    return layer.kind is not None and layer.kind.name in ("Convolution", "InnerProduct") and len(layer.bottoms) == 1


def channel_axis(layer: Layer, bottom: Shape) -> int:
    """The axis whose channels the weights tell apart, the same in the bottom and in the top."""
    return axis_index(bottom, layer.params.axis)


def after(layer: Layer, blobs: Arrays, affine: Affine) -> Arrays:
    """The layer's blobs with what follows it; a bias is made where it is needed."""
    weight, *biases = blobs
    assert layer.kind is not None
    bias = affine.shift + (affine.scale * biases[0] if biases else 0.0)
    if layer.kind.name == "Deconvolution":  # (channels, num_output / group, *kernel)
        group, outputs = layer.params.group, weight.shape[1]
        grouped = weight.reshape(group, len(weight) // group, outputs, -1)
        new = _product(grouped, affine.scale.reshape(group, 1, outputs, 1)).reshape(weight.shape)
    elif layer.kind.name == "InnerProduct" and layer.params.transpose:  # (inputs, num_output)
        new = _product(weight, affine.scale)
    else:  # (num_output, ...)
        new = _product(weight, along(affine.scale, 0, weight.ndim))
    return _blobs(new, bias, bool(biases))


def before(layer: Layer, blobs: Arrays, affine: Affine, bottom: Shape) -> Arrays:
    """The layer's blobs with what stands before it; a bias is made where it is needed.

    Args:
        bottom: shape of what the layer reads.

    Raises:
        RefusalError: zeros around the bottom would have to be shifted too.
    """
    weight, *biases = blobs
    assert layer.kind is not None
    if layer.kind.name == "InnerProduct":
        matrix = weight.T if layer.params.transpose else weight
        inputs = matrix.shape[1] // len(affine.scale)  # for each channel
        new = _product(matrix, np.repeat(affine.scale, inputs))
        new = new.T if layer.params.transpose else new
        added = np.array([row.astype(np.float64) @ np.repeat(affine.shift, inputs) for row in matrix])
    else:
        if affine.shift.any() and _padded(layer, bottom):
            raise RefusalError(
                f'the pad of layer "{layer.name}", which reads it, puts zeros around its values, and they would need '
                "the shift too"
            )
        group = layer.params.group
        grouped = weight.reshape(group, len(weight) // group, weight.shape[1], -1)
        new = _product(grouped, affine.scale.reshape(group, 1, -1, 1)).reshape(weight.shape)
        added = (grouped.sum(axis=3, dtype=np.float64) * affine.shift.reshape(group, 1, -1)).sum(axis=2).reshape(-1)
    return _blobs(new, added + (biases[0] if biases else 0.0), bool(biases))


def _padded(layer: Layer, bottom: Shape) -> bool:
    """Whether any window of a Convolution reads beyond its bottom: a pad, or a kernel that sticks out."""
    windows = windows_of(layer.params, bottom)
    size = bottom[-len(windows.kernel) :]
    return any(windows.pad) or any(extent > length for extent, length in zip(windows.extent, size, strict=True))


def _product(weight: Array, factors: Doubles) -> Array:
    result = np.empty(weight.shape, np.float32)
    return np.multiply(weight, factors, out=result, dtype=np.float64, casting="same_kind")


def _blobs(weight: Array, bias: Doubles, had_bias: bool) -> Arrays:
    """The weight, and the bias if there was one or it says something."""
    return (weight, bias.astype(np.float32)) if had_bias or bias.any() else (weight,)
