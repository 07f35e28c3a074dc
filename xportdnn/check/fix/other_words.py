"""Parameters that say the same in words that the board reads as Caffe does."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.fix import Change, Fix
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.decode import as_float, as_int
from xportdnn.edits import insertion, lines_of
from xportdnn.errors import LayerError
from xportdnn.prototxt import Edit, Field, Message, Scalar

_AXES = {"ArgMax": "argmax_param", "Concat": "concat_param", "Flatten": "flatten_param", "Softmax": "softmax_param"}
# The board always rounds up, as Caffe did before it had the field.
_ROUNDING_UP = {"ceil_mode": ("true", "True", "t", "1"), "round_mode": ("CEIL", "0")}


def _changes(subject: Subject) -> Iterator[Change]:
    for layer in subject.layers:
        for block in layer.message.fields:
            if isinstance(block.value, Message) and block.name.endswith("_param"):
                yield from _of_block(subject, layer, block, block.value)


def _of_block(subject: Subject, layer: BoardLayer, block: Field, message: Message) -> Iterator[Change]:
    for entry in message.fields:
        value = entry.value
        if not isinstance(value, Scalar):
            continue
        if block.name == "pooling_param" and value.text in _ROUNDING_UP.get(entry.name, ()):
            what = f"{entry.name} {value.text}, which the board does anyway,"
            yield _dropped(subject, layer, entry, what, "unknown-field")
        elif block.name == "eltwise_param" and entry.name == "coeff" and _ones(message):
            yield _dropped(subject, layer, entry, "coeff 1", "eltwise-coeff")
        elif block.name == "concat_param" and entry.name == "concat_dim" and not message.all("axis"):
            edit = Edit(entry.start, entry.start + len(entry.name), "axis")
            yield Change(entry.start, f'concat_dim of "{layer.name}" is now axis', (edit,), ("concat-dim",))
        elif entry.name == "axis" and block.name == _AXES.get(layer.type):
            yield from _counted(subject, layer, value)
    if block.name == "crop_param" and layer.type == "Crop" and not message.all("offset"):
        edit = insertion(subject.source, block, ["offset: 0"])
        yield Change(
            block.start, f'"{layer.name}" (Crop) now gives the offset 0, Caffe\'s default', (edit,), ("crop-values",)
        )


def _dropped(subject: Subject, layer: BoardLayer, entry: Field, what: str, rule: str) -> Change:
    edit = Edit(*lines_of(subject.source, entry.start, entry.end), "")
    return Change(entry.start, f'{what} is taken out of "{layer.name}"', (edit,), (rule,))


def _ones(eltwise: Message) -> bool:
    """Whether an Eltwise multiplies its bottoms by 1 only."""
    try:
        return all(as_float(value, "coeff") == 1 for value in eltwise.all("coeff"))
    except LayerError:
        return False


def _counted(subject: Subject, layer: BoardLayer, value: Scalar) -> Iterator[Change]:
    """A negative axis counted from the front."""
    caffe = subject.caffe_layers.get(layer.index)
    shape = subject.shapes.get(caffe.bottoms[0]) if caffe is not None and caffe.bottoms else None
    try:
        axis = as_int(value, "axis")
    except LayerError:
        return
    if shape is not None and -len(shape) <= axis < 0:
        edit = Edit(value.start, value.end, str(axis + len(shape)))
        yield Change(value.start, f'axis {axis} of "{layer.name}" is now {edit.text}', (edit,), ("negative-axis",))


FIX = Fix(
    ("unknown-field", "eltwise-coeff", "concat-dim", "negative-axis", "crop-values"),
    "Parameters are written in the words that the board reads as Caffe does",
    _changes,
)
