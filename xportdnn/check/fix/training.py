"""Layers of training and scoring in the board's way, taken out, and phases that it reads in another way than Caffe."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check import rewiring
from xportdnn.check.fix import Change, Fix
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.edits import lines_of
from xportdnn.prototxt import Edit


def _changes(subject: Subject) -> Iterator[Change]:
    """What Caffe does not run in its TEST phase, or what does nothing there; layers that the board skips may stay."""
    if subject.net is None:
        return
    reasons = {(layer.name, layer.line): layer.reason for layer in subject.net.left_out}
    for layer in (*subject.layers, *subject.skipped):
        start = layer.entry.start
        reason = reasons.get((layer.name, subject.source.line(start)), "")
        if layer.index < 0:
            if not reason:
                yield _without_phases(subject, layer)
        elif reason or _idle(subject, layer):
            message = f'"{layer.name}" ({layer.type}) is taken out: {reason or "it does nothing"}'
            yield Change(start, message, rewiring.removed(subject, layer.entry))


def _without_phases(subject: Subject, layer: BoardLayer) -> Change:
    """A layer that Caffe runs in TEST without the `include` for which the board skips it."""
    entries = [entry for entry in layer.message.fields if entry.name == "include"]
    edits = (Edit(*lines_of(subject.source, entry.start, entry.end), "") for entry in entries)
    message = f'"{layer.name}" ({layer.type}) now runs in every phase'
    return Change(entries[0].start, message, tuple(edits), ("phase-rules",))


def _idle(subject: Subject, layer: BoardLayer) -> bool:
    """Whether it is a Silence whose blobs become no outputs when it goes: inputs, or read elsewhere too."""
    entries = [entry for entry in subject.entries if entry is not layer.entry]
    inputs = {top for other in subject.layers if other.type == "Input" for top in other.tops}
    return layer.type == "Silence" and all(blob in inputs or rewiring.readers(entries, blob) for blob in layer.bottoms)


FIX = Fix(("unregistered-type", "phase-rules"), "Layers of training and scoring are taken out", _changes)
