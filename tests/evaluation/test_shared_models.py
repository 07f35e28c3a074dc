"""A real network whose weak place is known: the pooled logits that share the last convolution's scale."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.nets import ROOT
from xportdnn import convert
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.result import Evaluation
from xportdnn.evaluation.run import evaluate

SHARED = ROOT.parent / "shared"
MODEL, IMAGES = SHARED / "models" / "tinysqueeze_imagenet", SHARED / "images" / "imagenet_samples"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """The network at 6 bits over a few photographs."""
    if not (MODEL.is_dir() and IMAGES.is_dir()):
        pytest.skip("../shared with the larger networks is not here")
    weights = MODEL / "tinysqueeze_imagenet.caffemodel"
    done = convert(
        MODEL / "deploy.prototxt", weights, calibration_directory=IMAGES, calibration_size=4, bitwidths=(6, 6, 6),
        threshold_method="mse",
    )  # fmt: skip
    path = tmp_path_factory.mktemp("shared") / "quantized.prototxt"
    path.write_text(done.text, encoding="utf-8")
    return evaluate(
        EvaluationOptions(
            str(path), str(weights), str(IMAGES), str(SHARED / "images" / "imagenet_samples.labels.txt"), images_size=10
        )
    )


def test_the_pooled_logits_are_named(evaluated: Evaluation) -> None:
    by_rule = {finding.rule: finding for finding in reversed(evaluated.findings)}
    assert by_rule["place"].layers == ("pool10",)
    assert by_rule["shared_scale"].layers == ("pool10", "conv10")
    assert by_rule["shared_scale"].text.startswith(
        "activations of pool10, which share the scale of conv10 (averaged afterwards): "
    )


def test_float_accuracy_is_sound(evaluated: Evaluation) -> None:
    """About 58 and 80 per cent of all the photographs; these are ten."""
    found = evaluated.classified
    assert found is not None
    assert found.float_top5 is not None
    assert found.float_top5 >= 60


def test_labels_lie_beside_the_pictures(evaluated: Evaluation) -> None:
    assert [Path(sample.name).suffix for sample in evaluated.tests.samples] == [".JPEG"] * 10
