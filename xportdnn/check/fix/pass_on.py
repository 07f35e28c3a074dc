"""Blocks and fields missing in layers that only pass integers on, taken from the layer that made the integers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from xportdnn.check.fix import Change, Fix
from xportdnn.check.reading import Reading, readings, wanted
from xportdnn.check.subject import BoardLayer, Subject, caffe_type
from xportdnn.choices import Mode
from xportdnn.edits import insertion
from xportdnn.prototxt import Field, Message

_MENDED = frozenset({"Eltwise", "Permute", "Pooling"})
_PASSING = _MENDED | {"Concat", "Crop", "Dropout", "Flatten", "ReLU", "Reshape", "Split"}


class _Format(NamedTuple):
    """What the integers of a blob mean, as written: width, and threshold or fractional length."""

    mode: Mode
    width: str
    scale: str

    def text(self, field: str) -> str:
        """The value of a block's field."""
        return self.width if field.startswith("bw_") else self.scale


def _changes(subject: Subject) -> Iterator[Change]:
    formats = _arriving(subject)
    for reading in readings(subject):
        layer, found = reading.layer, formats[reading.layer.index]
        if caffe_type(layer) not in _MENDED or found is None or (reading.has_block and reading.mode is not found.mode):
            continue
        names = wanted(layer, found.mode)
        missing = [name for name in names if name not in reading.numbers]
        same = all(reading.numbers[name][-1].text == found.text(name) for name in names if name not in missing)
        if missing and same:
            lines = [f"{name}: {found.text(name)}" for name in missing]
            entry = _block(layer)
            if entry is None:
                lines = ["precision_param {", *(f"  {each}" for each in (*lines, _mode(found))), "}"]
            what = "a block" if entry is None else ", ".join(missing)
            message = f'"{layer.name}" ({layer.type}) now has {what}, as the layer has whose integers it passes on'
            yield Change(layer.entry.start, message, (insertion(subject.source, entry or layer.entry, lines),))


def _mode(found: _Format) -> str:
    return f'quant_type: "{found.mode.value}"'


def _block(layer: BoardLayer) -> Field | None:
    """The field of the block that the board reads."""
    fields = layer.message.fields
    return next((entry for entry in fields if isinstance(entry.value, Message) and entry.value is layer.block), None)


def _arriving(subject: Subject) -> Mapping[int, _Format | None]:
    """Index of a layer -> the format of its bottoms; None where they have none, or not the same one."""
    known: dict[str, _Format | None] = {}
    found: dict[int, _Format | None] = {}
    for layer in subject.layers:
        arriving = {known.get(blob) for blob in layer.bottoms}
        found[layer.index] = arriving.pop() if len(arriving) == 1 else None
        leaving = _leaving(layer) or (found[layer.index] if caffe_type(layer) in _PASSING else None)
        known |= dict.fromkeys(layer.tops, leaving)
    return found


def _leaving(layer: BoardLayer) -> _Format | None:
    """What a layer's block says of its top."""
    numbers = Reading(layer).numbers
    for mode, name in ((Mode.XILINX, "th_layer_out"), (Mode.DYNAMIC_FIXED, "fl_layer_out")):
        if name in numbers and "bw_layer_out" in numbers:
            return _Format(mode, numbers["bw_layer_out"][-1].text, numbers[name][-1].text)
    return None


FIX = Fix(
    ("block-missing", "block-missing-xilinx", "field-missing"),
    "Layers that only pass integers on get the missing block, or its missing fields, of the layer that made them",
    _changes,
)
