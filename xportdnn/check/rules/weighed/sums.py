"""Sums of convolutions that leave the kernel's accumulators or its 32-bit words.

What a network's pictures make of them is not known here, only what no input exceeds: nothing of this says that it
happens.
"""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.arithmetic.board import accumulator
from xportdnn.check.bounds import Bounds, bounds
from xportdnn.check.convolutions import BoardConvolution, convolutions
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import Subject
from xportdnn.check.wording import listed
from xportdnn.choices import Mode

# From here on adding half a step for the rounding leaves 32 bits.
_WORD = 511.5


def _bounded(subject: Subject) -> Iterator[tuple[BoardConvolution, Bounds]]:
    for conv in convolutions(subject):
        found = bounds(conv)
        if found is not None:
            yield conv, found


def _too_low(found: Bounds) -> bool:
    """Whether no channel comes to the largest output, although with wider accumulators one could."""
    return bool((found.highest >= found.largest).any() and (found.limits < found.largest).all())


def _limit(subject: Subject) -> Iterator[Broken]:
    for conv, found in _bounded(subject):
        if _too_low(found):
            reached = found.limits.max()
            where = "th_layer_out" if conv.mode is Mode.XILINX else "fl_layer_out"
            message = (
                f"no output is larger than {reached * conv.step:.3g}, {100 * reached / found.largest:.0f} % of what "
                f"{where} has room for"
            )
            yield Broken(message, conv.board, conv.start(where))


def _may_saturate(subject: Subject) -> Iterator[Broken]:
    names = []
    for conv, found in _bounded(subject):
        ends = accumulator.HIGHEST * found.factors
        # what is lost of channels that are as good as dead is less than a step
        early = (ends < found.largest) & ((found.portions - accumulator.HIGHEST) * found.factors >= 1)
        if early.any() and not _too_low(found):
            names.append((ends[early].min() / found.largest, f"{conv.board.name} ({early.sum()} of {early.size})"))
    if names:
        least, _ = min(names)
        layers = listed([name for _, name in sorted(names)])
        yield Broken(f"in the worst case sums end at {100 * least:.0f} % of the output's range: channels of {layers}")


def _may_wrap(subject: Subject) -> Iterator[Broken]:
    names = []
    for conv, found in _bounded(subject):
        if conv.mode is Mode.XILINX and (steps := found.largest_words.max()) >= _WORD:
            names.append((-steps, conv.board.name))
    if names:
        most, _ = min(names)
        layers = listed([name for _, name in sorted(names)])
        yield Broken(f"in the worst case outputs come to {-most:.0f} steps, {_WORD} is the limit: {layers}")


_KERNEL = "CHaiDNN xi_convolution.hpp, run in C simulation"
_COUNTED = "`xportdnn simulate --arithmetic chaidnn` counts what your pictures do"

RULES = (
    Rule(
        "accumulator-too-short",
        Severity.LIMIT,
        "An accumulator of 18 bits holds what th_layer_out or fl_layer_out has room for",
        "Sums end at 131071, which is a real output of 8.13 th_params th_layer_in at 8 bits (136 at 6 bits). Where no "
        "channel comes to the largest output, either that has too much room, or large outputs are cut off.",
        f"{_COUNTED}. If they saturate, convert with 6 bits, or raise th_layer_in or th_params (lower fl_layer_in or "
        "fl_params): coarser steps, but larger sums.",
        f"{_KERNEL}: saturation behind every portion of the input channels",
        _limit,
        "weights",
    ),
    Rule(
        "accumulator-may-saturate",
        Severity.LIMIT,
        "No sum can saturate before the output does",
        "A worst case: inputs exist for which the 18 bits of an accumulator end before the output's own range. Once at "
        "its limit it stays there, whatever the rest of the channels adds.",
        f"{_COUNTED}. If they saturate, convert with 6 bits, or raise th_layer_in or th_params (lower fl_layer_in or "
        "fl_params): coarser steps, but larger sums.",
        _KERNEL,
        _may_saturate,
        "weights",
    ),
    Rule(
        "output-may-wrap",
        Severity.LIMIT,
        "No output can come to 511.5 times its step before it is cut off",
        "A worst case: there are inputs for which sum, factor and bias leave the 32 bits in which they are added. The "
        "output does not saturate then but jumps to the other end of its range, for numbers below 0 in front of a "
        "ReLU, too.",
        f"{_COUNTED}. If they wrap, raise th_layer_out: a quarter of the largest magnitude before the ReLU is enough "
        "at 8 bits.",
        f"{_KERNEL}, saturation_round",
        _may_wrap,
        "weights",
    ),
)
