"""An evaluation as JSON: the same bytes for the same inputs, whatever the number of workers.

Accuracies and agreement are in per cent, SQNR and PSNR in dB. `null` stands for what was not computed; an SQNR is
`null` also where nothing differs, and `identical` tells the two apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

from xportdnn.evaluation.detections import OVERLAP, SCORE
from xportdnn.evaluation.ranking import Row, by_damage
from xportdnn.evaluation.result import Classified, Evaluation
from xportdnn.journal import Remark
from xportdnn.precision import Precision, Ristretto
from xportdnn.version import __version__


def as_json(evaluation: Evaluation, remarks: Sequence[Remark]) -> bytes:
    """The evaluation, UTF-8 with two blanks of indentation."""
    text = json.dumps(report(evaluation, remarks), indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "surrogateescape")


def report(evaluation: Evaluation, remarks: Sequence[Remark]) -> dict[str, Any]:
    """The same as plain values; `layers` are ranked, the lowest SQNR first."""
    classified = evaluation.classified
    return {
        "xportdnn": __version__,
        "options": _options(evaluation),
        "network": evaluation.opened.net.source.name,
        "images": len(evaluation.used),
        "skipped": [{"name": name, "reason": reason} for name, reason in evaluation.skipped],
        "classes": list(evaluation.tests.classes),
        **_classes(classified),
        "output_sqnr_db": evaluation.output_sqnr_db,
        "output_cosine": evaluation.output_cosine,
        "outputs": list(_outputs(evaluation)),
        "detections": _boxes(evaluation),
        "alarms": list(evaluation.alarms),
        "findings": [finding._asdict() for finding in evaluation.findings],
        "layers": [_layer(rank, row) for rank, row in enumerate(by_damage(evaluation.rows), 1)],
        "one_at_a_time": list(_effects(evaluation)) or None,
        "changed": list(_changed(evaluation)),
        "remarks": [{"level": remark.level.name.lower(), "text": remark.text} for remark in remarks],
    }


def _options(evaluation: Evaluation) -> dict[str, Any]:
    # what cannot change a number is left out, so that the file tells runs apart by their results only
    names = [name for name in evaluation.options.__dataclass_fields__ if name != "workers"]
    return {name: _plain(getattr(evaluation.options, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _classes(found: Classified | None) -> dict[str, Any]:
    if found is None:
        nothing = {"top1": None, "top5": None}
        return {"float": nothing, "quantized": nothing | {"tied": None}, "agreement_top1": None, "divergence": None}
    return {
        "float": {"top1": found.float_top1, "top5": found.float_top5},
        "quantized": {"top1": found.top1, "top5": found.top5, "tied": found.tied},
        "agreement_top1": found.agreement_top1,
        "divergence": found.divergence,
    }


def _outputs(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    for output in evaluation.outputs:
        yield {
            "blob": output.value.blob,
            "layer": evaluation.opened.net.layers[output.value.writer].name,
            "shape": list(output.shape),
            "sqnr_db": output.sqnr_db,
            "psnr_db": output.psnr_db,
            "cosine": output.cosine,
            "identical": output.identical,
            "worst": None if output.worst is None else {"name": output.worst[0], "sqnr_db": output.worst[1]},
        }


def _boxes(evaluation: Evaluation) -> dict[str, Any] | None:
    if evaluation.boxes is None:
        return None
    first, second, matched = evaluation.boxes
    return {"score": SCORE, "overlap": OVERLAP, "float": first, "quantized": second, "matched": matched}


def _layer(rank: int, row: Row) -> dict[str, Any]:
    return {
        "rank": rank,
        "index": row.layer.index,
        "name": row.layer.name,
        "type": row.layer.type,
        "sqnr_db": row.sqnr_db,
        "drop_db": row.drop_db,
        "cosine": row.cosine,
        "identical": row.identical,
        "values": row.compared,
        "saturated": row.saturated,
        "wrapped": row.wrapped,
        "channels": row.channels,
        "dead_channels": row.dead,
        "zeros": None if row.zeros is None else row.zeros._asdict(),
        "minimum": row.minimum,
        "maximum": row.maximum,
        "formats": None if row.block is None else _formats(row.block),
    }


def _formats(block: Precision | Ristretto) -> dict[str, Any]:
    fields = {name: _plain(getattr(block, name)) for name in block.__dataclass_fields__}
    return {name: value for name, value in fields.items() if value not in (None, [])}


def _effects(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    for effect in evaluation.ranked_effects:
        yield {
            "layer": effect.part.layer.name if effect.part.layer else None,
            "side": effect.part.side.value if effect.part.side else None,
            "output_sqnr_db": effect.sqnr_db,
            "output_cosine": effect.cosine,
            "identical": effect.identical,
            "agreement_top1": effect.agreement_top1,
            "top1": effect.top1,
        }


def _changed(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """The pictures whose class is another one after quantization."""
    for verdict in evaluation.verdicts:
        if verdict.first != verdict.second:
            name, label = evaluation.tests.samples[verdict.picture][1:]
            yield {"name": name, "label": label, "float": verdict.first, "quantized": verdict.second}
