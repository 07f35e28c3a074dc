"""Silence: swallows blobs nobody reads (caffe silence_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Arrays, LayerKind, Shapes


@dataclass(frozen=True)
class Params:
    """Silence has no parameters."""


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return ()


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    return ()


KIND = LayerKind("Silence", Params, shape, forward, bottoms=(1, None), tops=(0, 0))
