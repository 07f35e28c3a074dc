"""Input: blobs that are fed from outside (caffe input_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn import decode
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.shapes import written


@dataclass(frozen=True)
class BlobShape:
    """Caffe's message of that name; Reshape and Parameter have one as well."""

    dim: tuple[int, ...] = ()


@dataclass(frozen=True)
class Params:
    shape: tuple[BlobShape, ...] = decode.messages(BlobShape)
    tops: int = decode.count_of("top")


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """One shape for every top, or one each.

    Raises:
        LayerError: another number of shapes, or a dim below 1.
    """
    shapes = tuple(each.dim for each in p.shape)
    if len(shapes) not in (1, p.tops):
        raise LayerError(
            f"input_param has {len(shapes)} shape entries for {p.tops} tops; give one, or one for each top"
        )
    for dims in shapes:
        if not dims or min(dims) < 1:
            raise LayerError(f"input_param shape {written(dims)} is empty; give every dim a size of at least 1")
    return shapes if len(shapes) == p.tops else shapes * p.tops


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    return bottoms


KIND = LayerKind("Input", Params, shape, forward, field="input_param", bottoms=(0, 0), tops=(1, None))
