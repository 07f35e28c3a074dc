"""Edits that give blobs other names and take layers out.

All `layer { }` entries count, those too that the board skips: what is renamed is renamed in the whole file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xportdnn.check.subject import Subject
from xportdnn.edits import lines_of
from xportdnn.literals import quoted
from xportdnn.prototxt import Edit, Field, Message, Scalar


def message(entry: Field) -> Message:
    """The fields of a layer."""
    assert isinstance(entry.value, Message)
    return entry.value


def readers(entries: Iterable[Field], blob: str) -> list[Field]:
    """The layers that read a blob."""
    return [entry for entry in entries if blob in message(entry).strings("bottom")]


def writers(entries: Iterable[Field], blob: str) -> list[Field]:
    """The layers that write a blob."""
    return [entry for entry in entries if blob in message(entry).strings("top")]


def renamed(entries: Iterable[Field], old: str, new: str) -> Iterator[Edit]:
    """Edits that give a blob another name wherever the entries read or write it."""
    for entry in entries:
        for field in message(entry).fields:
            value = field.value
            if field.name in ("bottom", "top") and isinstance(value, Scalar) and value.text == old:
                yield Edit(value.start, value.end, quoted(new))


def alone(subject: Subject, entry: Field) -> bool:
    """Whether a layer is no item of a list of layers, whose text they share."""
    return sum((other.start, other.end) == (entry.start, entry.end) for other in subject.entries) == 1


def removed(subject: Subject, entry: Field) -> tuple[Edit, ...]:
    """An edit that takes a layer out with its lines; none where it stands in a list."""
    return (Edit(*lines_of(subject.source, entry.start, entry.end), ""),) if alone(subject, entry) else ()


def bypassed(subject: Subject, entry: Field) -> tuple[Edit, ...]:
    """Edits that take a layer out and let the readers of its tops read its bottom; none where that is not the same.

    It is the same where nobody overwrites one of the tops in place, which would overwrite the bottom for its other
    readers, and where every top is read, for otherwise it is an output of the network.
    """
    entries = [other for other in subject.entries if other is not entry]
    (bottom,) = message(entry).strings("bottom")
    out = [top for top in message(entry).strings("top") if top != bottom]
    if any(writers(entries, top) or not readers(entries, top) for top in out):
        return ()
    taken = removed(subject, entry)
    return (*taken, *(edit for top in out for edit in renamed(entries, top, bottom))) if taken else ()
