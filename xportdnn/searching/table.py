"""A search as text for a terminal: the ladder in the order of Ristretto's report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xportdnn.choices import Mode
from xportdnn.searching.ladder import Joint, Ladder
from xportdnn.searching.lengths import DYNAMIC_FIXED_POINT, MINIFLOAT
from xportdnn.searching.metric import Judge, Metric, Score
from xportdnn.searching.mixed import NARROW, WIDE
from xportdnn.searching.result import Climbed, Judged, Mixed
from xportdnn.searching.widths import FLOAT, Part


def text(found: Climbed | Mixed) -> str:
    """The report."""
    lines = _climbed(found) if isinstance(found, Climbed) else _mixed(found)
    return "\n".join([*_head(found), *lines]) + "\n"


def _head(found: Judged) -> Iterator[str]:
    judge, count = found.judge, found.pictures
    name = Path(found.opened.net.source.name).name
    asked = f"at least {judge.margin:g} dB" if judge.metric is Metric.SQNR else f"at most {judge.margin:g} points less"
    yield f"{name}: {count} picture{'s' * (count != 1)}, {judge.metric.words}, {asked}; {found.attempts} networks run"
    yield f"Baseline 32bit float: {_value(judge, judge.baseline)}"


def _climbed(found: Climbed) -> Iterator[str]:
    judge, options = found.judge, found.options
    if options.trimming_mode != DYNAMIC_FIXED_POINT:
        (ladder,) = found.ladders
        yield "Minifloat net:" if options.trimming_mode == MINIFLOAT else "Net with integer power-of-two weights:"
        yield from _rungs(ladder, judge)
        yield f"Accuracy: {_value(judge, found.steps[-1].score)}"
        return
    for ladder in found.ladders:
        yield f"Dynamic fixed point {ladder.parts[0].words}:"
        yield from _rungs(ladder, judge)
    tried = {part for ladder in found.ladders for part in ladder.parts}
    first, *others = found.steps
    yield "Dynamic fixed point net:"
    yield from (f"{first.widths.of(part)}bit {part.words}" for part in Part if part in tried)
    yield f"Accuracy: {_judged(judge, first.score, first.within)}"
    for before, step in zip(found.steps, others, strict=False):
        yield _raised(before, step, judge)
    if others:
        yield "In the end: " + ", ".join(
            f"{_bits(found.widths.of(part))} {part.words}" for part in Part if part in tried
        )


def _rungs(ladder: Ladder, judge: Judge) -> Iterator[str]:
    for rung in ladder.rungs:
        yield f"{rung.bits:>4}bit: {_judged(judge, rung.score, rung.within)}"


def _raised(before: Joint, step: Joint, judge: Judge) -> str:
    assert step.raised is not None
    part = step.raised
    others = "".join(f"; {other.words} instead: {_value(judge, score)}" for other, score in step.rejected)
    widths = f"{before.widths.of(part)} to {_bits(step.widths.of(part))}"
    return f"{part.words} from {widths}: {_judged(judge, step.score, step.within)}{others}"


def _bits(bits: int) -> str:
    return "float" if bits == FLOAT else f"{bits}bit"


def _mixed(found: Mixed) -> Iterator[str]:
    judge, mix, layers = found.judge, found.mix, found.opened.net.layers
    yield f"{mix.activations}bit activations, {WIDE}bit weights: {_judged(judge, mix.wide, judge.within(mix.wide))}"
    for each in sorted(mix.tried, key=lambda each: judge.key(each.score)):
        kept = "narrow" if each.narrow else "wide"
        yield f"  {layers[each.layer].name} alone at {NARROW}bit: {_value(judge, each.score)}, {kept}"
    yield f"{len(mix.narrow)} layers with {NARROW}bit weights: {_value(judge, mix.score)}"
    yield f"Converted like this: {_judged(judge, found.score, judge.within(found.score))}"
    yield f"xportdnn {_command(found)}"


def _command(found: Mixed) -> str:
    options, mix = found.options, found.mix
    fixed = options.quant_type is Mode.DYNAMIC_FIXED
    how = f"--fl_bitwidths auto --fl_method {options.formats}" if fixed else "--params_method mse"
    file = " --overrides FILE" if mix.narrow else ""
    widths = f"{mix.activations},{WIDE},{mix.activations}"
    indices = found.conversion.options.calibration_indices
    file += f" --calibration_indices {','.join(map(str, indices))}" if indices else ""
    return f"--quant_type {options.quant_type.value} --bitwidths {widths} {how}{file} ..."


def _judged(judge: Judge, score: Score, within: bool) -> str:
    return _value(judge, score) + ("" if within else "  too low")


def _value(judge: Judge, score: Score) -> str:
    """`80.24 % (-0.60), 21.4 dB`."""
    value = score.value(judge.metric)
    if judge.metric is Metric.SQNR:
        return _decibel(score)
    change = value - judge.baseline.value(judge.metric)
    own = score is judge.baseline
    return f"{value:.2f} %" + ("" if own else f" ({change:+.2f}), output SQNR {_decibel(score)}")


def _decibel(score: Score) -> str:
    return "as in float" if score.sqnr_db == float("inf") else f"{score.sqnr_db:.1f} dB"
