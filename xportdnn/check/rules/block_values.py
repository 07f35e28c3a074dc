"""Numbers in blocks that the board's parser takes without a look and its kernel cannot use."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.params import board_type
from xportdnn.check.reading import Number, Reading, readings
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import Subject
from xportdnn.check.wording import listed
from xportdnn.choices import BOARD_WIDTHS
from xportdnn.decode import as_uint
from xportdnn.errors import LayerError

_SIDES = ("th_layer_in", "th_layer_out")
_ACTIVATIONS = ("bw_layer_in", "bw_layer_out")
_WIDTHS = (*_ACTIVATIONS, "bw_params")
# The parser puts gamma in the place of a Normalize's th_params.
_WITH_FILTERS = frozenset({"Convolution", "Deconvolution"})


def _used(reading: Reading, names: tuple[str, ...]) -> Iterator[tuple[str, Number]]:
    for name in names:
        if number := reading.one(name):
            yield name, number


def _filters(subject: Subject) -> Iterator[tuple[Reading, tuple[Number, ...]]]:
    """The thresholds of weights that reach the kernel."""
    for reading in readings(subject):
        if board_type(reading.layer) in _WITH_FILTERS and "th_params" in reading.used:
            yield reading, reading.numbers.get("th_params", ())


def _unusable(subject: Subject) -> Iterator[Broken]:
    for reading in readings(subject):
        for name, number in _used(reading, _SIDES):
            if not number.usable:
                yield Broken(f"{name} is {number.text}", reading.layer, number.start)
    for reading, values in _filters(subject):
        wrong = [(at, number) for at, number in enumerate(values) if number.value != 0 and not number.usable]
        if wrong:
            at, number = wrong[0]
            message = f"th_params of output channel {at} is {number.text}{_more(len(wrong))}"
            yield Broken(message, reading.layer, number.start)


def _more(count: int) -> str:
    return f", and {count - 1} more are no better" if count > 1 else ""


def _zero(subject: Subject) -> Iterator[Broken]:
    for reading, values in _filters(subject):
        zeros = [(at, number) for at, number in enumerate(values) if number.value == 0]
        if zeros:
            at, number = zeros[0]
            channels = f"{len(zeros)} channels, the first is {at}" if len(zeros) > 1 else f"channel {at}"
            yield Broken(f"th_params is 0 for output {channels}", reading.layer, number.start)


def _counts(subject: Subject) -> Iterator[tuple[Reading, tuple[Number, ...], int]]:
    """Layers with th_params, and their num_output."""
    for reading, values in _filters(subject):
        for block in reading.layer.message.messages("convolution_param"):
            for written in block.all("num_output")[-1:]:
                try:
                    num_output = as_uint(written, "num_output")
                except LayerError:
                    continue
                if values:
                    yield reading, values, num_output


def _too_few(subject: Subject) -> Iterator[Broken]:
    for reading, values, num_output in _counts(subject):
        if len(values) < num_output:
            message = f"{len(values)} th_params for num_output {num_output}"
            yield Broken(message, reading.layer, values[-1].start)


def _too_many(subject: Subject) -> Iterator[Broken]:
    for reading, values, num_output in _counts(subject):
        if len(values) > num_output:
            message = f"{len(values)} th_params for num_output {num_output}"
            yield Broken(message, reading.layer, values[num_output].start)


def _unknown_width(subject: Subject) -> Iterator[Broken]:
    """One finding for each width: it is one decision, made for many layers."""
    found: dict[float, list[tuple[Reading, Number]]] = {}
    for reading in readings(subject):
        for _, number in _used(reading, _WIDTHS):
            if number.value not in BOARD_WIDTHS:
                found.setdefault(number.value, []).append((reading, number))
    for places in found.values():
        (first, number), names = places[0], dict.fromkeys(reading.layer.name for reading, _ in places)
        yield Broken(f"{number.text} bits in {listed(list(names))}", first.layer, number.start)


def _different_widths(subject: Subject) -> Iterator[Broken]:
    """One finding for the file, where a width stands that fewer layers have."""
    found: dict[float, list[tuple[Reading, Number]]] = {}
    for reading in readings(subject):
        for _, number in _used(reading, _ACTIVATIONS):
            if number.value in BOARD_WIDTHS:
                found.setdefault(number.value, []).append((reading, number))
    if len(found) > 1:
        few, many = sorted(found.values(), key=len)
        names = dict.fromkeys(reading.layer.name for reading, _ in few)
        first, number = few[0]
        message = f"{number.text} bits in {listed(list(names))}, {many[0][1].text} bits elsewhere"
        yield Broken(message, first.layer, number.start)


_KERNEL = "CHaiDNN xi_dnn_conv_utils.hpp, loadConvWgtsTXT and loadConvBiasTXT"

RULES = (
    Rule(
        "threshold-not-positive",
        Severity.WRONG,
        "Thresholds are finite and above 0",
        "A threshold is the largest number that its integers can stand for. The parser takes nan, inf, 0 and negative "
        "values; the kernel's scales become nan, infinite or 0, and a th_layer_out of 0 is divided by. The board "
        "reads them as float32: what is too large for it becomes inf, what is too small 0.",
        "Convert the network again with pictures that reach the layer; look for weights that are not finite.",
        f"CHaiDNN caffe_network_parser.cpp, ExtractPrecisionParameters; {_KERNEL}",
        _unusable,
    ),
    Rule(
        "weight-threshold-zero",
        Severity.LIMIT,
        "th_params of 0 are for filters whose weights are all 0",
        "Every weight of such a filter becomes 0 and its output the bias alone, which is right only if they are.",
        "Give the filter a small positive threshold, or the largest of its weights.",
        "CHaiDNN xi_common_utils.hpp, Trim2FixedPoint_Offline",
        _zero,
    ),
    Rule(
        "weight-thresholds-too-few",
        Severity.WRONG,
        "There is one th_params for every output channel",
        "The loader reads as many as num_output says without looking how many there are: the rest is whatever lies "
        "behind them in memory. One value is not used for all channels.",
        "Give num_output values, also for grouped and depthwise convolutions.",
        _KERNEL,
        _too_few,
    ),
    Rule(
        "weight-thresholds-too-many",
        Severity.LIMIT,
        "There are no more th_params than output channels",
        "The board ignores those behind num_output; often the block is another layer's.",
        "Remove them, or copy the block of the right layer.",
        _KERNEL,
        _too_many,
    ),
    Rule(
        "bit-width-unsupported",
        Severity.WRONG,
        "Widths are 6 or 8 bits",
        "The parser takes any width, the kernel is built for these two.",
        "Convert the network with --bitwidths 8,8,8 or 6,6,6.",
        "CHaiDNN docs/RUN_NEW_NETWORK.md",
        _unknown_width,
    ),
    Rule(
        "bit-widths-differ",
        Severity.WRONG,
        "Inputs and outputs of all layers have one width",
        "The kernel takes the width of a layer's output from its bw_layer_in, and nothing converts 6-bit integers into "
        "8-bit ones between layers.",
        "Convert the network with one width for inputs and outputs.",
        "CHaiDNN xi_init.cpp, convInit; docs/RUN_NEW_NETWORK.md",
        _different_widths,
    ),
)
