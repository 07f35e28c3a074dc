"""A document's layers as the network of Caffe's TEST phase, everything wrong with it found in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xportdnn import layers, phases
from xportdnn.errors import LayerError, NetworkError
from xportdnn.layers import LayerKind
from xportdnn.network import Layer, LeftOut, Net, Value
from xportdnn.parameters import of_layer
from xportdnn.prototxt import Document, Field, Message, Source
from xportdnn.similar import similar
from xportdnn.sources import is_source

# Layers that only training or scoring needs: left out of the forward, kept in the text.
_SCORING = {"Accuracy", "DetectionEvaluate", "HDF5Output", "MultiBoxLoss", "SoftmaxWithLossV2"}


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
    return Net(
        source,
        tuple(builder.layers),
        tuple(left_out),
        frozenset(read_elsewhere),
        tuple(builder.notes),
        doubts,
        tuple(entry for entry in document.root.fields if entry.name != "layer"),
    )


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
        near = similar(blob, self.current, 1)
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
