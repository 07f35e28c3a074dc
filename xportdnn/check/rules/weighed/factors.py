"""Multipliers and biases of convolutions, as the board's host stores them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xportdnn.arithmetic import qformat, threshold
from xportdnn.arithmetic.board import weights as host
from xportdnn.check.convolutions import BoardConvolution, convolutions
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import Subject
from xportdnn.choices import Mode
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGEST = 4.0
_COARSE = 50  # a multiplier below this is off by more than 1 %


def _factors(conv: BoardConvolution) -> NDArray[np.float64]:
    """(num_output,), before they are stored."""
    prepared, precision = conv.prepared, conv.prepared.precision
    assert precision.th_layer_in is not None
    assert precision.th_layer_out is not None
    assert prepared.th_params is not None
    found = host.factors(prepared.bits, precision.th_layer_in, prepared.th_params, precision.th_layer_out)
    return found.astype(np.float64)


def _too_large(subject: Subject) -> Iterator[Broken]:
    for conv in convolutions(subject):
        if conv.mode is Mode.XILINX:
            found = _factors(conv)
            over = np.ldexp(found, host.XILINX_SHIFT) >= (1 << 24) - 0.5
            if over.any():
                th_out = conv.prepared.precision.th_layer_out
                message = f"{_of(over)} would be multiplied by up to {found.max():.3g} with th_layer_out {th_out:g}"
                yield Broken(message, conv.board, conv.start("th_layer_out"))


def _too_small(subject: Subject) -> Iterator[Broken]:
    for conv in convolutions(subject):
        if conv.mode is Mode.XILINX and conv.stored is not None and conv.stored.scale is not None:
            coarse = conv.alive & (conv.stored.scale < _COARSE)
            if coarse.any():
                least = int(conv.stored.scale[coarse].min())
                message = f"the multipliers of {_of(coarse)} are {least} or a little more, in units of 2^-22"
                yield Broken(message, conv.board, conv.start("th_layer_out"))


def _bias_clipped(subject: Subject) -> Iterator[Broken]:
    for conv in convolutions(subject):
        prepared, precision = conv.prepared, conv.prepared.precision
        if prepared.th_params is not None:
            # that a Scale's threshold is cut down to a whole number is said by the rule about that
            name, th = "th_layer_out", prepared.truncated or precision.th_layer_out
            assert th is not None
            room = th + float(threshold.step(th, prepared.bits.layer_out)) / 2
            over, limit = np.abs(prepared.bias) > room, f"{name} {th:g}"
        else:
            name, fl = "fl_layer_out", prepared.fl.layer_out
            # less than half a step beyond the range is lost to rounding in any case
            over = _beyond(prepared.bias, prepared.bits.layer_out, fl)
            limit = f"{np.ldexp((1 << prepared.bits.layer_out - 1) - 1.0, -fl):.4g}, the most that {name} {fl} holds"
        if over.any():
            largest = np.abs(prepared.bias).max()
            worked_in = " with BatchNorm and Scale worked in" if conv.is_fused else ""
            message = f"the bias{worked_in} of {_of(over)} is up to {largest:.4g}, beyond {limit}"
            yield Broken(message, conv.board, conv.start(name))


def _beyond(values: NDArray[np.float32], bits: int, fl: int) -> NDArray[np.bool_]:
    """Which values are half a step or more beyond the range of a Q.F format."""
    return np.asarray(qformat.quantize(values, bits + 8, fl) != qformat.quantize(values, bits, fl))


def _bias_wraps(subject: Subject) -> Iterator[Broken]:
    for conv in convolutions(subject):
        prepared = conv.prepared
        fl = prepared.fl
        shift = fl.layer_in + fl.params - fl.layer_out
        if prepared.th_params is not None or not 1 <= shift <= 31:
            continue
        stored = qformat.quantize(prepared.bias, prepared.bits.layer_out, fl.layer_out) << shift
        wraps = (stored < -(1 << 15)) | (stored >= 1 << 15)
        if wraps.any():
            message = (
                f"the bias of {_of(wraps)} needs up to {int(np.abs(stored).max())} with fl_layer_in {fl.layer_in} and "
                f"fl_params {fl.params}, 16 bits hold 32767"
            )
            yield Broken(message, conv.board, conv.start("fl_layer_in"))


def _of(channels: NDArray[np.bool_]) -> str:
    """`3 of 64 channels, the first is 5`, or `channel 5`."""
    first, count = int(channels.argmax()), int(channels.sum())
    return f"{count} of {channels.size} channels, the first is {first}," if count > 1 else f"channel {first}"


_HOST = "CHaiDNN xi_dnn_conv_utils.hpp, loadConvBiasTXT"
_AGAIN = "Convert the network again: the conversion guards against it."

RULES = (
    Rule(
        "multiplier-too-large",
        Severity.WRONG,
        "The factor from sum to output is below 4 (Xilinx mode)",
        "The host multiplies every channel by step of th_params * step of th_layer_in / step of th_layer_out, with 22 "
        "fractional bits; the kernel keeps 24 bits of it, so that of a factor of 4 or more only a rest is left.",
        f"{_AGAIN} Or raise th_layer_out, in all layers of the blob.",
        f"{_HOST}; xi_convolution.hpp, LoadScaleBuffers_ff",
        _too_large,
        "weights",
    ),
    Rule(
        "multiplier-too-small",
        Severity.LIMIT,
        "The factor from sum to output has enough digits (Xilinx mode)",
        "With 22 fractional bits a multiplier below 50 is off by more than 1 %, and 0 leaves the bias alone. A sum of "
        "18 bits then comes to less than two steps of the output: with this th_layer_out such channels are as good as "
        "constant.",
        "Look at th_layer_out: is it another network's, or made from pictures in another range? Channels that matter "
        "beside others with much larger outputs gain from `xportdnn fold --equalize`.",
        _HOST,
        _too_small,
        "weights",
    ),
    Rule(
        "bias-clipped",
        Severity.WRONG,
        "The output's format has room for every bias",
        "Before it is stored, a bias is cut off at th_layer_out, or at the largest number that bw_layer_out and "
        "fl_layer_out can write, also where a sum below 0 would bring the output back into the range.",
        f"{_AGAIN} Or raise th_layer_out (lower fl_layer_out), in all layers of the blob.",
        f"{_HOST}; xi_common_utils.hpp, Trim2FixedPointBias_Offline",
        _bias_clipped,
        "weights",
    ),
    Rule(
        "bias-wraps",
        Severity.WRONG,
        "Biases fit into 16 bits with the fractional bits of the sums (DynamicFixed mode)",
        "A bias is stored with fl_layer_in + fl_params fractional bits. What is 32768 or more wraps: large biases "
        "become small or change their sign.",
        "Lower fl_params or fl_layer_in, the latter in all layers of the blob.",
        _HOST,
        _bias_wraps,
        "weights",
    ),
)
