"""What the guards are worth in a larger network."""

from __future__ import annotations

from pathlib import Path

import pytest

from xportdnn import api
from xportdnn.choices import Arithmetic
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.run import evaluate

SHARED = Path(__file__).parents[3] / "shared"
CIFAR = SHARED / "images" / "cifar10_test_jpg"
RESNET = SHARED / "models" / "resnet20_cifar10"


def test_a_network_with_batch_norm_keeps_its_accuracy_on_the_board(tmp_path: Path) -> None:
    """Float is right for about 80 of 100; thresholds cut off behind every Scale cost 30 of them."""
    if not (RESNET.is_dir() and CIFAR.is_dir()):
        pytest.skip("../shared with the larger networks is not here")
    weights = RESNET / "resnet20_cifar10.caffemodel"
    mean = str(RESNET.parent / "cifar10_mean.binaryproto")
    lost = {}
    for guards in (False, True):
        made = api.convert(
            RESNET / "deploy.prototxt", weights, calibration_directory=CIFAR, calibration_size=8, bitwidths=(8, 8, 8),
            channel_swap=(0, 1, 2), mean_value=mean, threshold_method="mse", guards=guards,
        )  # fmt: skip
        path = tmp_path / f"{guards}.prototxt"
        path.write_text(made.text, encoding="utf-8")
        done = evaluate(
            EvaluationOptions(
                str(path), str(weights), str(CIFAR), f"{CIFAR}.labels.txt", images_size=60, channel_swap=(0, 1, 2),
                mean_value=mean, arithmetic=Arithmetic.CHAIDNN,
            )
        )  # fmt: skip
        assert done.classified is not None
        lost[guards] = (done.classified.float_top1 or 0) - (done.classified.top1 or 0)
    assert lost[False] > 15
    assert lost[True] < 5
