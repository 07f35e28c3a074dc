"""Layers with windows as literal loops, written from Caffe's definitions: slow, in float64, and easy to check by eye.

Blobs are (num, channels, height, width). Nothing here comes from the package, so agreement means something.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLT_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Steps:
    """(height, width) pairs."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    def extent(self, axis: int) -> int:
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1


def convolved_size(steps: Steps, size: tuple[int, int]) -> list[int]:
    """C++: (size + 2 * pad - extent) / stride + 1, where `int()` truncates like C++."""
    return [int((size[axis] + 2 * steps.pad[axis] - steps.extent(axis)) / steps.stride[axis]) + 1 for axis in (0, 1)]


def convolution(
    x: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32], steps: Steps, group: int
) -> NDArray[np.float64]:
    """Output channel m of group g sums over the channels of group g only."""
    num, channels, height, width = x.shape
    outputs = len(weight)
    top = np.zeros((num, outputs, *convolved_size(steps, (height, width))))
    for n, m, oy, ox in np.ndindex(top.shape):
        total = float(bias[m])
        for c in range(channels // group):
            source = m // (outputs // group) * (channels // group) + c
            for ky, kx in np.ndindex(steps.kernel):
                y = oy * steps.stride[0] - steps.pad[0] + ky * steps.dilation[0]
                x_ = ox * steps.stride[1] - steps.pad[1] + kx * steps.dilation[1]
                if 0 <= y < height and 0 <= x_ < width:
                    total += float(weight[m, c, ky, kx]) * float(x[n, source, y, x_])
        top[n, m, oy, ox] = total
    return top


def deconvolution(
    x: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32], steps: Steps, group: int
) -> NDArray[np.float64]:
    """Every cell of the bottom adds its kernel to the top; what falls into the pad is lost."""
    num, channels, height, width = x.shape
    outputs = weight.shape[1] * group
    size = [steps.stride[axis] * (x.shape[2 + axis] - 1) + steps.extent(axis) - 2 * steps.pad[axis] for axis in (0, 1)]
    top = np.zeros((num, outputs, *size)) + bias.astype(np.float64)[:, None, None]
    for n, c, iy, ix in np.ndindex(num, channels, height, width):
        for m in range(outputs // group):
            target = c // (channels // group) * (outputs // group) + m
            for ky, kx in np.ndindex(steps.kernel):
                y = iy * steps.stride[0] - steps.pad[0] + ky * steps.dilation[0]
                x_ = ix * steps.stride[1] - steps.pad[1] + kx * steps.dilation[1]
                if 0 <= y < size[0] and 0 <= x_ < size[1]:
                    top[n, target, y, x_] += float(weight[c, m, ky, kx]) * float(x[n, c, iy, ix])
    return top


def pooled_size(steps: Steps, size: tuple[int, int], floor: bool = False) -> list[int]:
    """ceil (or floor) of (size + 2 * pad - kernel) / stride, + 1; with pad, no window may start behind the image."""
    rounded = math.floor if floor else math.ceil
    counts = [
        rounded((size[axis] + 2 * steps.pad[axis] - steps.kernel[axis]) / steps.stride[axis]) + 1 for axis in (0, 1)
    ]
    if steps.pad[0] or steps.pad[1]:
        for axis in (0, 1):
            if (counts[axis] - 1) * steps.stride[axis] >= size[axis] + steps.pad[axis]:
                counts[axis] -= 1
    return counts


def max_pooling(
    x: NDArray[np.float32], steps: Steps, floor: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The maxima and the index of each in its plane: -FLT_MAX and -1 until something greater is met."""
    num, channels, height, width = x.shape
    top = np.full((num, channels, *pooled_size(steps, (height, width), floor)), -FLT_MAX)
    mask = np.full(top.shape, -1.0)
    for n, c, oy, ox in np.ndindex(top.shape):
        y0, x0 = oy * steps.stride[0] - steps.pad[0], ox * steps.stride[1] - steps.pad[1]
        for y in range(max(y0, 0), min(y0 + steps.kernel[0], height)):
            for x_ in range(max(x0, 0), min(x0 + steps.kernel[1], width)):
                if x[n, c, y, x_] > top[n, c, oy, ox]:
                    top[n, c, oy, ox] = x[n, c, y, x_]
                    mask[n, c, oy, ox] = y * width + x_
    return top, mask


def average_pooling(x: NDArray[np.float32], steps: Steps, floor: bool = False) -> NDArray[np.float64]:
    """The divisor is taken before the window is clipped to the image, after it is clipped to image and pad."""
    num, channels, height, width = x.shape
    top = np.zeros((num, channels, *pooled_size(steps, (height, width), floor)))
    for n, c, oy, ox in np.ndindex(top.shape):
        y0, x0 = oy * steps.stride[0] - steps.pad[0], ox * steps.stride[1] - steps.pad[1]
        y1 = min(y0 + steps.kernel[0], height + steps.pad[0])
        x1 = min(x0 + steps.kernel[1], width + steps.pad[1])
        divisor = (y1 - y0) * (x1 - x0)
        total = 0.0
        for y in range(max(y0, 0), min(y1, height)):
            for x_ in range(max(x0, 0), min(x1, width)):
                total += float(x[n, c, y, x_])
        top[n, c, oy, ox] = total / divisor if divisor else math.nan
    return top


def lrn_across(x: NDArray[np.float32], size: int, alpha: float, beta: float, k: float) -> NDArray[np.float64]:
    """Channels beyond the first and the last count as zero."""
    top = np.zeros(x.shape)
    for n, c, y, x_ in np.ndindex(x.shape):
        total = 0.0
        for other in range(max(0, c - size // 2), min(x.shape[1], c + size // 2 + 1)):
            total += float(x[n, other, y, x_]) ** 2
        top[n, c, y, x_] = float(x[n, c, y, x_]) * (k + alpha / size * total) ** -beta
    return top


def lrn_within(x: NDArray[np.float32], size: int, alpha: float, beta: float) -> NDArray[np.float64]:
    """Cells outside the plane count as zero and are counted: the divisor is always size * size."""
    top = np.zeros(x.shape)
    for n, c, y, x_ in np.ndindex(x.shape):
        total = 0.0
        for other_y in range(max(0, y - size // 2), min(x.shape[2], y + size // 2 + 1)):
            for other_x in range(max(0, x_ - size // 2), min(x.shape[3], x_ + size // 2 + 1)):
                total += float(x[n, c, other_y, other_x]) ** 2
        top[n, c, y, x_] = float(x[n, c, y, x_]) * (1 + alpha / size**2 * total) ** -beta
    return top
