"""Layers with the shapes of what they read and write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.layers import Shapes
from xportdnn.network import Layer


class Shaped(NamedTuple):
    """A layer that both the board and Caffe see.

    Attributes:
        board: as the board reads it.
        layer: as Caffe reads it.
    """

    board: BoardLayer
    layer: Layer
    bottoms: Shapes
    tops: Shapes


def shaped(subject: Subject, *types: str) -> Iterator[Shaped]:
    """The layers of these types, Caffe's own names, all of whose shapes are known, in file order."""
    shapes = subject.shapes
    for board in subject.layers:
        layer = subject.caffe_layers.get(board.index)
        if layer is None or layer.kind is None or layer.kind.name not in types:
            continue
        if all(value in shapes for value in (*layer.bottoms, *layer.tops)):
            bottoms, tops = (tuple(shapes[value] for value in values) for values in (layer.bottoms, layer.tops))
            yield Shaped(board, layer, bottoms, tops)
