"""Parameter: a learned blob that is itself the top (caffe parameter_layer.hpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn import decode
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.layers.input import BlobShape
from xportdnn.shapes import written

SHAPE = decode.message(BlobShape, BlobShape())


@dataclass(frozen=True)
class Params:
    shape: BlobShape = SHAPE


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The shape in parameter_param; without dims it is one value without axes.

    Raises:
        LayerError: a dim below 1.
    """
    if min(p.shape.dim, default=1) < 1:
        raise LayerError(f"parameter_param shape {written(p.shape.dim)} is empty; give every dim a size of at least 1")
    return (p.shape.dim,)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    return blobs


KIND = LayerKind("Parameter", Params, shape, forward, field="parameter_param", bottoms=(0, 0), blobs=shape)
