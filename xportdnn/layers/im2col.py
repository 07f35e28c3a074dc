"""Im2col: the windows of a convolution unrolled into channels (caffe im2col_layer.cpp)."""

from __future__ import annotations

import math

from xportdnn.kernels import sliding
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.layers.convolution import Params, window_counts, windows_of
from xportdnn.lazy import np
from xportdnn.shapes import axis_index


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """(num, channels * taps, *counts).

    Raises:
        LayerError: fields that contradict each other or do not fit the bottom.
    """
    (bottom,) = bottoms
    axis = axis_index(bottom, p.axis)
    windows = windows_of(p, bottom)
    rows = bottom[axis] * math.prod(windows.kernel)
    return ((*bottom[:axis], rows, *window_counts(windows, bottom[axis + 1 :])),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """(num, channels, *size) to (num, channels * taps, *counts), the taps of a channel next to each other."""
    (x,) = bottoms
    (top,) = shape(p, (x.shape,))
    axis = axis_index(top, p.axis)
    windows = windows_of(p, x.shape)
    images = x.reshape(-1, *x.shape[axis:])
    columns = [sliding(image, windows, top[axis + 1 :]).reshape(top[axis:]) for image in images]
    return (np.stack(columns).reshape(top),)


KIND = LayerKind("Im2col", Params, shape, forward, field="convolution_param")
