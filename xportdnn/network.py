"""The network that runs in Caffe's TEST phase, as values: layers, blobs, shapes.

Blobs that layers overwrite in place are told apart: a `Value` is one version of a blob, named by the layer that wrote
it, so that the blob before and after an in-place ReLU are two values. `build` makes a network from a document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from xportdnn.errors import LayerError, NetworkError
from xportdnn.layers import LayerKind, Shape, Shapes
from xportdnn.prototxt import Field, Message, Source
from xportdnn.sources import is_source, source_shapes


class Value(NamedTuple):
    """One version of a blob: its name and the index of the layer that wrote it."""

    blob: str
    writer: int


@dataclass(frozen=True)
class Layer:
    """A layer of the TEST network.

    Attributes:
        index: position in `Net.layers`.
        type: as written; `kind.name` is Caffe's own name behind an alias.
        kind: the type's rules; None where this program has none.
        params: decoded parameters (an instance of `kind.params`).
        entry: the `layer { }` field in the text.
    """

    index: int
    name: str
    type: str
    bottoms: tuple[Value, ...]
    tops: tuple[Value, ...]
    kind: LayerKind[Any] | None = field(repr=False)
    params: Any = field(repr=False)
    entry: Field = field(repr=False)

    @property
    def message(self) -> Message:
        assert isinstance(self.entry.value, Message)
        return self.entry.value

    @property
    def is_input(self) -> bool:
        return self.type == "Input" or is_source(self.type)


class LeftOut(NamedTuple):
    """A layer that is in the text but not in the forward, and why."""

    name: str
    type: str
    line: int
    reason: str


@dataclass(frozen=True)
class Net:
    """The TEST network of a prototxt.

    Attributes:
        layers: those that run, in file order.
        left_out: other phases' layers, losses and scores.
        read_elsewhere: blobs that the layers left out read.
        notes: doubtful but harmless things found, one sentence each.
        doubts: layers that Caffe refuses for something that cannot change the forward, with the reason.
        settings: the fields of the text that are no layers.
    """

    source: Source
    layers: tuple[Layer, ...]
    left_out: tuple[LeftOut, ...]
    read_elsewhere: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    doubts: tuple[tuple[Layer, str], ...] = ()
    settings: tuple[Field, ...] = field(default=(), repr=False)

    def where(self, layer: Layer) -> str:
        """`layer "conv1" (Convolution, deploy.prototxt:12)` for messages."""
        return f'layer "{layer.name}" ({layer.type}, {self.source.where(layer.entry.start)})'

    def at(self, layer: Layer) -> str:
        """`layer "conv1" (Convolution, line 12)` for lists whose headline names the file."""
        return f'layer "{layer.name}" ({layer.type}, line {self.source.line(layer.entry.start)})'

    @cached_property
    def readers(self) -> Mapping[Value, tuple[Layer, ...]]:
        """The layers that read each value, in order."""
        found: dict[Value, list[Layer]] = {}
        for layer in self.layers:
            for value in dict.fromkeys(layer.bottoms):
                found.setdefault(value, []).append(layer)
        return {value: tuple(readers) for value, readers in found.items()}

    @cached_property
    def declared(self) -> Mapping[Value, Shape]:
        """The input shapes that the text gives; inputs without one are absent."""
        shapes: dict[Value, Shape] = {}
        for layer in self.layers:
            if layer.type == "Input" and layer.kind is not None:
                if layer.params.shape:
                    shapes |= dict(zip(layer.tops, self._input_shapes(layer), strict=True))
            elif layer.is_input:
                shapes |= dict(zip(layer.tops, self._input_shapes(layer), strict=False))
        return shapes

    def _input_shapes(self, layer: Layer) -> Shapes:
        try:
            if layer.kind is None:
                return source_shapes(layer.type, layer.message)
            return layer.kind.shape(layer.params, ())
        except LayerError as error:
            raise NetworkError(f"{self.where(layer)}: {error}") from None

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that must be fed: tops of input layers that a layer of the forward reads."""
        tops = [top for layer in self.layers if layer.is_input for top in layer.tops]
        read = [top for top in tops if any(reader.type != "Silence" for reader in self.readers.get(top, ()))]
        return tuple(read or tops[:1])


def infer_shapes(net: Net, inputs: Mapping[Value, Shape]) -> dict[Value, Shape]:
    """The shape of every value that can be known, from the shapes of the inputs.

    Layers without a rule, and what depends on them, are absent.

    Raises:
        NetworkError: every layer whose rule its bottoms break.
    """
    shapes = dict(inputs)
    problems: list[str] = []
    for value, shape in inputs.items():
        if any(dim < 1 for dim in shape):
            where = net.at(net.layers[value.writer])
            problems.append(f"{where}: '{value.blob}' has the shape {list(shape)}; every dim must be at least 1")
    for layer in net.layers if not problems else ():
        if layer.is_input or layer.kind is None or not all(value in shapes for value in layer.bottoms):
            continue
        try:
            tops = layer.kind.shape(layer.params, tuple(shapes[value] for value in layer.bottoms))
            if any(dim < 1 for shape in tops for dim in shape):
                raise LayerError(f"its top would have the shape {list(tops[0])}; the bottom is too small for it")
            shapes |= dict(zip(layer.tops, tops, strict=True))
        except LayerError as error:
            problems.append(f"{net.at(layer)}: {error}")
    if problems:
        count = f"{len(problems)} layers" if len(problems) > 1 else "one layer"
        raise NetworkError(f"{net.source.name}: {count} cannot be computed:", problems)
    return shapes


def unreached(net: Net, shapes: Mapping[Value, Shape]) -> Iterator[tuple[Layer, str]]:
    """Layers that cannot run, each with the reason, in file order."""
    for layer in net.layers:
        if layer.is_input:
            continue
        if layer.kind is None:
            yield layer, f"there is no rule for the type {layer.type}"
        elif missing := [value.blob for value in layer.bottoms if value not in shapes]:
            yield layer, f"its bottom '{missing[0]}' is not computed"


def runnable(net: Net, available: Sequence[Value] | Mapping[Value, Any]) -> tuple[Layer, ...]:
    """The layers that can run when the given input values are fed, in order."""
    have = set(available)
    run = []
    for layer in net.layers:
        if not layer.is_input and layer.kind is not None and have.issuperset(layer.bottoms):
            run.append(layer)
            have |= set(layer.tops)
    return tuple(run)
