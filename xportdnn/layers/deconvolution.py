"""Deconvolution, the transpose of Convolution (caffe deconv_layer.cpp): every input cell adds a kernel to the top.

The fields are those of Convolution; `stride` and `pad` act on the top.
"""

from __future__ import annotations

import math

from xportdnn.errors import LayerError
from xportdnn.kernels import Windows, padded, row_blocks
from xportdnn.layers import Array, Arrays, LayerKind, Shape, Shapes
from xportdnn.layers.convolution import Params, check_channels, each_image, refuse, windows_of
from xportdnn.lazy import np
from xportdnn.shapes import axis_index


def top_size(windows: Windows, size: Shape) -> Shape:
    """stride * (size - 1) + extent - 2 * pad along each axis.

    Raises:
        LayerError: pad leaves nothing of an axis.
    """
    top = tuple(span - 2 * pad for span, pad in zip(windows.span(size), windows.pad, strict=True))
    for length, pad in zip(top, windows.pad, strict=True):
        if length < 1:
            raise LayerError(f"pad {pad} leaves {length} cells of an axis of the top; use a smaller pad")
    return top


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """(num, num_output, *top size) for each bottom.

    Raises:
        LayerError: fields that contradict each other or do not fit the bottoms.
    """
    check_channels(p, bottoms)
    axis = axis_index(bottoms[0], p.axis)
    size = top_size(windows_of(p, bottoms[0]), bottoms[0][axis + 1 :])
    return ((*bottoms[0][:axis], p.num_output, *size),) * len(bottoms)


def blobs(p: Params, bottoms: Shapes) -> Shapes:
    """Weights (channels, num_output / group, *kernel), the bottom's channels first, and with `bias_term` the bias."""
    channels = check_channels(p, bottoms)
    weight = (channels, p.num_output // p.group, *windows_of(p, bottoms[0]).kernel)
    return (weight, (p.num_output,)) if p.bias_term else (weight,)


def spread(image: Array, weight: Array, windows: Windows, group: int) -> Array:
    """One image (channels, *size), weights (channels, num_output / group, *kernel): (num_output, *span)."""
    channels, size = len(image), image.shape[1:]
    matrix = weight.reshape(group, channels // group, -1).transpose(0, 2, 1)
    num_output = group * weight.shape[1]
    top: Array = np.zeros((num_output, *windows.span(size)), np.float32)
    row_bytes = 4 * num_output * math.prod(windows.kernel) * math.prod(size[1:])
    for rows in row_blocks(size[0], row_bytes):
        block = image[:, rows]
        taps = np.matmul(matrix, block.reshape(group, channels // group, -1))
        taps = taps.reshape(num_output, -1, *block.shape[1:])
        for index, tap in enumerate(np.ndindex(windows.kernel)):
            top[windows.cells(tap, block.shape[1:], rows.start)] += taps[:, index]
    return top


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """Each bottom (num, channels, *size) to (num, num_output, *top size); blobs: weight and, with bias_term, bias."""
    (top, *_) = shape(p, tuple(bottom.shape for bottom in bottoms))
    windows = windows_of(p, bottoms[0].shape)
    cut = tuple(-pad for pad in windows.pad)
    size = top[-len(cut) :]
    return each_image(
        p, bottoms, blobs, top, lambda image: padded(spread(image, blobs[0], windows, p.group), cut, size)
    )


def channels(p: Params, weight: Array) -> Array:
    """(num_output, taps): row m holds all weights that reach channel m of the top, those of its group's bottoms."""
    grouped = weight.reshape(p.group, len(weight) // p.group, p.num_output // p.group, -1)
    rows: Array = grouped.transpose(0, 2, 1, 3).reshape(p.num_output, -1)
    return rows


KIND = LayerKind(
    "Deconvolution", Params, shape, forward, field="convolution_param", bottoms=(1, None), tops=(1, None),
    blobs=blobs, refuse=refuse, channels=channels,
)  # fmt: skip
