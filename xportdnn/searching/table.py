"""A search as text for a terminal: the ladder in the order of Ristretto's report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from xportdnn.choices import Mode
from xportdnn.searching.ladder import Joint
from xportdnn.searching.lengths import DYNAMIC_FIXED_POINT, MINIFLOAT, POWER_OF_2
from xportdnn.searching.metric import Judge, Metric, Score
from xportdnn.searching.mixed import NARROW, WIDE
from xportdnn.searching.result import Climbed, Judged, Mixed
from xportdnn.searching.widths import FLOAT, Part

_TITLES: Mapping[str, str] = {
    DYNAMIC_FIXED_POINT: "Dynamic fixed point {part}:",
    MINIFLOAT: "Minifloat net:",
    POWER_OF_2: "Net with integer power-of-two weights:",
}
_NAMES: Mapping[Metric, str] = {
    Metric.TOP1: "Accuracy",
    Metric.TOP5: "Accuracy",
    Metric.AGREEMENT: "Agreement",
    Metric.SQNR: "Output SQNR",
}


def text(found: Climbed | Mixed) -> str:
    """The report."""
    lines = _climbed(found) if isinstance(found, Climbed) else _mixed(found)
    return "\n".join([*_head(found), *lines]) + "\n"


def _head(found: Judged) -> Iterator[str]:
    judge, count = found.judge, found.pictures
    name = Path(found.opened.net.source.name).name
    points = f"{judge.margin:g} point{'s' * (judge.margin != 1)}"
    asked = f"at least {judge.margin:g} dB" if judge.metric is Metric.SQNR else f"at most {points} less"
    pictures, networks = (
        f"{number} {what}{'s' * (number != 1)}" for number, what in ((count, "picture"), (found.attempts, "network"))
    )
    yield f"{name}: {pictures}, {judge.metric.words}, {asked}; {networks} run"
    measure = judge.metric is Metric.SQNR
    yield f"Baseline {_bits(FLOAT)}: {'its outputs are the signal' if measure else _value(judge, judge.baseline)}"


def _climbed(found: Climbed) -> Iterator[str]:
    judge, mode = found.judge, found.options.trimming_mode
    for ladder in found.ladders:
        yield _TITLES[mode].format(part=ladder.parts[0].words)
        yield from (f"{rung.bits:>4}bit: {_judged(judge, rung.score, rung.within)}" for rung in ladder.rungs)
    tried = [part for part in Part if any(part in ladder.parts for ladder in found.ladders)]
    first, *others = found.steps
    if mode == MINIFLOAT:
        yield f"{_bits(first.widths.activations)} for all numbers"
    else:
        yield from ["Dynamic fixed point net:"] if mode == DYNAMIC_FIXED_POINT else []
        yield from (f"{_bits(first.widths.of(part))} {part.words}" for part in tried)
    yield f"{_NAMES[judge.metric]}: {_judged(judge, first.score, first.within)}"
    for before, step in zip(found.steps, others, strict=False):
        yield _raised(before, step, judge)
    if others:
        yield "In the end: " + ", ".join(f"{_bits(found.widths.of(part))} {part.words}" for part in tried)


def _raised(before: Joint, step: Joint, judge: Judge) -> str:
    assert step.raised is not None
    part = step.raised
    others = "".join(f"; {other.words} instead: {_value(judge, score)}" for other, score in step.rejected)
    widths = f"{_bits(before.widths.of(part))} to {_bits(step.widths.of(part))}"
    return f"{part.words} from {widths}: {_judged(judge, step.score, step.within)}{others}"


def _bits(bits: int) -> str:
    return "32bit float" if bits == FLOAT else f"{bits}bit"


def _mixed(found: Mixed) -> Iterator[str]:
    judge, mix, layers = found.judge, found.mix, found.opened.net.layers
    if mix.rejected is not None:
        yield f"{NARROW}bit activations, {WIDE}bit weights: {_judged(judge, mix.rejected, within=False)}"
    yield f"{mix.activations}bit activations, {WIDE}bit weights: {_judged(judge, mix.wide, judge.within(mix.wide))}"
    for each in sorted(mix.tried, key=lambda each: judge.key(each.score)):
        kept = "narrow" if each.layer in mix.narrow else "wide"
        yield f"  {layers[each.layer].name} alone at {NARROW}bit: {_value(judge, each.score)}, {kept}"
    yield f"{_layers(len(mix.narrow))} with {NARROW}bit weights: {_value(judge, mix.score)}"
    first, *others = found.steps
    yield f"Converted like this: {_judged(judge, first.score, first.within)}"
    for step in others:
        yield (
            f"Converted with {step.activations}bit activations, {_layers(len(step.narrow))} with {NARROW}bit weights: "
            f"{_judged(judge, step.score, step.within)}"
        )
    if others:
        last = found.steps[-1]
        wide = ["activations"] if last.activations != mix.activations else []
        wide += [layers[index].name for index in sorted(mix.narrow - last.narrow)]
        yield f"The conversion finds its formats anew; wide again: {', '.join(wide)}"
    yield f"xportdnn {_command(found)}"
    if found.copied:
        yield f"DIR holds copies, in this order of their names, of {', '.join(found.calibrated)}"


def _layers(count: int) -> str:
    return f"{count} layer{'s' * (count != 1)}"


def _command(found: Mixed) -> str:
    options, last = found.options, found.steps[-1]
    fixed = options.quant_type is Mode.DYNAMIC_FIXED
    how = f"--fl_bitwidths auto --fl_method {options.formats}" if fixed else "--params_method mse"
    file = " --overrides FILE" if last.narrow else ""
    widths = f"{last.activations},{WIDE},{last.activations}"
    indices = found.conversion.options.calibration_indices
    file += f" --calibration_indices {','.join(map(str, indices))}" if indices else ""
    file += f" --calibration_directory DIR --calibration_size {len(found.calibrated)}" if found.copied else ""
    return f"--quant_type {options.quant_type.value} --bitwidths {widths} {how}{file} ..."


def _judged(judge: Judge, score: Score, within: bool) -> str:
    return _value(judge, score) + ("" if within else "  too low")


def _value(judge: Judge, score: Score) -> str:
    """`80.24 % (-0.60), output SQNR 21.4 dB`."""
    value = score.value(judge.metric)
    if judge.metric is Metric.SQNR:
        return _decibel(score)
    change = value - judge.baseline.value(judge.metric)
    own = score is judge.baseline
    return f"{value:.2f} %" + ("" if own else f" ({change:+.2f}), output SQNR {_decibel(score)}")


def _decibel(score: Score) -> str:
    if math.isfinite(score.sqnr_db):
        return f"{score.sqnr_db:.1f} dB"
    return "as in float" if score.sqnr_db > 0 else "none: the float outputs are 0"
