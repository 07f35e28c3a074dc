"""Crop: the first bottom cut to the size of the second (caffe crop_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shape, Shapes
from xportdnn.shapes import axis_index, written


@dataclass(frozen=True)
class Params:
    axis: int = 2
    offset: tuple[Uint, ...] = ()


def window(p: Params, bottom: Shape, size: Shape) -> tuple[slice, ...]:
    """The part of `bottom` that is kept: from `axis` on as much as `size` has, before it everything.

    One offset serves all cropped axes.

    Raises:
        LayerError: no such axis, a number of offsets that fits no rule, or a window that leaves the bottom.
    """
    axis = axis_index(bottom, p.axis)
    cropped = len(bottom) - axis
    if len(size) < len(bottom):
        raise LayerError(f"bottom 1 is {written(size)} but bottom 0 is {written(bottom)}; give both as many axes")
    if len(p.offset) not in (0, 1, cropped):
        raise LayerError(f"{len(p.offset)} offset entries for {cropped} cropped axes; give none, 1 or {cropped}")
    offsets = p.offset if len(p.offset) == cropped else (p.offset or (0,)) * cropped
    for index, offset in enumerate(offsets, axis):
        if offset + size[index] > bottom[index]:
            raise LayerError(
                f"offset {offset} and size {size[index]} do not fit axis {index} of bottom 0, which is "
                f"{written(bottom)}; reduce the offset or crop a larger blob"
            )
    kept = (slice(None),) * axis
    return kept + tuple(slice(offset, offset + size[index]) for index, offset in enumerate(offsets, axis))


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The first bottom's up to `axis`, the second's from there.

    Raises:
        LayerError: see `window`.
    """
    bottom, size = bottoms
    kept = window(p, bottom, size)
    return (tuple(len(range(*part.indices(length))) for part, length in zip(kept, bottom, strict=True)),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    x, size = bottoms
    return (x[window(p, x.shape, size.shape)],)


KIND = LayerKind("Crop", Params, shape, forward, field="crop_param", bottoms=(2, 2), in_place=False, ties="first")
