"""The sample networks from conversion to verdict: the float side is as accurate as their README says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.nets import ROOT, converted
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.result import Evaluation
from xportdnn.evaluation.run import evaluate
from xportdnn.evaluation.values import as_json

SAMPLES = ("digits_plain", "digits_residual", "shapes_inception", "shapes_depthwise")
STATED = dict(
    re.findall(r"^\| `(\w+)` \| \d+ of \d+ \(([\d.]+) %\)", (ROOT / "sample_models" / "README.md").read_text(), re.M)
)


@pytest.fixture(scope="module", params=SAMPLES)
def evaluated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """One sample network at 8 bits over all shipped test pictures."""
    sample: str = request.param
    kind = sample.split("_")[0]
    return evaluate(
        EvaluationOptions(
            str(converted(sample, tmp_path_factory.mktemp(sample) / "quantized.prototxt")),
            str(ROOT / "sample_models" / sample / f"{sample}.caffemodel"),
            str(ROOT / "calibration" / f"{kind}_test"),
            str(ROOT / "calibration" / f"{kind}_test.labels.txt"),
            input_scale=0.00390625 if kind == "digits" else 1.0,
        )
    )


def test_float_accuracy_is_that_of_the_readme(evaluated: Evaluation) -> None:
    assert len(evaluated.used) == 200
    assert evaluated.classified is not None
    assert evaluated.classified.float_top1 == float(STATED[Path(evaluated.options.weights or "").stem])


def test_eight_bits_lose_little(evaluated: Evaluation) -> None:
    found = evaluated.classified
    assert found is not None
    assert found.float_top1 is not None
    assert found.top1 is not None
    assert found.agreement_top1 is not None
    assert abs(found.top1 - found.float_top1) <= 1.0
    assert found.agreement_top1 >= 98.0
    assert evaluated.alarms == ()


def test_every_layer_is_compared(evaluated: Evaluation) -> None:
    assert [row.layer.name for row in evaluated.rows if row.sqnr_db is None and not row.identical] == []


def test_json_of_a_real_evaluation(evaluated: Evaluation) -> None:
    found: dict[str, Any] = json.loads(as_json(evaluated, ()))
    assert found["images"] == 200
    assert found["quantized"]["top5"] is not None
    changed = {entry["name"] for entry in found["changed"]}
    assert len(changed) == round(200 * (1 - found["agreement_top1"] / 100))
