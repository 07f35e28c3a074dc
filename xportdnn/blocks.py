"""The plan as text: `precision_param { }` blocks put into the user's own prototxt, every other byte left alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from xportdnn.edits import insertion, lines_of
from xportdnn.layers import Shape
from xportdnn.literals import quoted
from xportdnn.network import Layer, Net, Value
from xportdnn.plan import Block, FieldValue, Word
from xportdnn.prototxt import Edit, Field, Message, Scalar, Source
from xportdnn.upgrade import input_layer


class Rewritten(NamedTuple):
    """The output, and what was changed besides the blocks, one sentence each; lines are still those of the input."""

    source: Source
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        return self.source.text


def rewrite(net: Net, blocks: Sequence[Block], inputs: Mapping[Value, Shape]) -> Rewritten:
    """The network's text with the blocks in it.

    Old blocks are taken out; the batch of Input layers becomes 1, and a layer that reads data files becomes an Input
    layer, because the board's parser accepts nothing else there.

    Args:
        inputs: the shapes to write where an Input layer has none or a data layer is replaced.
    """
    source = net.source
    edits, notes = cleared(net)
    by_layer = {block.layer.index: block for block in blocks}
    for layer in net.layers:
        block = by_layer.get(layer.index)
        if layer.type == "Input":
            batch = list(_batch(layer.message))
            edits += batch
            if batch:
                notes.append(f"{source.where(batch[0].start)}: the batch of input '{layer.name}' is now 1")
            if not layer.message.messages("input_param") and layer.tops and layer.tops[0] in inputs:
                edits.append(insertion(source, layer.entry, _shape_lines(inputs[layer.tops[0]])))
                notes.append(f"{net.where(layer)}: has no shape; the one of the calibration is written")
        if layer.is_input and layer.type != "Input":
            text = _source_as_input(net, layer, inputs, block)
            edits.append(Edit(layer.entry.start, layer.entry.end, text))
            notes.append(f"{net.where(layer)}: is now an Input layer; the board reads no data files")
        elif block is not None:
            edits.append(insertion(source, layer.entry, block_lines(block.fields)))
    return Rewritten(source.edited(_joined(edits)), tuple(notes))


def block_lines(fields: Iterable[tuple[str, FieldValue]], name: str = "precision_param") -> Iterator[str]:
    """The lines of a block without indentation of their own: two blanks per level."""
    yield f"{name} {{"
    for field, value in fields:
        if isinstance(value, tuple):
            yield from (f"  {field}: {number(item)}" for item in value)
        else:
            yield f"  {field}: {_written(value)}"
    yield "}"


def _written(value: int | float | str) -> str:
    if isinstance(value, Word):
        return str(value)
    return quoted(value) if isinstance(value, str) else number(value)


def number(value: int | float) -> str:
    """Twelve significant digits, as the original wrote its floats; whole floats keep a point."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.12g}"
    return text if any(mark in text for mark in ".en") else f"{text}.0"


# The board's parser reads Ristretto's block where ours is absent, and refuses Ristretto's own fields in it.
_OLD = ("precision_param", "quantization_param")
# caffe-jacinto's, which neither the board nor Ristretto knows
_OLD_OF_NET = ("quantize", "net_quantization_param")


def cleared(net: Net) -> tuple[list[Edit], list[str]]:
    """Edits that take out all formats of earlier quantizations, whoever wrote them, and what to say of it."""
    source = net.source
    removed = [_removed(source, entry) for entry in _old_blocks(net)]
    said = f"{source.name}: formats that were there before are replaced, {len(removed)} in all"
    return removed, [said] if removed else []


def _old_blocks(net: Net) -> Iterator[Field]:
    yield from (entry for entry in net.settings if entry.name in _OLD_OF_NET)
    for layer in net.layers:
        yield from (entry for entry in layer.message.fields if entry.name in _OLD)


def _removed(source: Source, entry: Field) -> Edit:
    return Edit(*lines_of(source, entry.start, entry.end), "")


def _batch(layer: Message) -> Iterator[Edit]:
    """Edits that set the first dim of every 4-axis shape of an Input layer to 1."""
    for param in layer.messages("input_param"):
        for shape in param.messages("shape"):
            dims = [dim for dim in shape.all("dim") if isinstance(dim, Scalar)]
            if len(dims) == 4 and dims[0].text != "1":
                yield Edit(dims[0].start, dims[0].end, "1")


def _shape_lines(shape: Shape) -> list[str]:
    return ["input_param {", "  shape {", *(f"    dim: {dim}" for dim in (1, *shape[1:])), "  }", "}"]


def _source_as_input(net: Net, layer: Layer, inputs: Mapping[Value, Shape], block: Block | None) -> str:
    """The Input layer of the picture, and of the labels that some layer of the file reads: one number each."""
    picture, *others = layer.tops
    shape, newline = inputs.get(picture, ()), net.source.newline
    labels = [top.blob for top in others if top in net.readers or top.blob in net.read_elsewhere]
    shapes = [(1, *shape[1:]), *[(1,)] * len(labels)] if shape else []
    text = input_layer(layer.name, [picture.blob, *labels], shapes, newline)
    if block is None:
        return text
    lines = "".join(f"  {line}{newline}" for line in block_lines(block.fields))
    return f"{text[:-1]}{lines}}}"


def _joined(edits: Iterable[Edit]) -> list[Edit]:
    """Edits in order; those inside a replaced layer give way to it."""
    result: list[Edit] = []
    for edit in sorted(edits, key=lambda edit: (edit.start, -edit.end)):
        if result and edit.end <= result[-1].end and edit.start < result[-1].end:
            continue
        result.append(edit)
    return result
