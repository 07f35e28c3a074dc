"""Convolution (caffe base_conv_layer.cpp, conv_layer.cpp): grouped, dilated, over any number of spatial axes.

Depthwise convolution is the case group == channels. Several bottoms share the weights and give one top each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.kernels import Windows, along, per_axis, row_blocks, sliding
from xportdnn.layers import Array, Arrays, LayerKind, Shape, Shapes
from xportdnn.lazy import np
from xportdnn.prototxt import Message
from xportdnn.shapes import axis_index, written


@dataclass(frozen=True)
class Params:
    num_output: Uint = 0
    bias_term: bool = True
    pad: tuple[Uint, ...] = ()
    kernel_size: tuple[Uint, ...] = ()
    stride: tuple[Uint, ...] = ()
    dilation: tuple[Uint, ...] = ()
    pad_h: Uint | None = None
    pad_w: Uint | None = None
    kernel_h: Uint | None = None
    kernel_w: Uint | None = None
    stride_h: Uint | None = None
    stride_w: Uint | None = None
    group: Uint = 1
    axis: int = 1

    IGNORED = ("weight_filler", "bias_filler", "engine", "force_nd_im2col", "cudnn_convolution_algo_seeker")


def windows_of(p: Params, bottom: Shape) -> Windows:
    """The kernel's steps over the axes behind the channel axis.

    Raises:
        LayerError: no spatial axes, or values that do not fit them.
    """
    axes = len(bottom) - 1 - axis_index(bottom, p.axis)
    if not axes:
        raise LayerError(f"the bottom ({written(bottom)}) has no spatial axis; use InnerProduct or reshape it")
    return Windows(
        kernel=per_axis("kernel_size", p.kernel_size, (p.kernel_h, p.kernel_w), axes, default=None, least=1),
        stride=per_axis("stride", p.stride, (p.stride_h, p.stride_w), axes, default=1, least=1),
        pad=per_axis("pad", p.pad, (p.pad_h, p.pad_w), axes, default=0, least=0, halves=True),
        dilation=per_axis("dilation", p.dilation, (None, None), axes, default=1, least=1),
    )


def window_counts(windows: Windows, size: Shape) -> Shape:
    """The number of windows along each axis of `size` (conv_layer.cpp, compute_output_shape).

    C++ division truncates toward zero: a kernel that sticks out of the padded bottom by less than a stride still
    gives one output, with zeros outside.

    Raises:
        LayerError: an axis without any output.
    """
    counts: list[int] = []
    for length, pad, extent, stride in zip(size, windows.pad, windows.extent, windows.stride, strict=True):
        room = length + 2 * pad - extent
        counts.append(1 + (room // stride if room >= 0 else -(-room // stride)))
        if counts[-1] < 1:
            raise LayerError(
                f"the kernel spans {extent} cells but an axis of the bottom has {length}, {length + 2 * pad} with pad; "
                "use a smaller kernel_size or dilation, or a larger input"
            )
    return tuple(counts)


def check_channels(p: Params, bottoms: Shapes) -> int:
    """The number of channels of every bottom.

    Raises:
        LayerError: num_output, group or the bottoms do not fit each other.
    """
    for bottom in bottoms[1:]:
        if bottom != bottoms[0]:
            raise LayerError(f"all bottoms must have one shape; {written(bottoms[0])} and {written(bottom)} differ")
    if p.num_output < 1:
        raise LayerError("num_output is missing or 0; give the number of output channels")
    channels = bottoms[0][axis_index(bottoms[0], p.axis)]
    for name, count in (("the bottom's channels", channels), ("num_output", p.num_output)):
        if p.group < 1 or count % p.group:
            raise LayerError(f"{name} ({count}) cannot be divided into {p.group} groups; change group")
    return channels


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """(num, num_output, *counts) for each bottom.

    Raises:
        LayerError: fields that contradict each other or do not fit the bottoms.
    """
    check_channels(p, bottoms)
    axis = axis_index(bottoms[0], p.axis)
    size = bottoms[0][axis + 1 :]
    top = (*bottoms[0][:axis], p.num_output, *window_counts(windows_of(p, bottoms[0]), size))
    return (top,) * len(bottoms)


def blobs(p: Params, bottoms: Shapes) -> Shapes:
    """Weights (num_output, channels / group, *kernel) and, with `bias_term`, the bias."""
    channels = check_channels(p, bottoms)
    weight = (p.num_output, channels // p.group, *windows_of(p, bottoms[0]).kernel)
    return (weight, (p.num_output,)) if p.bias_term else (weight,)


def convolve(image: Array, weight: Array, windows: Windows, counts: Shape, group: int) -> Array:
    """One image (channels, *size) with weights (num_output, channels / group, *kernel): (num_output, *counts)."""
    rows_first = sliding(image, windows, counts).swapaxes(0, -len(counts))
    matrix = weight.reshape(group, len(weight) // group, -1)
    top = np.empty((len(weight), *counts), np.float32)
    row_bytes = 4 * len(image) * math.prod(windows.kernel) * math.prod(counts[1:])
    for rows in row_blocks(counts[0], row_bytes):
        columns = rows_first[rows].swapaxes(0, -len(counts)).reshape(group, matrix.shape[2], -1)
        top[:, rows] = np.matmul(matrix, columns).reshape(len(weight), -1, *counts[1:])
    return top


def each_image(p: Params, bottoms: Arrays, blobs: Arrays, top: Shape, compute: Callable[[Array], Array]) -> Arrays:
    """`compute` over the images of all bottoms, and the bias: one top of shape `top` for each bottom."""
    axis = axis_index(top, p.axis)
    tops: list[Array] = []
    for bottom in bottoms:
        images = bottom.reshape(-1, *bottom.shape[axis:])
        results = np.empty((len(images), *top[axis:]), np.float32)
        for index, image in enumerate(images):
            results[index] = compute(image)
        if p.bias_term:
            results += along(blobs[1], 1, results.ndim)
        tops.append(results.reshape(top))
    return tuple(tops)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """Each bottom (num, channels, *size) to (num, num_output, *counts); blobs: weight and, with bias_term, bias."""
    (top, *_) = shape(p, tuple(bottom.shape for bottom in bottoms))
    windows = windows_of(p, bottoms[0].shape)
    counts = top[-len(windows.kernel) :]
    return each_image(p, bottoms, blobs, top, lambda image: convolve(image, blobs[0], windows, counts, p.group))


def channels(p: Params, weight: Array) -> Array:
    """(num_output, taps): one row for each output channel."""
    return weight.reshape(p.num_output, -1)


def refuse(layer: Message) -> None:
    """Every bottom needs a top of its own.

    Raises:
        LayerError: another number of tops than of bottoms.
    """
    bottoms, tops = len(layer.all("bottom")), len(layer.all("top"))
    if bottoms != tops:
        raise LayerError(f"there are {bottoms} bottoms but {tops} tops; each bottom needs one top")


KIND = LayerKind(
    "Convolution", Params, shape, forward, field="convolution_param", bottoms=(1, None), tops=(1, None),
    blobs=blobs, refuse=refuse, channels=channels,
)  # fmt: skip
