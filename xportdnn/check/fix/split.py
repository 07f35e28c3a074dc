"""Split layers, taken out: the readers of their tops read their bottom."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check import rewiring
from xportdnn.check.fix import Change, Fix
from xportdnn.check.subject import Subject


def _changes(subject: Subject) -> Iterator[Change]:
    for layer in subject.layers:
        if layer.type == "Split" and len(layer.bottoms) == 1:
            message = f'"{layer.name}" (Split) is taken out; its readers read "{layer.bottoms[0]}"'
            yield Change(layer.entry.start, message, rewiring.bypassed(subject, layer.entry))


FIX = Fix(("unregistered-type",), "Split layers are taken out", _changes)
