"""What the guards did or found: as values for the report, and one sentence for each kind of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from xportdnn.journal import Journal, Level, Remark
from xportdnn.network import Layer

_NAMED = 12  # layers that a sentence names; the report has all


class Guard(str, Enum):
    """The kinds, in the order in which they are told.

    WRAP, BIAS, FACTOR, WHOLE and LEVEL change thresholds of Xilinx mode; PARAMS, ROOM, LOWERED and RAISED change
    fractional lengths that were found from pictures; all others only tell.
    """

    WRAP = "wrap"
    BIAS = "bias"
    FACTOR = "factor"
    WHOLE = "whole"
    LEVEL = "level"
    GIVEN = "given"
    CLIPPED = "clipped"
    STUCK = "stuck"
    FINE = "fine"
    PARAMS = "params"
    ROOM = "room"
    LOWERED = "lowered"
    RAISED = "raised"
    FLOATS = "floats"
    FUSED = "fused"
    UNSEEN = "unseen"
    SHIFT = "shift"
    INT16 = "int16"
    AVERAGE = "average"
    BLOB = "blob"


class Mark(NamedTuple):
    """What one guard did or found.

    Attributes:
        layers: those concerned; with the first four kinds of `Guard` those whose th_layer_out it is.
        was: the number found.
        fits: the number put in its place, or that would fit; None where none would.
    """

    guard: Guard
    layers: tuple[Layer, ...]
    was: float
    fits: float | None


class _Saying(NamedTuple):
    """How a kind is said: a sentence for all of its marks, and what stands for each of them."""

    level: Level
    text: str
    each: str


_SAYINGS = {
    Guard.WRAP: _Saying(
        Level.INFO,
        "sums before a ReLU would run over the board's 32 bits and change their sign; th_layer_out raised, and with it "
        "every blob that shares it",
        "{names} {was:.6g} -> {fits:.6g}",
    ),
    Guard.BIAS: _Saying(
        Level.INFO,
        "the board clips a bias at th_layer_out; raised, and with it every blob that shares it",
        "{names} {was:.6g} -> {fits:.6g}",
    ),
    Guard.FACTOR: _Saying(
        Level.INFO,
        "the board's factor from sums to outputs must be below 4; th_layer_out raised, and with it every blob that "
        "shares it",
        "{names} {was:.6g} -> {fits:.6g}",
    ),
    Guard.WHOLE: _Saying(
        Level.INFO,
        "the board cuts the decimals off a th_layer_out behind Convolution, BatchNorm and Scale; rounded up, and with "
        "it every blob that shares it",
        "{names} {was:.6g} -> {fits:.6g}",
    ),
    Guard.LEVEL: _Saying(
        Level.INFO,
        "the board does not bring the channels of a Deconvolution back to one scale; all of a layer's th_params are "
        "now the largest of them",
        "{names} ({was:.6g} to {fits:.6g})",
    ),
    Guard.GIVEN: _Saying(
        Level.WARNING,
        "the board wraps, clips or cuts off numbers with a th_layer_out that was asked for; it stays",
        "{names} {was:.6g} ({fits:.6g} fits)",
    ),
    Guard.CLIPPED: _Saying(
        Level.WARNING,
        "biases so far beyond what the output's format holds that room for them would cost the other channels more; "
        "the board clips them and what their channels give is wrong",
        "{names} ({was:.6g} at {fits:.6g})",
    ),
    Guard.STUCK: _Saying(
        Level.WARNING,
        "the board's factor from sums to outputs must be below 4, and no threshold brings it there, because raising "
        "th_layer_out raises th_layer_in; scale these weights down",
        "{names} (factor {was:.6g})",
    ),
    Guard.FINE: _Saying(
        Level.DETAIL,
        "output channels with weights so small that the board's factor for them is off by more than 1 %; their sums "
        "reach no more than 1.6 steps of th_layer_out",
        "{names} ({was:g})",
    ),
    Guard.PARAMS: _Saying(
        Level.INFO,
        "fl_params moved so that the board can shift sums, keep the bias in 16 bits and store the weights",
        "{names} {was:g} -> {fits:g}",
    ),
    Guard.ROOM: _Saying(
        Level.INFO,
        "the board clips a bias at the most that fl_layer_out holds; fractional bits taken from it, and from all blobs "
        "that share it",
        "{names} {was:g} -> {fits:g}",
    ),
    Guard.LOWERED: _Saying(
        Level.INFO,
        "the board could not shift sums or keep a bias in 16 bits; fractional bits taken from what these write, and "
        "all blobs that share them",
        "{names} {was:g} -> {fits:g}",
    ),
    Guard.RAISED: _Saying(
        Level.WARNING,
        "the board takes no negative fractional length for 8-bit pixels, nor where software reads; raised to 0, which "
        "clips what is larger; convert with smaller numbers (--input_scale) if that is much",
        "{names} {was:g} -> {fits:g}",
    ),
    Guard.FLOATS: _Saying(
        Level.WARNING,
        "the board shifts 8-bit pixels left by the first layer's fl_layer_in, which must not be negative for that; "
        "feed it floats, or convert with smaller numbers (--input_scale)",
        "{names} ({was:g})",
    ),
    Guard.FUSED: _Saying(
        Level.WARNING,
        "the board works BatchNorm and Scale into these weights and finds fl_params by itself, too small a number for "
        "small weights; fold them first (--fold)",
        "{names} ({was:g}; {fits:g} fits)",
    ),
    Guard.UNSEEN: _Saying(
        Level.INFO,
        "the board works BatchNorm and Scale into these weights and finds fl_params by itself, whatever their blocks "
        "say; `xportdnn check --weights` tells whether that will do, --fold avoids it",
        "{names}",
    ),
    Guard.SHIFT: _Saying(
        Level.WARNING,
        "the board shifts sums by fl_layer_in + fl_params - fl_layer_out, which must be 1 to 31",
        "{names} (shift {was:g}; fl_layer_out {fits:g} fits)",
    ),
    Guard.INT16: _Saying(
        Level.WARNING,
        "biases at fl_layer_in + fl_params fractional bits run over the board's 16 bits and change their sign",
        "{names} ({was:g} bits; {fits:g} fit)",
    ),
    Guard.AVERAGE: _Saying(
        Level.WARNING,
        "the board shifts averages by fl_layer_in + 8 - fl_layer_out, which must be 1 to 31",
        "{names} (shift {was:g}; fl_layer_out {fits:g} fits)",
    ),
    Guard.BLOB: _Saying(
        Level.WARNING,
        "the board converts nothing between layers, so fl_layer_in must be the fl_layer_out that the bottom was "
        "written with",
        "{names} (fl_layer_in {was:g}; {fits:g} fits)",
    ),
}


def sentences(marks: Iterable[Mark]) -> Iterator[Remark]:
    """One for each kind, with its layers and numbers."""
    by_kind: dict[Guard, list[Mark]] = {}
    for mark in marks:
        by_kind.setdefault(mark.guard, []).append(mark)
    for guard, saying in _SAYINGS.items():
        if found := by_kind.get(guard):
            yield Remark(saying.level, f"{saying.text}: {', '.join(_parts(saying.each, found))}")


def _parts(each: str, marks: list[Mark]) -> Iterator[str]:
    for mark in marks[:_NAMED]:
        names = ", ".join(layer.name for layer in mark.layers[:_NAMED])
        more = f" and {len(mark.layers) - _NAMED} more" if len(mark.layers) > _NAMED else ""
        yield each.format(names=names + more, was=mark.was, fits=mark.fits)
    if len(marks) > _NAMED:
        yield f"and {len(marks) - _NAMED} more"


def tell(marks: Iterable[Mark], journal: Journal) -> None:
    """Say it all, each kind once."""
    say = {Level.DETAIL: journal.detail, Level.INFO: journal.info, Level.WARNING: journal.warn}
    for level, text in sentences(marks):
        say[level](text)
