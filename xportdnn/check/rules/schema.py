"""Fields that CHaiDNN's text format does not take: one of them, and the file is not read at all (EP002)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from xportdnn.check.fields import ROOT, Kind, schema
from xportdnn.check.graph import solver_fields
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.prototxt import Field, Message, Scalar
from xportdnn.similar import similar

_NEAR = 0.85
_BLOCKS = ("precision_param", "quantization_param")
# How newer Caffe and its forks say which way Pooling rounds its size, with what the board does anyway.
_ROUNDING = {"ceil_mode": ("true", "t", "True", "1"), "round_mode": ("CEIL", "0")}
# Fields of other programs' formats, which the board does not have.
_RISTRETTO = ("precision", "rounding_scheme", "mant_bits", "exp_bits", "exp_min", "exp_max")
_FOREIGN = {
    **{("quantization_param", name): "Ristretto's" for name in _RISTRETTO},
    **{("the network", name): "caffe-jacinto's" for name in ("quantize", "net_quantization_param")},
}


class _Place(NamedTuple):
    """A message of the file, its name for users, the layer it stands in and the fields of its type."""

    kind: str
    message: Message
    title: str
    layer: BoardLayer | None
    known: Mapping[str, Kind]


@lru_cache(maxsize=1)
def _places(subject: Subject) -> tuple[_Place, ...]:
    return tuple(_found(subject))


def _found(subject: Subject) -> Iterator[_Place]:
    """Every message whose type is known, from the outside in; not what stands in `layers`, see v1-layers."""
    layers = {layer.message.start: layer for layer in (*subject.layers, *subject.skipped)}
    messages = schema().messages
    waiting = [_Place(ROOT, subject.document.root, "the network", None, messages[ROOT])]
    while waiting:
        place = waiting.pop()
        yield place
        for entry in place.message.fields:
            kind = place.known.get(entry.name)
            if isinstance(entry.value, Message) and kind and kind.name in messages and entry.name != "layers":
                is_layer = place.kind == ROOT and entry.name == "layer"
                layer = layers.get(entry.value.start) if is_layer else place.layer
                title = "a layer" if is_layer else entry.name
                waiting.append(_Place(kind.name, entry.value, title, layer, messages[kind.name]))


def _unknown(subject: Subject) -> Iterator[Broken]:
    if solver := solver_fields(subject):
        yield Broken(f"{solver[0].name} is a field of a solver prototxt, this is not a network", start=solver[0].start)
        return
    for place in _places(subject):
        strangers = {entry.name: entry for entry in reversed(place.message.fields) if entry.name not in place.known}
        for name, entry in strangers.items():
            whose = _FOREIGN.get((place.title, name))
            meant = f"; it is {whose}, convert with --dialect chaidnn" if whose else _meant(entry, place.known)
            yield Broken(f"{place.title} has no field {name}{meant}", place.layer, entry.start)


def _meant(entry: Field, known: Mapping[str, Kind]) -> str:
    """What to write instead, as far as that can be guessed."""
    name, messages = entry.name, schema().messages
    if name in _ROUNDING and isinstance(entry.value, Scalar):
        if entry.value.text in _ROUNDING[name]:
            return f"; the board always does what {name}: {entry.value.text} says: delete it"
        said = f"the board always rounds up, {name}: {entry.value.text} rounds down"
        return f"; {said}: choose kernel and pad so that nothing is left to round, then delete it"
    inside = [field for field, kind in known.items() if name in messages.get(kind.name, ())]
    near = [other for other in similar(name, known, 2, _NEAR) if _alike(name, other)]
    if near:
        return f"; {' or '.join(near)}?"
    return f"; it belongs into {' or '.join(inside)}" if 0 < len(inside) <= 3 else ""


def _alike(name: str, other: str) -> bool:
    """Whether two names of blocks are near without the ending that all of them share."""
    stems = [each.removesuffix("_param") for each in (name, other)]
    return stems[0] == name or bool(similar(stems[0], stems[1:], 1, _NEAR))


def _repeated(subject: Subject) -> Iterator[Broken]:
    for place, name, entries in _doubtful(subject):
        if name not in _BLOCKS:
            yield from _again(subject, place, name, entries)


def _second_block(subject: Subject) -> Iterator[Broken]:
    for place, name, entries in _doubtful(subject):
        if name in _BLOCKS:
            yield from _again(subject, place, name, entries)


@lru_cache(maxsize=1)
def _doubtful(subject: Subject) -> tuple[tuple[_Place, str, list[Field]], ...]:
    """The fields that may stand once and stand there twice or with something behind the value: a list has its `]`."""
    return tuple(
        (place, name, entries)
        for place in _places(subject)
        for name, entries in _singles(place).items()
        if len(entries) > 1 or entries[0].end > entries[0].value.end
    )


def _singles(place: _Place) -> Mapping[str, list[Field]]:
    """The entries of each field that may stand once."""
    found: dict[str, list[Field]] = {}
    for entry in place.message.fields:
        kind = place.known.get(entry.name)
        if kind is not None and not kind.repeated:
            found.setdefault(entry.name, []).append(entry)
    return found


def _again(subject: Subject, place: _Place, name: str, entries: list[Field]) -> Iterator[Broken]:
    first = entries[0]
    if _in_list(subject, first):
        yield Broken(f"{name} of {place.title} takes one value, not a list", place.layer, first.start)
    elif len(entries) > 1:
        line = subject.source.line(first.start)
        often = "twice" if len(entries) == 2 else f"{len(entries)} times"
        yield Broken(f"{name} of {place.title} is given {often}, first in line {line}", place.layer, entries[1].start)


def _in_list(subject: Subject, entry: Field) -> bool:
    """Whether the value stands in `[ ]`."""
    behind = re.sub(r"#[^\n]*", "", subject.source.text[entry.value.end : entry.end])
    return "]" in behind or "," in behind.rstrip()[:-1]


def _wrong(subject: Subject) -> Iterator[Broken]:
    known: dict[tuple[Kind, str, str, str], str] = {}  # the same values stand in layer after layer
    for place in _places(subject):
        for entry in place.message.fields:
            kind, value = place.known.get(entry.name), entry.value
            if kind is None:
                continue
            written = ("", "") if isinstance(value, Message) else (value.kind, value.text)
            key = (kind, entry.name, *written)
            if key not in known:
                known[key] = schema().problem(kind, value, entry.name)
            if known[key]:
                yield Broken(known[key], place.layer, value.start)


_SOURCE = "caffe_network_parser.cpp, readDeployFile, EP002; software/xtract/caffe.proto"
_WHY = (
    "CHaiDNN reads the file with protobuf's strict text parser and its own caffe.proto, a Caffe of early 2017 with "
    "SSD's layers. "
)

RULES = (
    Rule(
        "unknown-field",
        Severity.STOPS,
        "Every field is one of CHaiDNN's caffe.proto",
        _WHY + "One field that it does not know, and nothing of the file is read.",
        "Correct the spelling, move the field into the block it belongs to, or delete it where it says what Caffe does "
        "anyway.",
        _SOURCE,
        _unknown,
    ),
    Rule(
        "repeated-field",
        Severity.STOPS,
        "A field that takes one value is given once",
        _WHY + "It does not take the last of several values, it stops.",
        "Keep the one that is meant.",
        _SOURCE,
        _repeated,
    ),
    Rule(
        "second-precision-block",
        Severity.STOPS,
        "A layer has one precision_param",
        _WHY + "A second block, as a file gets that is quantized twice by hand, stops it.",
        "Keep the newer block; a conversion by xportdnn replaces old blocks by itself.",
        _SOURCE,
        _second_block,
    ),
    Rule(
        "wrong-value",
        Severity.STOPS,
        "Every value is of its field's type",
        _WHY + "Text where a number belongs, an enum's name that it does not have, a negative number in an unsigned "
        "field: nothing of the file is read.",
        "Write a value of the type that the message names.",
        _SOURCE,
        _wrong,
    ),
)
