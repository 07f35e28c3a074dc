"""Fields and blocks given twice with the same content, of which one goes."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.fix import Change, Fix
from xportdnn.check.subject import Subject
from xportdnn.edits import lines_of
from xportdnn.prototxt import Edit, Message, Scalar, Value

_REPEATED = frozenset(
    {"bottom", "top", "param", "include", "exclude", "loss_weight", "propagate_down", "blobs", "blobs_lr"}
)
_BLOCKS = ("precision_param", "quantization_param")


def _changes(subject: Subject) -> Iterator[Change]:
    for layer in subject.layers:
        yield from _again(subject, layer.message, _REPEATED, f'of "{layer.name}"')
        for name in _BLOCKS:
            for block in layer.message.messages(name):
                yield from _again(subject, block, frozenset({"th_params"}), f'of the block of "{layer.name}"')


def _again(subject: Subject, block: Message, repeated: frozenset[str], where: str) -> Iterator[Change]:
    seen: dict[str, Value] = {}
    for entry in block.fields:
        first = seen.setdefault(entry.name, entry.value)
        if entry.name in repeated or first is entry.value or _content(first) != _content(entry.value):
            continue
        edit = Edit(*lines_of(subject.source, entry.start, entry.end), "")
        message = f"the second {entry.name} {where} is taken out, it says the same as the first"
        yield Change(entry.start, message, (edit,))


def _content(value: Value) -> object:
    """What is said, wherever it stands."""
    if isinstance(value, Scalar):
        return (value.kind, value.text)
    return tuple((entry.name, _content(entry.value)) for entry in value.fields)


FIX = Fix(
    ("repeated-field", "second-precision-block"),
    "Of a field or block given twice with the same content one is taken out",
    _changes,
)
