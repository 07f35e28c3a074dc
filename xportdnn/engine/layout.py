"""Where an image's numbers lie: channels last.

An array keeps Caffe's axes (1, channels, height, width) but lies in memory as (height, width, channels), so that a
row of the image, and any stretch of rows, is one piece of memory in which every pixel has its channels side by side.
The reference rules see only the axes and work unchanged; the kernels look at the memory, through the views below. A
vector (1, channels) is an image of one pixel. Arrays with other axes are plain.
"""

from __future__ import annotations

import math

from xportdnn.layers import Array, Shape
from xportdnn.lazy import np


def is_image(shape: Shape) -> bool:
    """Whether an array is a single image, or a vector."""
    return len(shape) in (2, 4) and shape[0] == 1


def size(shape: Shape) -> tuple[int, int, int]:
    """(height, width, channels) of an image's shape."""
    _, channels, height, width = (*shape, 1, 1)[:4]
    return height, width, channels


def within(memory: Array, shape: Shape) -> Array:
    """An array of `shape` in the first numbers of a flat piece of memory."""
    flat = memory[: math.prod(shape)]
    if len(shape) != 4:
        return flat.reshape(shape)
    num, channels, height, width = shape
    images: Array = flat.reshape(num, height, width, channels).transpose(0, 3, 1, 2)
    return images


def empty(shape: Shape) -> Array:
    """A new array of `shape`."""
    return within(np.empty(math.prod(shape), np.float32), shape)


def laid_out(array: Array) -> Array:
    """The array itself if it lies as `empty` would lay it, else a copy that does."""
    if _last(array).flags.c_contiguous:
        return array
    copy = empty(array.shape)
    np.copyto(copy, array)
    return copy


def image(array: Array) -> Array:
    """An image as (height, width, channels), a view."""
    return _last(array).reshape(size(array.shape))


def pixels(array: Array) -> Array:
    """An image as (height * width, channels), a view."""
    height, width, channels = size(array.shape)
    return _last(array).reshape(height * width, channels)


def rows(array: Array) -> Array:
    """An image as (height, width * channels), a view."""
    height, width, channels = size(array.shape)
    return _last(array).reshape(height, width * channels)


def _last(array: Array) -> Array:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
