"""Permute: the axes in another order (permute_layer.cpp of the SSD fork; Liu et al., arXiv:1512.02325)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.shapes import written


@dataclass(frozen=True)
class Params:
    order: tuple[Uint, ...] = ()


def order(p: Params, ndim: int) -> tuple[int, ...]:
    """For each axis of the top the bottom's axis; those not named follow in their old order."""
    return p.order + tuple(axis for axis in range(ndim) if axis not in p.order)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's in the new order.

    Raises:
        LayerError: an axis the bottom does not have, or one named twice.
    """
    (bottom,) = bottoms
    for axis in p.order:
        if axis >= len(bottom):
            raise LayerError(
                f"order {axis} is not an axis of a bottom of {written(bottom)}; use 0 to {len(bottom) - 1}"
            )
        if p.order.count(axis) > 1:
            raise LayerError(f"order {axis} is given more than once; name every axis once")
    return (tuple(bottom[axis] for axis in order(p, len(bottom))),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    return (x.transpose(order(p, x.ndim)),)


KIND = LayerKind("Permute", Params, shape, forward, field="permute_param", in_place=False, ties="all")
