"""The Input layer, moved before all others."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check import rewiring
from xportdnn.check.fix import Change, Fix
from xportdnn.check.subject import Subject
from xportdnn.prototxt import Edit


def _changes(subject: Subject) -> Iterator[Change]:
    entries = subject.entries
    later = [entry for entry in entries[1:] if rewiring.message(entry).string("type") == "Input"]
    if not later or rewiring.message(entries[0]).string("type") == "Input":
        return
    moved, first = later[0], entries[0]
    taken = rewiring.removed(subject, moved)
    if taken:
        text = subject.source.text[moved.start : moved.end] + subject.source.newline
        edits = (Edit(first.start, first.start, text), *taken)
        yield Change(moved.start, f'input "{rewiring.message(moved).string("name")}" is now the first layer', edits)


FIX = Fix(("one-input",), "The Input layer moves before all others", _changes)
