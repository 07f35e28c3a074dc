"""A prototxt as CHaiDNN's parser sees it, and, where they can be had, the shapes and weights behind it.

The board's view is not Caffe's: `exclude`, stages and `phase:` mean nothing to it, layers with an
`include { phase: TRAIN }` are skipped, everything else runs in the order of the file (caffe_network_parser.cpp,
ParseCaffeNetwork).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from xportdnn.caffemodel import Caffemodel
from xportdnn.check.params import REGISTERED, flag
from xportdnn.layers import ALIASES, Arrays, Shape
from xportdnn.network import Layer, Net, Value
from xportdnn.opening import Opened
from xportdnn.prototxt import Document, Field, Message, Source


@dataclass(frozen=True)
class BoardLayer:
    """A `layer { }`.

    Attributes:
        index: position in `Subject.layers`, -1 for a layer that the board skips.
        entry: the field in the text.
    """

    index: int
    entry: Field = field(repr=False)

    @cached_property
    def message(self) -> Message:
        assert isinstance(self.entry.value, Message)
        return self.entry.value

    @cached_property
    def name(self) -> str:
        return self.message.string("name")

    @cached_property
    def type(self) -> str:
        """As written."""
        return self.message.string("type")

    @cached_property
    def is_custom(self) -> bool:
        """Whether the user brings the layer along, see docs/SOFTWARE_LAYER_PLUGIN.md."""
        return flag(self.message, "user_defined_layer", False)

    @cached_property
    def board_type(self) -> str:
        """Caffe's name of what the board runs; empty for types that it does not know and for the user's own."""
        return "" if self.is_custom else REGISTERED.get(self.type, "")

    @cached_property
    def bottoms(self) -> tuple[str, ...]:
        return tuple(self.message.strings("bottom"))

    @cached_property
    def tops(self) -> tuple[str, ...]:
        return tuple(self.message.strings("top"))

    @cached_property
    def blocks(self) -> Mapping[str, Message]:
        """The first block of every name."""
        return {entry.name: entry.value for entry in reversed(self.message.fields) if isinstance(entry.value, Message)}

    @property
    def block(self) -> Message | None:
        """The block that the board reads: `precision_param`, or `quantization_param` where that is absent."""
        return self.blocks.get("precision_param") or self.blocks.get("quantization_param")


@dataclass(frozen=True, eq=False)
class Subject:
    """What the rules look at; compared by identity, so that what is found out about it can be kept.

    Attributes:
        document: the file as written; nothing is upgraded.
        net: Caffe's view of it, None where Caffe would refuse the file; `trouble` says why.
        shapes: those of all values of `net` that can be computed.
        weights: layer index of `net` -> arrays, where a caffemodel was given and fits.
        opened: `net` with its caffemodel, where one was given and fits.
        model: the caffemodel, whether it fits or not.
    """

    document: Document
    net: Net | None = None
    shapes: Mapping[Value, Shape] = field(default_factory=dict)
    weights: Mapping[int, Arrays] = field(default_factory=dict)
    opened: Opened | None = None
    trouble: str = ""
    model: Caffemodel | None = None

    @property
    def source(self) -> Source:
        return self.document.source

    @cached_property
    def entries(self) -> tuple[Field, ...]:
        """Every `layer { }` of the file."""
        return tuple(
            entry for entry in self.document.root.fields if entry.name == "layer" and isinstance(entry.value, Message)
        )

    @cached_property
    def layers(self) -> tuple[BoardLayer, ...]:
        """The layers that the board reads, in file order."""
        kept = [entry for at, entry in enumerate(self.entries) if not _skips(at, entry)]
        return tuple(BoardLayer(index, entry) for index, entry in enumerate(kept))

    @cached_property
    def by_type(self) -> Mapping[str, tuple[BoardLayer, ...]]:
        """What the board takes the layers for -> those of that type, in file order."""
        found: dict[str, list[BoardLayer]] = {}
        for layer in self.layers:
            found.setdefault(layer.board_type, []).append(layer)
        return {kind: tuple(layers) for kind, layers in found.items()}

    @cached_property
    def skipped(self) -> tuple[BoardLayer, ...]:
        """The others, with the index -1."""
        return tuple(BoardLayer(-1, entry) for at, entry in enumerate(self.entries) if _skips(at, entry))

    @cached_property
    def caffe_layers(self) -> Mapping[int, Layer]:
        """Index of a board layer -> the same layer in Caffe's view, where both see it."""
        if self.net is None:
            return {}
        by_line = {(layer.name, self.net.source.line(layer.entry.start)): layer for layer in self.net.layers}
        found = {}
        for layer in self.layers:
            same = by_line.get((layer.name, self.source.line(layer.entry.start)))
            if same is not None:
                found[layer.index] = same
        return found

    @cached_property
    def board_layers(self) -> Mapping[int, BoardLayer]:
        """The other way round: index of a layer in Caffe's view -> the same layer as the board reads it."""
        return {layer.index: self.layers[index] for index, layer in self.caffe_layers.items()}


def caffe_type(layer: BoardLayer) -> str:
    """Caffe's own name of the type: CHaiDNN takes Ristretto's names for the same layers."""
    return ALIASES.get(layer.type, layer.type)


def _skips(at: int, entry: Field) -> bool:
    """Whether the board skips the layer: any `include { phase: TRAIN }`, but not in an Input layer at the top."""
    assert isinstance(entry.value, Message)
    if at == 0 and entry.value.string("type") == "Input":
        return False
    return any(rule.string("phase") in ("TRAIN", "0") for rule in entry.value.messages("include"))
