"""Weights of convolutions against the formats that their blocks give them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from xportdnn.check.convolutions import BoardConvolution, convolutions
from xportdnn.check.params import board_type
from xportdnn.check.reading import readings
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import Subject
from xportdnn.check.wording import listed
from xportdnn.choices import Mode
from xportdnn.layers import Array
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FAR = 2.0  # so many times the largest number of its format is a weight at least that is cut off too far
_SHARE = 0.01
_IDLE = 4.0  # so many times the largest weight of its channel is a format that wastes 2 bits


def _ranges(conv: BoardConvolution) -> NDArray[np.float64]:
    """(num_output,): the largest number that the weights' format holds."""
    prepared = conv.prepared
    if prepared.th_params is not None:
        return prepared.th_params.astype(np.float64)
    return np.full(len(prepared.weight), np.ldexp((1 << prepared.bits.params - 1) - 1.0, -prepared.fl.params))


def _name(conv: BoardConvolution) -> str:
    return "fl_params" if conv.prepared.th_params is None else "th_params"


def _clipped(subject: Subject) -> Iterator[Broken]:
    for conv in convolutions(subject):
        ranges, peaks = _ranges(conv), conv.peaks.astype(np.float64)
        if not (peaks > ranges).any():
            continue
        share = float((np.abs(conv.prepared.weight) > _column(conv, ranges)).mean())
        ratios = np.divide(peaks, ranges, where=ranges > 0, out=np.zeros_like(peaks))
        if ratios.max() > _FAR or share > _SHARE:
            worst = int(ratios.argmax())
            message = (
                f"{100 * share:.3g} % of the weights are cut off, in channel {worst} {peaks[worst]:.4g} becomes "
                f"{ranges[worst]:.4g}"
            )
            yield Broken(message, conv.board, conv.start(_name(conv)))


def _column(conv: BoardConvolution, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.reshape(-1, *(1,) * (conv.prepared.weight.ndim - 1))


def _idle(subject: Subject) -> Iterator[Broken]:
    """One finding for all layers with an fl_params of the user's, who may have given one for all."""
    given: list[tuple[int, BoardConvolution]] = []
    for conv in convolutions(subject):
        if conv.stored is None or not conv.stored.weights.any():
            continue
        if conv.prepared.th_params is not None:
            yield from _idle_thresholds(conv, conv.prepared.th_params)
        elif (bits := _unused(float(_ranges(conv)[0]), float(conv.peaks.max()))) and conv.is_fused:
            computed = f"the board computes fl_params {conv.prepared.fl.params}"
            yield Broken(f"{computed} for fused weights up to {conv.peaks.max():.4g}, {bits} too few", conv.board)
        elif bits:
            given.append((bits, conv))
    if given:
        most = sorted(given, key=lambda pair: -pair[0])
        names = listed([f"in {conv.board.name} by {bits}" for bits, conv in most])
        yield Broken(f"fl_params could be larger: {names}", given[0][1].board, given[0][1].start("fl_params"))


def _idle_thresholds(conv: BoardConvolution, ranges: Array) -> Iterator[Broken]:
    wide = conv.alive & (ranges > _IDLE * conv.peaks)
    if wide.any():
        worst = int(np.where(wide, ranges / np.maximum(conv.peaks, np.finfo(np.float32).tiny), 0).argmax())
        message = (
            f"th_params of {wide.sum()} of {wide.size} channels are too large, that of channel {worst} is "
            f"{ranges[worst]:.4g} for weights up to {conv.peaks[worst]:.4g}"
        )
        yield Broken(message, conv.board, conv.start("th_params"))


def _unused(room: float, largest: float) -> int:
    """The bits that a format for `room` has too many for these weights; 0 if it is less than 2."""
    return int(math.log2(room / largest)) if largest and room > _IDLE * largest else 0


def _zero(conv: BoardConvolution) -> NDArray[np.bool_]:
    """(num_output,): channels with weights of which nothing is stored."""
    assert conv.stored is not None
    stored = conv.stored.weights
    return np.asarray((conv.peaks > 0) & ~stored.reshape(len(stored), -1).any(axis=1))


def _vanished(subject: Subject) -> Iterator[Broken]:
    for conv in convolutions(subject):
        if conv.stored is not None and conv.peaks.any() and not conv.stored.weights.any():
            with_what = f" with fl_params {conv.prepared.fl.params}" if conv.prepared.th_params is None else ""
            worked_in = ", BatchNorm and Scale worked in," if conv.is_fused else ""
            message = f"all weights{worked_in} are stored as 0{with_what}; the largest is {conv.peaks.max():.3g}"
            if conv.is_fused or conv.prepared.fl.params >= 0:
                yield Broken(message, conv.board, conv.start(_name(conv)))


def _channels(subject: Subject) -> Iterator[Broken]:
    for conv in convolutions(subject):
        if conv.stored is not None and conv.stored.weights.any():
            lost = _zero(conv) & conv.alive
            if lost.any():
                largest = conv.peaks[lost].max()
                message = f"{lost.sum()} of {lost.size} channels are stored as 0, with weights up to {largest:.3g}"
                yield Broken(message, conv.board, conv.start(_name(conv)))


# ---- Deconvolution


def _deconvolution_range(subject: Subject) -> Iterator[Broken]:
    modes = {reading.layer.index: reading.mode for reading in readings(subject) if reading.has_block}
    for layer in subject.layers:
        caffe = subject.caffe_layers.get(layer.index)
        if board_type(layer) != "Deconvolution" or caffe is None or modes.get(layer.index) is not Mode.DYNAMIC_FIXED:
            continue
        weight = subject.weights[caffe.index][0]
        largest, share = float(np.abs(weight).max(initial=0)), float((np.abs(weight) > 1).mean())
        if largest > 1:
            yield Broken(f"{100 * share:.3g} % of the weights are beyond 1, up to {largest:.4g}", layer)


_LOADER = "CHaiDNN xi_dnn_conv_utils.hpp, loadConvWgtsTXT"

RULES = (
    Rule(
        "weights-clipped",
        Severity.LIMIT,
        "The weights' format has room for the largest of them",
        "Weights beyond th_params, or beyond what bw_params and fl_params can write, are cut off. A little of that can "
        "be better than coarser steps; more than 1 % of the weights, or one at half its size, seldom is.",
        "Convert the network again with this caffemodel; in DynamicFixed mode lower fl_params, the second number of "
        "--fl_bitwidths.",
        _LOADER,
        _clipped,
        "weights",
    ),
    Rule(
        "weights-range-idle",
        Severity.LIMIT,
        "The weights use the room that their format gives them",
        "Where the largest weight is less than a quarter of th_params, or of what bw_params and fl_params can write, "
        "at least 2 bits of every weight are never used.",
        "Convert the network again with this caffemodel; in DynamicFixed mode raise fl_params by the bits unused. With "
        "BatchNorm and Scale behind the convolution the board computes fl_params itself, and wrong for largest weights "
        "below 0.5: fold them with `xportdnn fold`.",
        f"{_LOADER}; xtract_opt.cpp, fuseBNScaleConvParams",
        _idle,
        "weights",
    ),
    Rule(
        "weights-all-zero",
        Severity.WRONG,
        "Something is left of a layer's weights",
        "All are below half a step of their format and are stored as 0: the layer's output is its bias, whatever it "
        "reads. A negative fl_params, which the board computes itself for weights with BatchNorm and Scale worked in "
        "that are all small, also stores zeros.",
        "Raise fl_params, or lower th_params to the largest weight of every channel; fold BatchNorm and Scale with "
        "`xportdnn fold` before the conversion.",
        f"{_LOADER}; xtract_opt.cpp, fuseBNScaleConvParams",
        _vanished,
        "weights",
    ),
    Rule(
        "channels-all-zero",
        Severity.LIMIT,
        "Something is left of every channel's weights",
        "The weights of these channels are below half a step of their format, though not below 1 % of the layer's "
        "largest weight. What they computed is lost.",
        "Raise fl_params, or lower th_params to the largest weight of the channel; `xportdnn fold --equalize` brings "
        "channels nearer to each other.",
        _LOADER,
        _channels,
        "weights",
    ),
    Rule(
        "deconvolution-weights-clipped",
        Severity.WRONG,
        "The weights of a Deconvolution are at most 1 (DynamicFixed mode)",
        "The board stores them with 15 fractional bits of 16 whatever the block says, and cuts off what is larger.",
        "Divide the weights by a number that makes them fit: ArgMax behind it does not mind a factor that all channels "
        "share. Or convert in Xilinx mode.",
        "CHaiDNN xi_init.cpp (read, not run)",
        _deconvolution_range,
        "weights",
    ),
)
