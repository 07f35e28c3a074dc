"""The quant_type in the letters that the board's parser compares with, and where thresholds show which one is meant."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.fix import Change, Fix
from xportdnn.check.reading import readings
from xportdnn.check.subject import Subject
from xportdnn.choices import Mode
from xportdnn.edits import insertion
from xportdnn.literals import quoted
from xportdnn.prototxt import Edit

_MODES = {mode.value.lower(): mode.value for mode in Mode}


def _changes(subject: Subject) -> Iterator[Change]:
    for reading in readings(subject):
        layer, written = reading.layer, reading.quant_type
        if reading.mode_forgotten:
            entry = next(entry for entry in layer.message.fields if entry.value is layer.block)
            edit = insertion(subject.source, entry, [f'quant_type: "{Mode.XILINX.value}"'])
            message = f'the block of "{layer.name}" now says quant_type Xilinx, it has thresholds'
            yield Change(entry.start, message, (edit,))
        elif written is not None and reading.mode is None:
            meant = _MODES.get(written.text.lower().replace("_", ""))
            if meant:
                edit = Edit(written.start, written.end, quoted(meant))
                yield Change(written.start, f'quant_type "{written.text}" of "{layer.name}" is now "{meant}"', (edit,))


FIX = Fix(
    ("quant-type-unknown", "quant-type-absent"), "quant_type is written as the board's parser compares it", _changes
)
