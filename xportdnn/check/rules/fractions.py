"""Fractional lengths with which the kernel or the host shifts by numbers that they cannot shift by."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn import scales
from xportdnn.check.params import board_type
from xportdnn.check.reading import Reading, readings
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import Subject
from xportdnn.choices import Mode
from xportdnn.network import Layer
from xportdnn.simulation.board.kinds import MOVED, SOFTWARE

_SHIFTS = range(1, 32)
# What hands its integers on as they are, MAX pooling aside, or is computed inside the layer before.
_PASSING = MOVED | {"ReLU"}


def _fixed(subject: Subject, *types: str) -> Iterator[Reading]:
    """Blocks of DynamicFixed mode."""
    for reading in readings(subject):
        read = reading.has_block and reading.mode is Mode.DYNAMIC_FIXED and not reading.mode_forgotten
        if read and (not types or board_type(reading.layer) in types):
            yield reading


def _shift(subject: Subject) -> Iterator[Broken]:
    for reading in _fixed(subject, "Convolution"):
        numbers = [reading.one(name) for name in ("fl_layer_in", "fl_params", "fl_layer_out")]
        if None in numbers:
            continue
        into, params, out = (int(number.value) for number in numbers if number is not None)
        if into + params - out not in _SHIFTS and params >= 0:
            yield Broken(_sum(into, params, out), reading.layer, min(n.start for n in numbers if n is not None))


def _sum(into: int, params: int, out: int) -> str:
    return f"fl_layer_in {into} + fl_params {params} - fl_layer_out {out} is {into + params - out}"


def _fused_shift(subject: Subject) -> Iterator[Broken]:
    from xportdnn.check.convolutions import convolutions

    for conv in convolutions(subject):
        fl = conv.prepared.fl
        shift = fl.layer_in + fl.params - fl.layer_out
        if conv.is_fused and conv.mode is Mode.DYNAMIC_FIXED and shift not in _SHIFTS:
            peak = conv.peaks.max()
            message = f"the board computes fl_params {fl.params} for fused weights up to {peak:.3g}; {_sum(*fl)}"
            yield Broken(message, conv.board)


def _negative_params(subject: Subject) -> Iterator[Broken]:
    for reading in _fixed(subject, "Convolution"):
        number = reading.one("fl_params")
        if number is not None and number.value < 0:
            yield Broken(f"fl_params is {number.text}", reading.layer, number.start)


def _negative_input(subject: Subject) -> Iterator[Broken]:
    for reading in _fixed(subject, "Convolution"):
        layer, number = subject.caffe_layers.get(reading.layer.index), reading.one("fl_layer_in")
        if layer is None or subject.net is None or number is None or number.value >= 0:
            continue
        if subject.net.layers[layer.bottoms[0].writer].is_input:
            yield Broken(f"fl_layer_in is {number.text}", reading.layer, number.start)


def _negative_output(subject: Subject) -> Iterator[Broken]:
    for reading in _fixed(subject):
        layer, number = subject.caffe_layers.get(reading.layer.index), reading.one("fl_layer_out")
        if layer is None or number is None or number.value >= 0:
            continue
        names = dict.fromkeys(reader.name for reader in _software(subject, layer))
        if names:
            message = f"fl_layer_out is {number.text}, read by {', '.join(names)}, which runs in software"
            yield Broken(message, reading.layer, number.start)


def _software(subject: Subject, layer: Layer) -> Iterator[Layer]:
    """The layers of software that read what a layer writes, past those that hand it on."""
    assert subject.net is not None
    for value, reader in [(top, reader) for top in layer.tops for reader in subject.net.readers.get(top, ())]:
        name = reader.kind.name if reader.kind is not None else ""
        if name in SOFTWARE:
            if scales.reads_numbers(reader, reader.bottoms.index(value)):
                yield reader
        elif name in _PASSING or (name == "Pooling" and reader.params.pool == "MAX"):
            yield from _software(subject, reader)


def _deconvolution(subject: Subject) -> Iterator[Broken]:
    for reading in readings(subject):
        if board_type(reading.layer) == "Deconvolution" and reading.mode is Mode.XILINX:
            values = reading.numbers.get("th_params", ())
            found = {number.value for number in values}
            if len(found) > 1:
                message = f"th_params go from {min(found):.4g} to {max(found):.4g}"
                yield Broken(message, reading.layer, values[0].start)


_INIT = "CHaiDNN xi_init.cpp, convInit"

RULES = (
    Rule(
        "output-shift",
        Severity.WRONG,
        "fl_layer_in + fl_params - fl_layer_out is 1 to 31 (DynamicFixed mode)",
        "Sums are shifted right by it to become outputs, rounded by adding half of the last place. The shift is stored "
        "in 5 bits without a sign; 0 has no half, and below it the kernel cannot go.",
        "Lower fl_layer_out, or raise fl_params or fl_layer_in, so that their sum is larger than it.",
        _INIT,
        _shift,
    ),
    Rule(
        "fused-output-shift",
        Severity.WRONG,
        "With BatchNorm and Scale worked in, the shift from sum to output is 1 to 31 (DynamicFixed mode)",
        "The board throws fl_params away and computes it from the largest fused weight, as bw_params - "
        "(ceil(|log2(largest)|) + 1): too small a number for small weights.",
        "Fold BatchNorm and Scale with `xportdnn fold` and convert the network again.",
        f"CHaiDNN xtract_opt.cpp, fuseBNScaleConvParams; {_INIT}",
        _fused_shift,
        "weights",
    ),
    Rule(
        "fl-params-negative",
        Severity.WRONG,
        "fl_params is not negative",
        "The host scales weights by 1 << fl_params. A negative shift is undefined in C; where it was run, all weights "
        "became 0.",
        "Use fl_params of 0 or more; weights above 127, too large for that, must be scaled down with what follows.",
        "CHaiDNN xi_common_utils.hpp, Trim2FixedPoint, run on a CPU",
        _negative_params,
    ),
    Rule(
        "fl-input-negative",
        Severity.LIMIT,
        "The first layer's fl_layer_in is not negative",
        "8-bit pixels are shifted left by it, and a negative shift is undefined in C. The way in for floats, which are "
        "normalised by the application, is not concerned.",
        "Use fl_layer_in of 0 or more, or feed floats.",
        "CHaiDNN interface/xi_readwrite_util.cpp",
        _negative_input,
    ),
    Rule(
        "fl-output-negative",
        Severity.WRONG,
        "fl_layer_out is not negative in front of a layer that runs in software",
        "The host divides the integers by 1 << fl_layer_out, and a negative shift is undefined in C.",
        "Use fl_layer_out of 0 or more there, in all layers of the blob.",
        "CHaiDNN UnpackDataToSoftware, run on a CPU",
        _negative_output,
    ),
    Rule(
        "deconvolution-scales",
        Severity.WRONG,
        "All th_params of a Deconvolution are equal (Xilinx mode)",
        "The board does not bring the channels of a Deconvolution back to one scale: the ArgMax behind it compares "
        "integers of which each channel has its own step.",
        "Write the largest of them for all channels.",
        "CHaiDNN xi_init.cpp (read, not run)",
        _deconvolution,
    ),
)
