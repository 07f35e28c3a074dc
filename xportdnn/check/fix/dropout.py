"""Dropout with a top of its own, made in place, or taken out where others read its bottom too."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check import rewiring
from xportdnn.check.fix import Change, Fix
from xportdnn.check.subject import Subject


def _changes(subject: Subject) -> Iterator[Change]:
    entries = subject.entries
    for layer in subject.layers:
        if layer.type != "Dropout" or len(layer.bottoms) != 1 or len(layer.tops) != 1 or layer.bottoms == layer.tops:
            continue
        (bottom,), (top,) = layer.bottoms, layer.tops
        said = f'"{layer.name}" (Dropout)'
        if len(rewiring.readers(entries, bottom)) == 1:
            edits = tuple(rewiring.renamed(entries, top, bottom))
            yield Change(layer.entry.start, f'{said} is now in place; "{top}" is "{bottom}"', edits)
        else:
            edits = rewiring.bypassed(subject, layer.entry)
            yield Change(layer.entry.start, f'{said} is taken out; its readers read "{bottom}"', edits)


FIX = Fix(("dropout-not-in-place",), "Dropout becomes in place, or is taken out", _changes)
