"""A search as JSON: the same bytes for the same inputs, whatever the number of workers.

Accuracies and agreement are in per cent, SQNR in dB; `null` stands for what was not computed, and for the SQNR of what
is as in float. A width of 32 is float.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from enum import Enum
from typing import Any

from xportdnn.journal import Remark
from xportdnn.precision import Ristretto
from xportdnn.searching.ladder import Joint, Ladder
from xportdnn.searching.metric import Score
from xportdnn.searching.result import Climbed, Mixed
from xportdnn.version import __version__


def as_json(found: Climbed | Mixed, remarks: Sequence[Remark]) -> bytes:
    """The search, UTF-8 with two blanks of indentation."""
    text = json.dumps(report(found, remarks), indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "surrogateescape")


def report(found: Climbed | Mixed, remarks: Sequence[Remark]) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "xportdnn": __version__,
        "options": _options(found),
        "network": found.opened.net.source.name,
        "images": found.pictures,
        "calibrated_with": list(found.calibrated),
        "skipped": [{"name": name, "reason": reason} for name, reason in found.skipped],
        "metric": found.judge.metric.value,
        "error_margin": found.judge.margin,
        "baseline": _score(found.judge.baseline),
        "networks": found.attempts,
        **(_climbed(found) if isinstance(found, Climbed) else _mixed(found)),
        "remarks": [{"level": remark.level.name.lower(), "text": remark.text} for remark in remarks],
    }


def _climbed(found: Climbed) -> dict[str, Any]:
    layers = found.opened.net.layers
    return {
        "ladders": [_ladder(each) for each in found.ladders],
        "joint": [_joint(each) for each in found.steps],
        "widths": found.widths._asdict(),
        "within": found.within,
        "layers": [{"name": layers[index].name, **_block(block)} for index, block in sorted(found.formats.items())],
    }


def _ladder(ladder: Ladder) -> dict[str, Any]:
    return {
        "parts": [part.value for part in ladder.parts],
        "chosen": ladder.chosen,
        "rungs": [{"bits": rung.bits, "within": rung.within, **_score(rung.score)} for rung in ladder.rungs],
    }


def _joint(step: Joint) -> dict[str, Any]:
    return {
        "widths": step.widths._asdict(),
        "raised": None if step.raised is None else step.raised.value,
        "within": step.within,
        **_score(step.score),
        "rejected": [{"raised": part.value, **_score(score)} for part, score in step.rejected],
    }


def _block(block: Ristretto) -> dict[str, Any]:
    return {name: getattr(block, name) for name in block.__dataclass_fields__ if name != "rounding_scheme"}


def _mixed(found: Mixed) -> dict[str, Any]:
    mix, last, layers = found.mix, found.steps[-1], found.opened.net.layers
    return {
        "activations": last.activations,
        "narrow_activations": None if mix.rejected is None else _score(mix.rejected),
        "wide": _score(mix.wide),
        "one_at_a_time": [
            {
                "layer": layers[each.layer].name,
                "weights": each.weights,
                "narrow": each.layer in last.narrow,
                **_score(each.score),
            }
            for each in mix.tried
        ],
        "chosen": {"narrow": [layers[index].name for index in sorted(mix.narrow)], **_score(mix.score)},
        "conversions": [
            {
                "activations": step.activations,
                "narrow": [layers[index].name for index in sorted(step.narrow)],
                "within": step.within,
                **_score(step.score),
            }
            for step in found.steps
        ],
        "overrides": found.overrides,
        "within": found.within,
        **_score(found.score),
    }


def _score(score: Score) -> dict[str, Any]:
    return {**score._asdict(), "sqnr_db": score.sqnr_db if math.isfinite(score.sqnr_db) else None}


def _options(found: Climbed | Mixed) -> dict[str, Any]:
    # what cannot change a number is left out, so that the file tells runs apart by their results only
    names = [name for name in found.options.__dataclass_fields__ if name != "workers"]
    return {name: _plain(getattr(found.options, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value
