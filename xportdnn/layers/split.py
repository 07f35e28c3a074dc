"""Split: the bottom once for every top (caffe split_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn import decode
from xportdnn.layers import Arrays, LayerKind, Shapes


@dataclass(frozen=True)
class Params:
    tops: int = decode.count_of("top")


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return bottoms * p.tops


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    return bottoms * p.tops


KIND = LayerKind("Split", Params, shape, forward, tops=(1, None), in_place=False, ties="all")
