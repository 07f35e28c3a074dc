"""The networks that are shipped: both modes, every method, and the accuracy that their README states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import board
from xportdnn import api
from xportdnn.choices import THRESHOLD_METHODS, Matrix, ScaleClasses
from xportdnn.journal import Journal, Level
from xportdnn.layers import Array
from xportdnn.options import Options
from xportdnn.pictures import calibration_set

ROOT = Path(__file__).parents[1]
SAMPLES, PICTURES = ROOT / "sample_models", ROOT / "calibration"
README = (SAMPLES / "README.md").read_text(encoding="utf-8")

NAMES = sorted(path.parent.name for path in SAMPLES.glob("*/deploy.prototxt"))
PREPROCESSING: Mapping[str, Mapping[str, Any]] = {
    "digits": {"dims": (1, 24, 24), "raw_scale": 255.0, "mean_value": "0", "input_scale": 1 / 256},
    "shapes": {
        "dims": (3, 32, 32), "raw_scale": 255.0, "mean_value": "104,117,123", "channel_swap": (2, 1, 0),
    },
}  # fmt: skip
# What the board cannot do in these networks, or computes wrongly, whoever converts them.
LIMITS = {
    "digits_plain": {"average-channels", "average-pooling-border"},
    "shapes_depthwise": {"depthwise-xilinx"},
    "shapes_inception": {"unregistered-type", "average-channels"},
}
by_name = pytest.mark.parametrize("name", NAMES)


def files(name: str) -> tuple[Path, Path]:
    return SAMPLES / name / "deploy.prototxt", SAMPLES / name / f"{name}.caffemodel"


def kind(name: str) -> str:
    """What the network looks at: digits or shapes."""
    return name.split("_")[0]


def converted(name: str, **options: Any) -> tuple[str, list[str]]:
    """The text, and what was warned of besides the limits."""
    journal = Journal()
    made = api.convert(*files(name), journal=journal, workers=1, **options)
    assert made.missing == ()
    warnings = [remark.text for remark in journal.remarks if remark.level is Level.WARNING]
    known = [f"[{rule}]" for rule in LIMITS.get(name, ())]
    return made.text, [text for text in warnings if not any(mark in text for mark in known)]


def calibrated(name: str, **options: Any) -> tuple[str, list[str]]:
    return converted(name, calibration_directory=PICTURES / kind(name), **PREPROCESSING[kind(name)], **options)


def test_there_are_at_least_four() -> None:
    assert {"digits_plain", "digits_residual", "shapes_depthwise", "shapes_inception"} <= set(NAMES)
    assert all(f"| `{name}` |" in README for name in NAMES)


@by_name
@pytest.mark.parametrize("method", THRESHOLD_METHODS)
def test_xilinx(name: str, method: str) -> None:
    text, warnings = calibrated(name, threshold_method=method, bitwidths=(8, 8, 8))
    assert board.problems(text, "Xilinx") == []
    assert warnings == []


@by_name
def test_xilinx_with_the_parsers_table(name: str) -> None:
    text, warnings = calibrated(name, threshold_method="max", matrix=Matrix.PARSER)
    assert board.problems(text, "Xilinx", "parser") == []
    assert warnings == []


@by_name
def test_the_originals_classes_fail_the_board_at_sums_only(name: str) -> None:
    text, _ = calibrated(name, scale_classes=ScaleClasses.ORIGINAL, calibration_size=4)
    # it gave the branches of a sum thresholds of their own, and the board adds integers
    sums = {each.name for each in api.read(*files(name)).net.layers if each.type == "Eltwise"}
    assert {problem.split(":")[0] for problem in board.problems(text, "Xilinx")} == sums


@by_name
@pytest.mark.parametrize("matrix", Matrix)
def test_dynamic_fixed(name: str, matrix: Matrix) -> None:
    text, warnings = converted(name, quant_type="DynamicFixed", bitwidths=(8, 8, 8), matrix=matrix)
    assert board.problems(text, "DynamicFixed", matrix.value) == []
    assert warnings == []


@by_name
def test_32_pictures_are_there_for_calibration(name: str) -> None:
    _, warnings = calibrated(name, threshold_method="max", calibration_size=32)
    assert warnings == []


def labelled(name: str) -> tuple[Array, list[int]]:
    """The labelled pictures as the network gets them, (N, C, H, W), and the class of each."""
    lines = (PICTURES / f"{kind(name)}_test.labels.txt").read_text(encoding="utf-8").split()
    labels = dict(zip(lines[::2], map(int, lines[1::2]), strict=True))
    deploy, weights = files(name)
    options = Options(
        deploy_model=str(deploy),
        weights=str(weights),
        calibration_directory=str(PICTURES / f"{kind(name)}_test"),
        calibration_size=len(labels),
        **PREPROCESSING[kind(name)],
    )
    found, _ = calibration_set(options, api.read(deploy, weights).net, Journal())
    pictures = np.concatenate([array for feeds in found for array in feeds.values()])
    return pictures, [labels[picture.name] for picture in found.choice.pictures]


@by_name
def test_the_accuracy_is_the_one_that_is_stated(name: str) -> None:
    pictures, labels = labelled(name)
    *_, (last, (prob,)) = api.forward(api.read(*files(name)), data=pictures)
    assert last.name == "prob"
    # one row of classes for each place of a detection head: their mean counts
    scores = prob.reshape(len(pictures), -1, prob.shape[-1] if prob.ndim == 3 else prob.shape[1]).mean(axis=1)
    right = int((scores.argmax(axis=1) == labels).sum())
    stated = re.search(rf"\| `{name}` \| (\d+) of (\d+) \(", README)
    assert stated is not None
    assert (right, len(labels)) == (int(stated[1]), int(stated[2]))
