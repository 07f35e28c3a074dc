"""The plan as edits of the text: layers go, blobs get their new names, `bias_term: false` goes where a bias is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xportdnn.edits import lines_of
from xportdnn.folding.plan import Plan
from xportdnn.literals import quoted
from xportdnn.network import Layer, Net, Value
from xportdnn.prototxt import Edit, Scalar, Source


def rewritten(net: Net, plan: Plan) -> Source:
    """The network's text when the plan is carried out; what it does not touch stays byte for byte."""
    removed = plan.removed
    edits = list(_removals(net.source, [layer for layer in net.layers if layer.index in removed]))
    for layer in net.layers:
        if layer.index in removed:
            continue
        edits += _renamed(layer, "bottom", [_name(plan, plan.homes[value]) for value in layer.bottoms])
        edits += _renamed(layer, "top", [_name(plan, value) for value in layer.tops])
        if len(plan.blobs.get(layer.index, ())) == 2 and not layer.params.bias_term:
            edits += _biased(net.source, layer)
    return net.source.edited(edits) if edits else net.source


def _name(plan: Plan, value: Value) -> str:
    return plan.names.get(value, value.blob)


def _renamed(layer: Layer, field: str, names: Sequence[str]) -> Iterator[Edit]:
    entries = [value for value in layer.message.all(field) if isinstance(value, Scalar)]
    for entry, name in zip(entries, names, strict=True):
        if entry.text != name:
            yield Edit(entry.start, entry.end, quoted(name))


def _biased(source: Source, layer: Layer) -> Iterator[Edit]:
    assert layer.kind is not None
    for block in layer.message.messages(layer.kind.field):
        for entry in block.fields:
            if entry.name == "bias_term":
                yield Edit(*lines_of(source, entry.start, entry.end), "")


def _removals(source: Source, layers: Sequence[Layer]) -> Iterator[Edit]:
    """Edits that take layers away with their lines, and with one of two blank stretches that would meet."""
    spans: list[tuple[int, int]] = []
    for layer in layers:
        start, end = lines_of(source, layer.entry.start, layer.entry.end)
        if spans and not source.text[spans[-1][1] : start].strip():
            start = spans.pop()[0]
        spans.append((start, end))
    for start, end in spans:
        yield Edit(start, _beyond_blanks(source.text, start, end), "")


def _beyond_blanks(text: str, start: int, end: int) -> int:
    """`end`, or the end of the blank lines behind it where one stands before `start` already."""
    before = len(text[:start].rstrip())
    if before and text.count("\n", before, start) < 2:
        return end
    rest = text[end:]
    return end + rest[: len(rest) - len(rest.lstrip())].rfind("\n") + 1
