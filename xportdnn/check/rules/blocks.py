"""Blocks that are absent, incomplete or in the wrong mode (caffe_network_parser.cpp, ExtractPrecisionParameters).

Blocks of layers that the parser never asks for one (ReLU, Concat, Input, InnerProduct ...) are no finding: the user
guide wants some of them, and they change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.params import board_type
from xportdnn.check.reading import Reading, default, readings, wanted
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import Subject
from xportdnn.check.wording import listed
from xportdnn.choices import Mode
from xportdnn.similar import similar

_DEFAULTS = "DynamicFixed with 6 bits and 3 fractional bits (5 for weights)"
_NORMALIZING = frozenset({"BatchNorm", "Scale"})


def _xilinx(found: tuple[Reading, ...]) -> bool:
    """Whether it is a network of Xilinx mode: one block that says so is enough."""
    return any(reading.mode is Mode.XILINX or reading.mode_forgotten for reading in found)


def _without(subject: Subject) -> Iterator[tuple[Reading, bool]]:
    """Layers without the block that the network's mode wants of them, and whether their numbers will be wrong."""
    found = readings(subject)
    if not any(reading.has_block for reading in found):
        return
    xilinx = _xilinx(found)
    for reading in found:
        names = wanted(reading.layer, Mode.XILINX if xilinx else Mode.DYNAMIC_FIXED)
        if names and not reading.has_block:
            yield reading, xilinx and not reading.unused.issuperset(names)


def _not_converted(subject: Subject) -> Iterator[Broken]:
    found = readings(subject)
    asked = [reading for reading in found if wanted(reading.layer, Mode.DYNAMIC_FIXED)]
    if asked and not any(reading.has_block for reading in found):
        layers = f"none of {len(asked)} layers has one" if len(asked) > 1 else "the only layer has none"
        yield Broken(f"{layers}; the board would take {_DEFAULTS}", asked[0].layer)


def _missing(subject: Subject) -> Iterator[Broken]:
    for reading, wrong in _without(subject):
        if not wrong:
            yield Broken(f"has no precision_param; the board takes {_DEFAULTS}", reading.layer)


def _missing_in_xilinx(subject: Subject) -> Iterator[Broken]:
    for reading, wrong in _without(subject):
        if wrong:
            yield Broken("has no precision_param; it would be DynamicFixed among layers of Xilinx mode", reading.layer)


def _fields(subject: Subject) -> Iterator[Broken]:
    for reading in readings(subject):
        if reading.has_block and not reading.mode_forgotten and reading.missing:
            taken = [f"{name} ({default(name)})" for name in reading.missing]
            assert reading.layer.block is not None
            yield Broken(f"has no {', '.join(taken)}", reading.layer, reading.layer.block.start)


def _unknown_mode(subject: Subject) -> Iterator[Broken]:
    """One finding for each spelling."""
    found: dict[str, list[Reading]] = {}
    for reading in readings(subject):
        if reading.mode is None and reading.quant_type is not None:
            found.setdefault(reading.quant_type.text, []).append(reading)
    for text, wrong in found.items():
        folded = {mode.value.lower(): mode.value for mode in Mode}
        near = similar(text.lower().replace("_", ""), folded, 1)
        hint = f'; write "{folded[near[0]]}"' if near else ""
        message = f'quant_type is "{text}" in {_named(wrong)}{hint}'
        assert wrong[0].quant_type is not None
        yield Broken(message, wrong[0].layer, wrong[0].quant_type.start)


def _forgotten_mode(subject: Subject) -> Iterator[Broken]:
    """One finding for the file: whoever wrote it left the field out everywhere."""
    wrong = [reading for reading in readings(subject) if reading.mode_forgotten]
    if wrong:
        assert wrong[0].layer.block is not None
        message = f"thresholds without quant_type in {_named(wrong)}; the board takes these blocks for DynamicFixed"
        yield Broken(message, wrong[0].layer, wrong[0].layer.block.start)


def _named(found: list[Reading]) -> str:
    return listed([reading.layer.name for reading in found])


def _mixed(subject: Subject) -> Iterator[Broken]:
    named = [reading for reading in readings(subject) if reading.has_block and not reading.mode_forgotten]
    xilinx = [reading for reading in named if reading.mode is Mode.XILINX]
    dynamic_fixed = [reading for reading in named if reading.mode is Mode.DYNAMIC_FIXED]
    if xilinx and dynamic_fixed:
        (few, name), (many, other) = sorted(
            [(xilinx, Mode.XILINX.value), (dynamic_fixed, Mode.DYNAMIC_FIXED.value)], key=lambda each: len(each[0])
        )
        first = few[0]
        start = first.quant_type.start if first.quant_type is not None else -1
        yield Broken(f"{name} in {_named(few)}, {other} in {_counted(len(many))}", first.layer, start)


def _counted(layers: int) -> str:
    return f"{layers} layers" if layers > 1 else "one layer"


def _other_mode(subject: Subject) -> Iterator[Broken]:
    """One finding for each set of fields: they come from one converter."""
    found: dict[tuple[str, ...], list[Reading]] = {}
    for reading in readings(subject):
        start = "fl_" if reading.mode is Mode.XILINX else "th_"
        others = tuple(name for name in reading.numbers if name.startswith(start))
        if others and reading.wanted and not reading.mode_forgotten:
            found.setdefault(others, []).append(reading)
    for names, places in found.items():
        mode = Mode.DYNAMIC_FIXED if names[0].startswith("th_") else Mode.XILINX
        message = f"{', '.join(names)} in blocks of {mode.value} mode: {_named(places)}"
        yield Broken(message, places[0].layer, places[0].numbers[names[0]][0].start)


def _always_listed(subject: Subject) -> Iterator[Broken]:
    found = [
        reading.layer
        for reading in readings(subject)
        if reading.mode is Mode.XILINX and board_type(reading.layer) in _NORMALIZING and not reading.missing
    ]
    if found:
        names = listed([layer.name for layer in found])
        yield Broken(f"the board will warn about {names} although nothing is missing", found[0])


_SOURCE = "CHaiDNN caffe_network_parser.cpp, ExtractPrecisionParameters"
_CONVERT = "Convert the network with `--matrix parser`, which writes all blocks that the board asks for."

RULES = (
    Rule(
        "not-converted",
        Severity.DEFAULT,
        "The file has precision_param blocks",
        "Without any block the parser quantizes every layer by its own defaults, which fit no network.",
        "Convert the network: xportdnn --quant_type Xilinx|DynamicFixed ...",
        _SOURCE,
        _not_converted,
    ),
    Rule(
        "block-missing",
        Severity.DEFAULT,
        "Every layer that computes with integers has a block",
        "The parser warns and takes 6 bits and 3 fractional bits (5 for weights), which differ from the other layers.",
        _CONVERT,
        _SOURCE,
        _missing,
    ),
    Rule(
        "block-missing-xilinx",
        Severity.WRONG,
        "In a network of Xilinx mode every layer that computes with integers has a block",
        "A layer without a block is DynamicFixed with 6 bits. Its integers mean something else than those around it, "
        "and nothing converts them; for MAX pooling there is not even a warning.",
        _CONVERT,
        _SOURCE,
        _missing_in_xilinx,
    ),
    Rule(
        "field-missing",
        Severity.DEFAULT,
        "A block holds every field of its mode",
        "The parser lists the layer in one warning and takes a default: 6 bits, 3 fractional bits (5 for weights), a "
        "threshold of 16, for th_params the largest weight of every filter.",
        "Add the fields; converting the network again writes all of them (--matrix parser: those that the parser "
        "wants and the user guide does not name).",
        _SOURCE,
        _fields,
    ),
    Rule(
        "quant-type-unknown",
        Severity.STOPS,
        'quant_type is "Xilinx" or "DynamicFixed", letter by letter',
        "The parser compares it exactly and stops at anything else.",
        'Write "Xilinx" or "DynamicFixed".',
        f"{_SOURCE}: EP501",
        _unknown_mode,
    ),
    Rule(
        "quant-type-absent",
        Severity.WRONG,
        "A block with thresholds says that it is in Xilinx mode",
        "Without quant_type a block is DynamicFixed: its thresholds are not read, and 3 fractional bits are taken.",
        'Add quant_type: "Xilinx".',
        f"{_SOURCE}, and the default of quant_type in CHaiDNN's caffe.proto",
        _forgotten_mode,
    ),
    Rule(
        "modes-mixed",
        Severity.WRONG,
        "All blocks are in one mode",
        "The mode is read layer by layer and mixing goes unnoticed, but nothing converts integers of the one into "
        "integers of the other.",
        "Convert the whole network in one mode.",
        _SOURCE,
        _mixed,
    ),
    Rule(
        "fields-of-other-mode",
        Severity.LIMIT,
        "A block holds only fields of its own mode",
        "fl_... in a block of Xilinx mode and th_... in one of DynamicFixed mode are not read.",
        "Remove them, or correct quant_type if it is the other mode that was meant.",
        _SOURCE,
        _other_mode,
    ),
    Rule(
        "normalization-listed",
        Severity.LIMIT,
        "BatchNorm and Scale of Xilinx mode are always listed as incomplete",
        "The parser sets their result to failure whatever it read, so that they stand in its warning about missing "
        "parameters.",
        "Nothing to do; xportdnn fold removes these layers and the warning with them.",
        f"{_SOURCE}, parsedSuccessfully",
        _always_listed,
    ),
)
