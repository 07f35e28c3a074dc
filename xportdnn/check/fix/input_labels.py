"""Tops of the Input layer that nothing reads, such as labels, taken away with their shapes."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check import rewiring
from xportdnn.check.fix import Change, Fix
from xportdnn.check.subject import Subject
from xportdnn.edits import lines_of
from xportdnn.prototxt import Edit, Field, Message


def _changes(subject: Subject) -> Iterator[Change]:
    entries = subject.entries
    for layer in subject.layers:
        tops = [entry for entry in layer.message.fields if entry.name == "top"]
        if layer.type != "Input" or len(tops) < 2:
            continue
        unread = [at for at, top in enumerate(layer.tops) if not rewiring.readers(entries, top)]
        if not unread or len(unread) == len(tops):
            continue
        shapes = [
            entry
            for param in layer.message.messages("input_param")
            for entry in param.fields
            if entry.name == "shape" and isinstance(entry.value, Message)
        ]
        if len(shapes) not in (0, 1, len(tops)):
            continue
        gone = [tops[at] for at in unread] + ([shapes[at] for at in unread] if len(shapes) == len(tops) else [])
        names = ", ".join(layer.tops[at] for at in unread)
        edits = tuple(_without(subject, entry) for entry in gone)
        yield Change(tops[unread[0]].start, f'input "{layer.name}" no longer has the tops {names}, unread', edits)


def _without(subject: Subject, entry: Field) -> Edit:
    return Edit(*lines_of(subject.source, entry.start, entry.end), "")


FIX = Fix(("one-input",), "Tops of the Input layer that nothing reads are taken away", _changes)
