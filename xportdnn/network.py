"""A prototxt's layers as the graph that runs in Caffe's TEST phase.

Blobs that layers overwrite in place are told apart: a `Value` is one version of a blob, named by the layer that wrote
it, so that the blob before and after an in-place ReLU are two values. Everything wrong with a network is found in
one go and reported together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NamedTuple

from xportdnn import layers, phases
from xportdnn.errors import LayerError, NetworkError
from xportdnn.layers import LayerKind, Shape, Shapes
from xportdnn.parameters import of_layer
from xportdnn.prototxt import Document, Field, Message, Source
from xportdnn.sources import is_source, source_shapes

# Layers that only training or scoring needs: left out of the forward, kept in the text.
_SCORING = {"Accuracy", "DetectionEvaluate", "HDF5Output", "MultiBoxLoss", "SoftmaxWithLossV2"}


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
    """

    source: Source
    layers: tuple[Layer, ...]
    left_out: tuple[LeftOut, ...]
    read_elsewhere: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    doubts: tuple[tuple[Layer, str], ...] = ()

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


def build(document: Document) -> Net:
    """The TEST network of a document in today's form (see `upgrade`).

    Raises:
        NetworkError: all contradictions at once, each with layer, type, file and line.
    """
    entries = [entry for entry in document.root.fields if entry.name == "layer"]
    source = document.source
    if not entries:
        raise NetworkError(_no_layers(document))
    kept: list[Field] = []
    left_out: list[LeftOut] = []
    read_elsewhere: set[str] = set()
    absent: dict[str, LeftOut] = {}
    problems: list[str] = []
    for entry in entries:
        if not isinstance(entry.value, Message):
            problems.append(f"{source.where(entry.start)}: 'layer' must be a {{ }} block")
        elif reason := _left_out(source, entry, entry.value):
            name, kind = entry.value.string("name"), entry.value.string("type")
            left_out.append(LeftOut(name, kind, source.line(entry.start), reason))
            read_elsewhere.update(entry.value.strings("bottom"))
            absent |= dict.fromkeys(entry.value.strings("top"), left_out[-1])
        else:
            kept.append(entry)
    builder = _Builder(source, kept, absent)
    for entry in kept:
        builder.add(entry)
    problems += builder.problems
    if problems:
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        raise NetworkError(f"{source.name}: the network has {count}:", problems)
    doubts = tuple((builder.layers[index], reason) for index, reason in builder.doubts)
    return Net(source, tuple(builder.layers), tuple(left_out), frozenset(read_elsewhere), tuple(builder.notes), doubts)


def _left_out(source: Source, entry: Field, message: Message) -> str:
    """Why a layer is not run; empty if it is."""
    layer_type = message.string("type")
    try:
        reason = phases.left_out(message)
    except LayerError as error:
        raise NetworkError(f"{source.where(entry.start)}: {error}") from None
    return reason or ("training or scoring only" if layer_type in _SCORING or layer_type.endswith("Loss") else "")


def _no_layers(document: Document) -> str:
    root, name = document.root, document.source.name
    names = {entry.name for entry in root.fields}
    if names & {"net", "train_net", "base_lr", "solver_mode"}:
        net = root.string("net") or root.string("train_net")
        return f"{name}: this is a solver prototxt, not a network" + (f"; its network is {net}" if net else "")
    return f"{name}: there is no layer in this file; a deploy prototxt holds `layer {{ }}` entries"


class _Builder:
    """Collects layers, blob versions and problems while reading the text from top to bottom."""

    def __init__(self, source: Source, entries: Sequence[Field], absent: Mapping[str, LeftOut]) -> None:
        self.source = source
        self.entries = entries
        self.absent = absent  # the layers left out, by their tops
        self.layers: list[Layer] = []
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.doubts: list[tuple[int, str]] = []  # layer index and reason
        self.named: dict[str, int] = {}  # layer name -> where the first that has it stands
        self.current: dict[str, Value] = {}  # the newest version of every blob
        self.read: set[Value] = set()

    def add(self, entry: Field) -> None:
        message = entry.value
        assert isinstance(message, Message)
        name, kind_name = message.string("name"), message.string("type")
        where = f'layer "{name}" ({kind_name or "no type"}, line {self.source.line(entry.start)})'
        if not kind_name:
            self.problems.append(f'{where}: has no type; add type: "..."')
        first = self.named.setdefault(name, entry.start)
        if first != entry.start:
            twin = f"{where}: has the name of the layer in line {self.source.line(first)}"
            self.notes.append(f"{self.source.name}: {twin}; the board takes no two layers of one name")
        kind = None if is_source(kind_name) else layers.kind(kind_name)
        index = len(self.layers)
        bottoms = self._bottoms(message, where)
        self._arity(message, kind, where)
        in_place = {value.blob for value in bottoms if value.blob in message.strings("top")}
        if in_place and kind is not None and not kind.in_place:
            self.problems.append(
                f"{where}: {kind.name} cannot run in place; give its top another name than '{sorted(in_place)[0]}'"
            )
        blobs = dict.fromkeys(message.strings("top"))
        if len(blobs) != len(message.all("top")):
            self.problems.append(f"{where}: two of its tops have the same name; every top needs a name of its own")
        tops = tuple(self._top(blob, index, blob in in_place, where) for blob in blobs)
        params = self._params(message, kind, where)
        self.read |= set(bottoms)
        self.current |= {value.blob: value for value in tops}
        # a broken layer is kept too: what stands after it is checked all the same, and the problems stop the network
        self.layers.append(Layer(index, name, kind_name, bottoms, tops, kind, params, entry))

    def _bottoms(self, message: Message, where: str) -> tuple[Value, ...]:
        found = []
        for blob in message.strings("bottom"):
            if blob in self.current:
                found.append(self.current[blob])
            else:
                self.problems.append(f"{where}: bottom '{blob}' is the top of no layer before it{self._hint(blob)}")
        return tuple(found)

    def _hint(self, blob: str) -> str:
        for entry in self.entries[len(self.layers) + 1 :]:
            if isinstance(entry.value, Message) and blob in entry.value.strings("top"):
                later = f'layer "{entry.value.string("name")}" (line {self.source.line(entry.start)})'
                return f" but of {later} behind it; put that one first"
        if blob in self.absent:
            layer = self.absent[blob]
            return f'; layer "{layer.name}" (line {layer.line}) makes it, but is not run: {layer.reason}'
        near = get_close_matches(blob, self.current, 1)
        return f"; did you mean '{near[0]}'?" if near else "; give it the name of an earlier top"

    def _top(self, blob: str, index: int, in_place: bool, where: str) -> Value:
        if blob in self.current:
            writer = self.layers[self.current[blob].writer]
            written = f'layer "{writer.name}" (line {self.source.line(writer.entry.start)})'
            if not in_place:
                self.problems.append(f"{where}: top '{blob}' is already the top of {written}; give it another name")
            elif self.current[blob] in self.read:
                self.problems.append(
                    f"{where}: overwrites '{blob}' of {written} in place although another layer reads it before; give "
                    "its top another name (Caffe: top blob produced by multiple sources)"
                )
        return Value(blob, index)

    def _arity(self, message: Message, kind: LayerKind[Any] | None, where: str) -> None:
        if kind is None:
            return
        for word, (least, most) in (("bottom", kind.bottoms), ("top", kind.tops)):
            count = len(message.all(word))
            if count < least or (most is not None and count > most):
                wanted = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
                self.problems.append(f"{where}: has {count} {word} blob(s), {kind.name} takes {wanted}")

    def _params(self, message: Message, kind: LayerKind[Any] | None, where: str) -> Any:
        if kind is None:
            return None
        try:
            params, unknown, doubt = of_layer(self.source, message, kind)
        except LayerError as error:
            self.problems.append(f"{where}: {error}")
            return None
        if doubt:
            self.doubts.append((len(self.layers), doubt))
        if unknown:
            names = ", ".join(unknown)
            self.notes.append(f"{self.source.name}: {where}: Caffe knows no field {names}; kept, without effect here")
        return params


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
