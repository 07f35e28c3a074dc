"""Dropout: nothing happens outside training (caffe dropout_layer.cpp scales while training)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Arrays, LayerKind, Shapes


@dataclass(frozen=True)
class Params:
    IGNORED = ("dropout_ratio", "scale_train")


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    return bottoms


KIND = LayerKind("Dropout", Params, shape, forward, field="dropout_param", ties="all")
