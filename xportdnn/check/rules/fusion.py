"""ReLU, Dropout and depthwise convolutions, which CHaiDNN's optimiser puts into other layers (xtract_opt.cpp)."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.caffe_view import block_modes, broken, is_any, read_by
from xportdnn.check.params import board_type
from xportdnn.check.reading import fusion
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.check.wording import listed
from xportdnn.choices import Mode
from xportdnn.network import Layer, Net, Value
from xportdnn.simulation.board.fusion import Fusion, before

# Behind these a ReLU has no effect; behind a BatchNorm with a Scale it is part of their job.
_DROPPING = frozenset({"Concat", "Pooling", "Deconvolution", "Permute", "Normalize", "Crop", "Input"})
# What leaves numbers at or above 0 as they are.
_KEEPING_SIGN = frozenset({"Concat", "Pooling", "Permute", "Flatten", "Reshape", "Dropout", "Split", "Crop"})


def dropped(subject: Subject) -> Iterator[tuple[Layer, Layer]]:
    """ReLUs without effect on the board, where they would have one, each with the layer that it stands behind."""
    net, found = subject.net, fusion(subject)
    if net is None:
        return
    for index in sorted(found.dropped):
        relu = net.layers[index]
        producer = before(net, relu)
        known = is_any(producer, *_DROPPING) or producer.is_input
        if known and not _crelu(net, producer) and not rectified(net, found, relu.bottoms[0]):
            yield relu, producer


def _relu_dropped(subject: Subject) -> Iterator[Broken]:
    for relu, producer in dropped(subject):
        yield from broken(subject, relu, f"stands behind {producer.name} ({producer.type})")


def _crelu(net: Net, concat: Layer) -> bool:
    """Whether a Concat joins a Convolution's output with its negative: with the ReLU behind it, one job."""
    if not is_any(concat, "Concat") or len(concat.bottoms) != 2:
        return False
    powers = [net.layers[value.writer] for value in concat.bottoms]
    return any(is_any(power, "Power") and power.bottoms[0] in concat.bottoms for power in powers)


def rectified(net: Net, found: Fusion, value: Value) -> bool:
    """Whether a value has no negative numbers on the board, so that a ReLU more changes nothing."""
    writer = net.layers[value.writer]
    owner = found.owners.get(writer.index, writer)
    if owner.index in found.rectified or is_any(writer, "Softmax"):
        return True
    passes = is_any(writer, *_KEEPING_SIGN) or (is_any(writer, "ReLU") and writer.index in found.dropped)
    return passes and all(rectified(net, found, bottom) for bottom in writer.bottoms)


def _relu_shared(subject: Subject) -> Iterator[Broken]:
    net = subject.net
    if net is None:
        return
    for index, value in fusion(subject).shared.items():
        relu = net.layers[index]
        others = [reader.name for reader in net.readers[value] if reader.index != index]
        message = f"'{value.blob}' is read by {listed(others)}, too, and the board has it only rectified"
        yield from broken(subject, relu, message)


def _dropout(subject: Subject) -> Iterator[Broken]:
    for layer in subject.layers:
        if board_type(layer) == "Dropout" and layer.bottoms != layer.tops and layer.bottoms and layer.tops:
            message = f"bottom '{layer.bottoms[0]}' and top '{layer.tops[0]}' are not the same"
            yield Broken(message, layer)


def _depthwise(subject: Subject) -> Iterator[tuple[Layer, BoardLayer, bool]]:
    """Depthwise layers, and whether the board makes one job of each and the Convolution that alone reads it.

    Those whose reader the board refuses are left out: that has a finding of its own.
    """
    net, found = subject.net, fusion(subject)
    for layer in net.layers if net is not None else ():
        if net is None or not is_any(layer, "Convolution") or layer.index not in subject.board_layers:
            continue
        if layer.params.group > 2 and layer.params.group == layer.params.num_output:
            last = found.normalised[layer.index][1] if layer.index in found.normalised else layer
            readers = read_by(net, last)
            if len(readers) == 1 and is_any(readers[0], "ReLU"):
                readers = read_by(net, readers[0])
            if all(_runs(subject, reader) for reader in readers):
                joined = len(readers) == 1 and is_any(readers[0], "Convolution")
                yield layer, subject.board_layers[layer.index], joined


def _runs(subject: Subject, reader: Layer) -> bool:
    board = subject.board_layers.get(reader.index)
    return board is not None and board_type(board) not in ("", "BatchNorm", "Scale")


def _depthwise_in_xilinx(subject: Subject) -> Iterator[Broken]:
    modes = block_modes(subject)
    for layer, board, joined in _depthwise(subject):
        if joined and modes.get(layer.index) is Mode.XILINX:
            yield Broken(f"group {layer.params.group} is num_output", board)


def _depthwise_unjoined(subject: Subject) -> Iterator[Broken]:
    for layer, board, joined in _depthwise(subject):
        if not joined:
            yield Broken(f"group {layer.params.group} is num_output, and no Convolution alone reads it", board)


RULES = (
    Rule(
        "relu-dropped",
        Severity.WRONG,
        "A ReLU stands behind a Convolution, an Eltwise, an InnerProduct, or a BatchNorm with Scale",
        "The board computes ReLU only as the last step of those; elsewhere it takes the layer out without a word, and "
        "negative numbers stay.",
        "Move it before the layer: in front of a Concat or MAX pooling, one behind each Convolution gives the same.",
        "CHaiDNN xtract_opt.cpp, opt_relu",
        _relu_dropped,
    ),
    Rule(
        "relu-shared",
        Severity.WRONG,
        "What a ReLU reads is read by nothing else",
        "The board computes ReLU inside the layer before it; what that computes without ReLU exists nowhere.",
        "Compute it twice: a second Convolution with the same weights, without ReLU, for the other layers.",
        "CHaiDNN xtract_opt.cpp, opt_relu",
        _relu_shared,
    ),
    Rule(
        "dropout-not-in-place",
        Severity.STOPS,
        "Dropout works in place",
        "The optimiser goes on with the layer that it has just deleted, and crashes.",
        "Remove the layer, it does nothing outside the training, or give its top the name of its bottom.",
        "CHaiDNN xtract_opt.cpp, opt_dropout",
        _dropout,
    ),
    Rule(
        "depthwise-xilinx",
        Severity.WRONG,
        "Depthwise convolutions are in DynamicFixed mode",
        "The loader of depthwise weights uses fractional lengths in both modes; in Xilinx mode these are 0, so that "
        "every weight is rounded to a whole number.",
        "Convert the network in DynamicFixed mode.",
        "CHaiDNN xi_dnn_conv_utils.hpp, load3dSeperableConvWgts",
        _depthwise_in_xilinx,
    ),
    Rule(
        "depthwise-unjoined",
        Severity.WRONG,
        "A depthwise convolution is read by one Convolution and nothing else, a ReLU between them aside",
        "Only with that Convolution the board computes it as depthwise; otherwise it becomes an ordinary convolution, "
        "whose hardware knows 1 or 2 groups.",
        "Put a 1x1 Convolution behind it.",
        "CHaiDNN xtract_opt.cpp, opt_separable_conv",
        _depthwise_unjoined,
    ),
)
