"""BatchNorm and Scale in one of the patterns that the board knows: both in place where that is possible, or neither."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check import rewiring
from xportdnn.check.fix import Change, Fix
from xportdnn.check.subject import BoardLayer, Subject, caffe_type
from xportdnn.literals import quoted
from xportdnn.prototxt import Edit, Scalar

_BEFORE = {"BatchNorm": "Convolution", "Scale": "BatchNorm"}


def _changes(subject: Subject) -> Iterator[Change]:
    for layer in subject.layers:
        before = _producer(subject, layer)
        if before is None or len(layer.bottoms) != 1 or len(layer.tops) != 1:
            continue
        if caffe_type(before) == _BEFORE.get(caffe_type(layer)) and _can_be_in_place(subject, layer):
            yield _in_place(subject, layer)
        elif caffe_type(layer) == "Scale" and layer.bottoms == layer.tops and caffe_type(before) == "BatchNorm":
            yield from _apart(subject, before, layer)


def _producer(subject: Subject, layer: BoardLayer) -> BoardLayer | None:
    """The layer whose top a layer with one bottom reads."""
    found = [other for other in subject.layers[: layer.index] if set(layer.bottoms[:1]) & set(other.tops)]
    return found[-1] if found else None


def _can_be_in_place(subject: Subject, layer: BoardLayer) -> bool:
    """Whether it is not, and nobody but layers in place before it reads its bottom."""
    (bottom,) = layer.bottoms
    others = [entry for entry in rewiring.readers(subject.entries, bottom) if entry is not layer.entry]
    return layer.bottoms != layer.tops and all(
        bottom in rewiring.message(entry).strings("top") and entry.start < layer.entry.start for entry in others
    )


def _in_place(subject: Subject, layer: BoardLayer) -> Change:
    (bottom,), (top,) = layer.bottoms, layer.tops
    edits = tuple(rewiring.renamed(subject.entries, top, bottom))
    return Change(layer.entry.start, f'"{layer.name}" ({layer.type}) is now in place; "{top}" is "{bottom}"', edits)


def _apart(subject: Subject, batch_norm: BoardLayer, scale: BoardLayer) -> Iterator[Change]:
    """A Scale in place behind a BatchNorm that is not and cannot be: it gets a top of its own, named like it."""
    (old,), new = scale.tops, scale.name
    taken = rewiring.readers(subject.entries, new) or rewiring.writers(subject.entries, new)
    if batch_norm.bottoms == batch_norm.tops or _producer_is_joined(subject, batch_norm) or taken or not new:
        return
    tops = [value for value in scale.message.all("top") if isinstance(value, Scalar)]
    behind = [entry for entry in subject.entries if entry.start > scale.entry.start]
    edits = (Edit(tops[0].start, tops[0].end, quoted(new)), *rewiring.renamed(behind, old, new))
    yield Change(scale.entry.start, f'"{scale.name}" ({scale.type}) is no longer in place; its top is "{new}"', edits)


def _producer_is_joined(subject: Subject, batch_norm: BoardLayer) -> bool:
    """Whether the BatchNorm will be in place itself, behind a Convolution."""
    before = _producer(subject, batch_norm)
    return before is not None and caffe_type(before) == "Convolution" and _can_be_in_place(subject, batch_norm)


FIX = Fix(
    ("normalization-half-in-place", "scale-unread", "scale-read-twice"),
    "BatchNorm and Scale become both in place, or, where others read the bottom too, both not",
    _changes,
)
