"""A subject in Caffe's view, where that view exists: what the rules about several layers at once ask."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.reading import Reading, readings
from xportdnn.check.rule import Broken
from xportdnn.check.subject import Subject
from xportdnn.choices import Mode
from xportdnn.network import Layer, Net


def is_any(layer: Layer, *names: str) -> bool:
    """Whether the layer is of one of these types, by Caffe's own names."""
    return layer.kind is not None and layer.kind.name in names


def in_place(layer: Layer) -> bool:
    """Whether the top is the bottom's blob."""
    return layer.tops[0].blob == layer.bottoms[0].blob


def written_by(net: Net, layer: Layer) -> Layer:
    """The layer that the first bottom comes from."""
    return net.layers[layer.bottoms[0].writer]


def read_by(net: Net, layer: Layer) -> tuple[Layer, ...]:
    """Those that read the first top."""
    return net.readers.get(layer.tops[0], ())


def broken(subject: Subject, layer: Layer, message: str) -> Iterator[Broken]:
    """A finding at the layer, if the board reads it, too."""
    if layer.index in subject.board_layers:
        yield Broken(message, subject.board_layers[layer.index])


def blocks(subject: Subject) -> Iterator[tuple[Layer, Reading]]:
    """The layers that the parser wants a block of, with what it takes from it."""
    for reading in readings(subject):
        if reading.layer.index in subject.caffe_layers:
            yield subject.caffe_layers[reading.layer.index], reading


def block_modes(subject: Subject) -> dict[int, Mode | None]:
    """Index of a layer -> the mode of its block; layers without one are absent."""
    return {layer.index: reading.mode for layer, reading in blocks(subject) if reading.has_block}
