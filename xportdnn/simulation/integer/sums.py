"""Exact sums of products of layers with weights, on integers: the layer types' own geometry on `arithmetic.integer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from xportdnn.arithmetic import Int64s, Integers, integer
from xportdnn.kernels import Windows, of_image
from xportdnn.layers import convolution, deconvolution
from xportdnn.lazy import np
from xportdnn.network import Layer
from xportdnn.shapes import axis_index

Sums: TypeAlias = Callable[[Layer, Int64s, Integers], tuple[Int64s, int]]
"""(layer, bottom, weights) -> sums in the shape of the top, and the axis of the output channels."""


def convolved(layer: Layer, bottom: Int64s, weights: Integers) -> tuple[Int64s, int]:
    """Convolution."""
    axis = axis_index(bottom.shape, layer.params.axis)
    (top,) = convolution.shape(layer.params, (bottom.shape,))
    windows = convolution.windows_of(layer.params, bottom.shape)
    images = bottom.reshape(-1, *bottom.shape[axis:])
    sums = integer.convolution(images, weights, windows, top[axis + 1 :], layer.params.group)
    return sums.reshape(top), axis


def deconvolved(layer: Layer, bottom: Int64s, weights: Integers) -> tuple[Int64s, int]:
    """Deconvolution: a convolution of the bottom, `stride` - 1 zeros between its cells, with kernels turned round."""
    params = layer.params
    axis = axis_index(bottom.shape, params.axis)
    (top,) = deconvolution.shape(params, (bottom.shape,))
    windows = convolution.windows_of(params, bottom.shape)
    images = bottom.reshape(-1, *bottom.shape[axis:])
    size = [stride * (length - 1) + 1 for stride, length in zip(windows.stride, images.shape[2:], strict=True)]
    apart = np.zeros((*images.shape[:2], *size), np.int64)
    cells = (slice(None), *of_image(slice(None, None, stride) for stride in windows.stride))
    apart[cells] = images
    pad = tuple(extent - 1 - pad for extent, pad in zip(windows.extent, windows.pad, strict=True))
    ones = (1,) * len(size)
    turned = Windows(windows.kernel, ones, pad, windows.dilation)
    sums = integer.convolution(apart, _turned(weights, params.group), turned, top[axis + 1 :], params.group)
    return sums.reshape(top), axis


def _turned(weights: Integers, group: int) -> Integers:
    """(channels, num_output / group, *kernel) to a convolution's (num_output, channels / group, *kernel)."""
    channels, per_group, *kernel = weights.shape
    grouped = weights.reshape(group, channels // group, per_group, *kernel).swapaxes(1, 2)
    flipped: Integers = np.flip(grouped, tuple(range(3, 3 + len(kernel))))
    return flipped.reshape(group * per_group, channels // group, *kernel)


def multiplied(layer: Layer, bottom: Int64s, weights: Integers) -> tuple[Int64s, int]:
    """InnerProduct."""
    params = layer.params
    axis = axis_index(bottom.shape, params.axis)
    matrix = weights.T if params.transpose else weights
    return integer.inner_product(bottom.reshape(*bottom.shape[:axis], -1), matrix), axis


SUMS: Mapping[str, Sums] = {"Convolution": convolved, "Deconvolution": deconvolved, "InnerProduct": multiplied}
