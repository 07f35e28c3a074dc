"""BatchNorm and Scale: which pairs CHaiDNN's optimiser fuses, and what it does with all others (xtract_opt.cpp)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from xportdnn.check.caffe_view import block_modes, blocks, broken, in_place, is_any, read_by, written_by
from xportdnn.check.reading import fusion
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import Subject
from xportdnn.check.wording import listed
from xportdnn.choices import Mode
from xportdnn.network import Layer, Net


def _pairs(subject: Subject) -> Iterator[tuple[Net, Layer, Layer]]:
    """Every BatchNorm with the Scale that alone reads it, where they are not fused."""
    net = subject.net
    if net is None:
        return
    owners = fusion(subject).owners
    for layer in net.layers:
        if is_any(layer, "BatchNorm") and layer.index not in owners:
            readers = read_by(net, layer)
            if len(readers) == 1 and is_any(readers[0], "Scale") and len(readers[0].bottoms) == 1:
                yield net, layer, readers[0]


def _alone(subject: Subject) -> Iterator[Broken]:
    net = subject.net
    if net is None:
        return
    paired = {layer.index for _, *pair in _pairs(subject) for layer in pair} | fusion(subject).owners.keys()
    for layer in net.layers:
        if layer.index in paired or len(layer.bottoms) != 1:
            continue
        writer = written_by(net, layer)
        if is_any(layer, "BatchNorm"):
            readers = listed([reader.name for reader in read_by(net, layer)]) or "no layer"
            yield from broken(subject, layer, f"'{layer.tops[0].blob}' is read by {readers}, not by one Scale alone")
        elif is_any(layer, "Scale") and not is_any(writer, "BatchNorm"):
            yield from broken(subject, layer, f"reads '{layer.bottoms[0].blob}' of {writer.name} ({writer.type})")


def _half_in_place(subject: Subject) -> Iterator[Broken]:
    for _, batch_norm, scale in _pairs(subject):
        if in_place(batch_norm) != in_place(scale):
            inside, outside = (batch_norm, scale) if in_place(batch_norm) else (scale, batch_norm)
            message = f"{inside.name} works in place and {outside.name} does not"
            yield from broken(subject, scale, message)


def _last(subject: Subject) -> Iterator[Broken]:
    for net, batch_norm, scale in _pairs(subject):
        if _outside(batch_norm, scale) and not read_by(net, scale):
            yield from broken(subject, scale, f"no layer reads '{scale.tops[0].blob}', and it is not in place")


def _read_twice(subject: Subject) -> Iterator[Broken]:
    for net, batch_norm, scale in _pairs(subject):
        readers = [reader.name for reader in read_by(net, scale)]
        if _outside(batch_norm, scale) and len(readers) > 1:
            message = f"'{scale.tops[0].blob}' is read by {listed(readers)}, and the Scale is not in place"
            yield from broken(subject, scale, message)


def _inside(batch_norm: Layer, scale: Layer) -> bool:
    return in_place(batch_norm) and in_place(scale)


def _outside(batch_norm: Layer, scale: Layer) -> bool:
    return not in_place(batch_norm) and not in_place(scale)


def _behind_relu(subject: Subject) -> Iterator[Broken]:
    for net, batch_norm, scale in _pairs(subject):
        if _inside(batch_norm, scale) and _rectified_in_place(net, batch_norm):
            relu = written_by(net, batch_norm)
            message = f"the board computes {batch_norm.name} and {scale.name} before {relu.name}, which stands first"
            yield from broken(subject, batch_norm, message)


def _rectified_in_place(net: Net, layer: Layer) -> bool:
    relu = written_by(net, layer)
    return is_any(relu, "ReLU") and in_place(relu) and is_any(written_by(net, relu), "Convolution")


def _unfused_in_xilinx(subject: Subject) -> Iterator[Broken]:
    modes = block_modes(subject)
    for net, batch_norm, scale in _pairs(subject):
        job = (_inside(batch_norm, scale) and not _rectified_in_place(net, batch_norm)) or (
            _outside(batch_norm, scale) and len(read_by(net, scale)) == 1
        )
        if job and modes.get(scale.index) is Mode.XILINX:
            writer = written_by(net, batch_norm)
            message = f"{batch_norm.name} and {scale.name} stand behind {writer.name} ({writer.type})"
            yield from broken(subject, batch_norm, message)


def _truncated(subject: Subject) -> Iterator[Broken]:
    scales = {scale.index for _, scale in fusion(subject).normalised.values()}
    for layer, reading in blocks(subject):
        number = reading.one("th_layer_out") if layer.index in scales else None
        if number is not None and number.usable and (whole := math.trunc(number.value)) != number.value:
            effect = f"becomes {whole}" if whole else "becomes 0, by which the board divides"
            yield Broken(f"th_layer_out {number.text} {effect}", reading.layer, number.start)


_FUSING = "CHaiDNN xtract_opt.cpp, opt_conv_bn_scale"
_FOLD = "Fold BatchNorm and Scale into the weights: xportdnn fold."

RULES = (
    Rule(
        "normalization-alone",
        Severity.STOPS,
        "BatchNorm and Scale come in pairs",
        "The board has no job for a BatchNorm without a Scale behind it, nor for a Scale without one before it.",
        _FOLD,
        f"{_FUSING}; EO005",
        _alone,
    ),
    Rule(
        "normalization-half-in-place",
        Severity.STOPS,
        "A BatchNorm and its Scale are both in place or both not",
        "The optimiser knows pairs that share one blob, and pairs with a blob each, behind a Convolution and "
        "elsewhere; the mixture is left over and has no job.",
        f"Let both write into the blob of the layer before them. Or: {_FOLD}",
        f"{_FUSING} and opt_bn; EO005",
        _half_in_place,
    ),
    Rule(
        "scale-unread",
        Severity.STOPS,
        "A Scale that is not in place is read by a layer",
        "The optimiser takes it up while it looks at the layers behind; without one it is left over and has no job.",
        f"Let BatchNorm and Scale work in place. Or: {_FOLD}",
        f"{_FUSING}; EO005",
        _last,
    ),
    Rule(
        "scale-read-twice",
        Severity.STOPS,
        "A Scale that is not in place is read by one layer only",
        "The optimiser takes it up once for every layer behind: the weights are multiplied twice, or it never ends.",
        f"Let BatchNorm and Scale work in place. Or: {_FOLD}",
        _FUSING,
        _read_twice,
    ),
    Rule(
        "normalization-behind-relu",
        Severity.WRONG,
        "No BatchNorm and Scale work in place behind a ReLU that does, too",
        "The optimiser finds Convolution, ReLU, BatchNorm and Scale on one blob and does not look at their order: the "
        "ReLU comes last.",
        "Give the ReLU a top of its own, and use DynamicFixed mode.",
        _FUSING,
        _behind_relu,
    ),
    Rule(
        "normalization-unfused-xilinx",
        Severity.WRONG,
        "In Xilinx mode BatchNorm and Scale stand behind a Convolution that nothing else reads",
        "Elsewhere they are a job of their own that reads only fields of DynamicFixed mode: all of its formats are 0.",
        f"{_FOLD} Where that is impossible, use DynamicFixed mode.",
        "CHaiDNN xtract_opt.cpp, OPCODE_BN; xi_init.cpp, convInit",
        _unfused_in_xilinx,
    ),
    Rule(
        "scale-threshold-truncated",
        Severity.WRONG,
        "th_layer_out of a Scale behind a Convolution is a whole number, at least 1 (Xilinx mode)",
        "The optimiser keeps it in a variable of type int: the fraction is lost, but not in the layers that read the "
        "blob, and what is below 1 becomes 0.",
        f"Round it and every threshold equal to it up to a whole number. Or: {_FOLD}",
        "CHaiDNN xtract_opt.cpp, fuseBNScaleConvParams",
        _truncated,
    ),
)
