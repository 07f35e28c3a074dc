"""Formats that must be the same from layer to layer, because the board converts nothing between them."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.params import board_type
from xportdnn.check.reading import Reading, readings
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import Subject
from xportdnn.check.wires import End, wires
from xportdnn.check.wording import listed
from xportdnn.choices import Mode

_MOVING = frozenset({"Eltwise", "Permute", "Pooling"})


def _thresholds(subject: Subject) -> Iterator[Broken]:
    return _disagreeing(subject, "th")


def _fractional_lengths(subject: Subject) -> Iterator[Broken]:
    return _disagreeing(subject, "fl")


def _disagreeing(subject: Subject, prefix: str) -> Iterator[Broken]:
    """One finding for each wire, at the first end that contradicts those before it."""
    for wire in wires(subject, prefix):
        odd = wire.first_odd
        if odd is None:
            continue
        groups: dict[frozenset[float], list[End]] = {}
        for end in wire.ends:
            groups.setdefault(end.meant, []).append(end)
        said = "; ".join(f"{ends[0].number.text} by {_places(ends)}" for ends in groups.values())
        yield Broken(f"the integers of '{wire.blob}' are taken for {said}", odd.reading.layer, odd.number.start)


def _places(ends: list[End]) -> str:
    """`conv1 (th_layer_out), pool1 (th_layer_in)`"""
    return listed([f"{end.reading.layer.name} ({end.field})" for end in ends])


def _sides(subject: Subject, mode: Mode) -> Iterator[tuple[Reading, str, str]]:
    prefix = "th" if mode is Mode.XILINX else "fl"
    for reading in readings(subject):
        if reading.mode is mode:
            yield reading, f"{prefix}_layer_in", f"{prefix}_layer_out"


def _unscaled(subject: Subject) -> Iterator[Broken]:
    for mode in Mode:
        for reading, into, out in _sides(subject, mode):
            taken, given = reading.one(into), reading.one(out)
            if taken and given and taken.usable and given.usable and taken.value != given.value and _moves(reading):
                yield Broken(f"{into} is {taken.text}, {out} is {given.text}", reading.layer, given.start)


def _moves(reading: Reading) -> bool:
    """Whether the layer does not rescale; of pooling, the parser reads fl_... only where it averages and rescales."""
    kind = board_type(reading.layer)
    return kind in _MOVING and not (kind == "Pooling" and reading.mode is Mode.DYNAMIC_FIXED)


def _average_shift(subject: Subject) -> Iterator[Broken]:
    for reading, into, out in _sides(subject, Mode.DYNAMIC_FIXED):
        taken, given = reading.one(into), reading.one(out)
        if taken is None or given is None or board_type(reading.layer) != "Pooling":
            continue
        shift = int(taken.value) + 8 - int(given.value)
        if not 1 <= shift <= 31:
            message = (
                f"fl_layer_in {taken.text} + 8 - fl_layer_out {given.text} is {shift}; the board shifts by 1 to 31"
            )
            yield Broken(message, reading.layer, given.start)


RULES = (
    Rule(
        "thresholds-differ",
        Severity.WRONG,
        "All that write and read a blob have one threshold for it (Xilinx mode)",
        "Integers pass from layer to layer unchanged, also through Concat, ReLU, Dropout, Flatten and Reshape. A layer "
        "that takes them for another threshold than they were written with sees every number scaled by the ratio of "
        "the two. The board's software prints a CRITICAL WARNING and goes on; it compares float32 values exactly.",
        "Give the blob one threshold, the largest of these, with the same digits everywhere; converting the network "
        "again with --scale_classes board does.",
        "CHaiDNN xtract_opt.cpp, find_in_out_thresold",
        _thresholds,
    ),
    Rule(
        "fractional-lengths-differ",
        Severity.WRONG,
        "All that write and read a blob have one fractional length for it (DynamicFixed mode)",
        "Integers pass from layer to layer unchanged, also through Concat, ReLU, MAX pooling, Dropout, Flatten and "
        "Reshape. Each place by which fl_layer_in and the fl_layer_out before it differ doubles or halves every "
        "number. Nothing checks it.",
        "Make fl_layer_in the fl_layer_out of the layers before; with one --fl_bitwidths for all layers its first and "
        "last number must be equal.",
        "CHaiDNN xi_init.cpp, convInit",
        _fractional_lengths,
    ),
    Rule(
        "sides-differ",
        Severity.WRONG,
        "Eltwise, Permute and pooling say the same of what they read and what they write",
        "These layers do not rescale: MAX pooling compares integers, Eltwise adds them, AVE pooling of Xilinx mode "
        "divides by the window alone. A th_layer_out or fl_layer_out of its own only misleads the layers behind.",
        "Give both sides one value, and all layers that write into them, too; converting the network again with "
        "--scale_classes board does.",
        "CHaiDNN xi_convolution.hpp, ReadNormData and Conv3dTop; xi_dnn_conv_utils.hpp, loadsf_avg_pool",
        _unscaled,
    ),
    Rule(
        "average-shift-out-of-range",
        Severity.WRONG,
        "AVE pooling of DynamicFixed mode can shift from its fl_layer_in to its fl_layer_out",
        "Averages are shifted right by fl_layer_in + 8 - fl_layer_out, which is stored in 5 bits without a sign.",
        "Lower fl_layer_out, or raise fl_layer_in and with it the fl_layer_out of the layers before.",
        "CHaiDNN xi_init.cpp, convInit",
        _average_shift,
    ),
)
