"""Sizes and axes that CHaiDNN's parser or kernel takes (software/xtract, caffe_network_parser.cpp)."""

from __future__ import annotations

from xportdnn.errors import LayerError
from xportdnn.kernels import Windows
from xportdnn.layers import Shape, convolution, pooling
from xportdnn.network import Layer


def of_convolution(layer: Layer, bottom: Shape) -> Windows:
    """The kernel's steps.

    Raises:
        LayerError: a geometry that the board's parser refuses.
    """
    if len(layer.bottoms) > 1 or len(bottom) != 4 or layer.params.axis not in (1, -3):
        raise LayerError("the board takes one bottom of (num, channels, height, width)")
    windows = convolution.windows_of(layer.params, bottom)
    for name in ("kernel", "stride", "pad", "dilation"):
        rows, columns = getattr(windows, name)
        if rows != columns:
            raise LayerError(f"{name} is {rows} and {columns}; the board takes only squares")
    return windows


def of_pooling(layer: Layer, size: Shape, counts: Shape) -> Windows:
    """The windows over planes of `size`.

    Raises:
        LayerError: a geometry that the board's parser refuses, or another number of windows on the board.
    """
    windows = pooling.windows_of(layer.params, size)
    if len(layer.tops) > 1:
        raise LayerError("the board has no mask of MAX pooling; remove the second top")
    if windows.stride[0] != windows.stride[1] or windows.pad[0] != windows.pad[1]:
        raise LayerError("the board takes only the same stride and pad along both axes")
    rounded_up = windows_on_board(windows, size)
    if rounded_up != counts:
        raise LayerError(
            f"the board makes {rounded_up[0]} x {rounded_up[1]} windows where Caffe makes {counts[0]} x {counts[1]}: "
            "it rounds up and never drops the last one; change kernel_size, stride or pad"
        )
    return windows


def windows_on_board(windows: Windows, size: Shape) -> Shape:
    """How many windows of a Pooling the board lays over planes of `size`: rounded up, none dropped."""
    return tuple(
        1 - (kernel - length - 2 * pad) // stride
        for length, pad, kernel, stride in zip(size, windows.pad, windows.kernel, windows.stride, strict=True)
    )


def check_fused(batch_norm: Layer, scale: Layer) -> None:
    """A BatchNorm and a Scale that the board works into the weights before them.

    Raises:
        LayerError: settings for which it does not.
    """
    if not batch_norm.params.use_global_stats:
        raise LayerError(f"its BatchNorm {batch_norm.name} has use_global_stats: false, which the board does not take")
    if len(scale.bottoms) > 1 or scale.params.axis != 1 or scale.params.num_axes != 1:
        raise LayerError(f"its Scale {scale.name} must have one bottom, axis 1 and num_axes 1 on the board")
