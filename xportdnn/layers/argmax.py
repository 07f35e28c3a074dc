"""ArgMax: where the `top_k` largest values stand (caffe argmax_layer.cpp)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import axis_index, written


@dataclass(frozen=True)
class Params:
    out_max_val: bool = False
    top_k: Uint = 1
    axis: int | None = None


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """With `axis`, the bottom's with that axis `top_k` long.

    Without, (N, 1, top_k) or with `out_max_val` (N, 2, top_k), and ones behind up to the bottom's number of axes.

    Raises:
        LayerError: the bottom has no such axis, or fewer than `top_k` values to choose from.
    """
    (bottom,) = bottoms
    axis = axis_index(bottom, 0 if p.axis is None else p.axis)
    choice = math.prod(bottom[1:]) if p.axis is None else bottom[axis]
    if not 1 <= p.top_k <= choice:
        raise LayerError(f"top_k is {p.top_k} for a bottom of {written(bottom)}; use 1 to {choice}")
    if p.axis is not None:
        return ((*bottom[:axis], p.top_k, *bottom[axis + 1 :]),)
    return ((bottom[0], 2 if p.out_max_val else 1, p.top_k, *(1,) * (len(bottom) - 3)),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """Largest first; of equal values the later one. With `axis` and `out_max_val` the values replace the places."""
    (x,) = bottoms
    values = x.reshape(len(x), -1) if p.axis is None else np.moveaxis(x, p.axis, -1)
    places = np.argsort(values, axis=-1, kind="stable")[..., : -p.top_k - 1 : -1]
    largest = np.take_along_axis(values, places, -1)
    indices = places.astype(np.float32)
    if p.axis is not None:
        return (np.moveaxis(largest if p.out_max_val else indices, -1, p.axis),)
    (top,) = shape(p, (x.shape,))
    found = np.stack((indices, largest), axis=1) if p.out_max_val else indices
    return (found.reshape(top),)


KIND = LayerKind("ArgMax", Params, shape, forward, field="argmax_param")
