"""Input headers, V1 and V0 layers, brought to `layer { }` form."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import accumulate

from xportdnn.check.fix import Change, Fix
from xportdnn.check.subject import Subject
from xportdnn.errors import PrototxtError
from xportdnn.prototxt import Edit
from xportdnn.upgrade import upgrade


def _changes(subject: Subject) -> Iterator[Change]:
    try:
        upgraded = upgrade(subject.document)
    except PrototxtError:  # a rule's finding says what is wrong with it
        return
    edits = tuple(_between(subject.source.text, upgraded.document.source.text))
    if edits:
        yield Change(edits[0].start, "; ".join(note.partition(": ")[2] for note in upgraded.notes), edits)


def _between(before: str, after: str) -> Iterator[Edit]:
    """The lines that differ, as edits."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    starts = list(accumulate(map(len, old), initial=0))
    for tag, first, last, begin, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield Edit(starts[first], starts[last], "".join(new[begin:end]))


FIX = Fix(("v1-layers", "batch"), "Input headers and V1 or V0 layers become `layer { }` entries", _changes)
