"""Overrides of a shipped network, from the command line, and in the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import board
from tests.overrides.desk import ROOT, Desk, by_method, formats, written
from xportdnn import api, cli
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.run import evaluate
from xportdnn.evaluation.values import report as evaluated
from xportdnn.report import report

DIGITS = ROOT / "sample_models" / "digits_residual"
DIGITS_STEPS: dict[str, Any] = {"mean_value": "0", "input_scale": 1 / 256}
# what scale2a_branch2b writes goes unchanged from the first pooling through the whole first residual block
STAGE = ("scale_conv1", "conv1_relu", "pool1", "scale2a_branch2b", "res2a", "res2a_relu")


def test_a_trained_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = {
        "data": {"threshold": 1},
        "conv1": {"params_threshold": 0.75, "params_bits": 8},
        "scale2a_branch2b": {"threshold": 5.4321, "bits": 8},
        "res3b": {"threshold": "percentile:99.9"},
    }
    out, report_file = tmp_path / "out.prototxt", tmp_path / "out.json"
    arguments = [
        "--deploy_model", str(DIGITS / "deploy.prototxt"), "--weights", str(DIGITS / "digits_residual.caffemodel"),
        "--quantized_deploy_model", str(out), "--calibration_directory", str(ROOT / "calibration" / "digits"),
        "--mean_value", "0", "--input_scale", "0.00390625", "--threshold_method", "max", "--workers", "1",
        "--bitwidths", "6,6,6", "--overrides", str(written(tmp_path, content)), "--json", str(report_file),
        "--skip-layers", "res3b_branch2a,bn3b_branch2a", "--skip_layers", "res3b_relu",
        "--skip_layers", "bn3b_branch2a",
    ]  # fmt: skip
    assert cli._run(arguments, True) == 0
    skipped = ("res3b_branch2a", "bn3b_branch2a", "res3b_relu")
    text = out.read_text(encoding="utf-8")
    assert board.problems(text, "Xilinx", uncalibrated=frozenset(skipped)) == []
    blocks = formats(text)
    assert blocks["conv1"].th_layer_in == 1
    assert (blocks["conv1"].th_params, blocks["conv1"].bw_params) == ((0.75,) * 12, 8)
    for name in STAGE:
        assert (blocks[name].th_layer_out, blocks[name].bw_layer_out) == (5.4321, 8)
    for reader in ("res2a_branch2a", "res3a_branch1", "res3a_branch2a"):
        assert (blocks[reader].th_layer_in, blocks[reader].bw_layer_in, blocks[reader].bw_layer_out) == (5.4321, 8, 6)
    assert set(skipped).isdisjoint(blocks)
    said = capsys.readouterr().err
    assert f'"scale2a_branch2b".threshold 5.4321 holds for the whole scale class: {", ".join(STAGE)}\n' in said
    found = json.loads(report_file.read_bytes())
    assert found["options"]["overrides"] == str(tmp_path / "layers.json")
    assert found["options"]["skip_layers"] == list(skipped)
    asked_for = {each["name"]: each["overridden"] for each in found["layers"] if "overridden" in each}
    assert asked_for == {
        "data": {"threshold": 1.0}, "conv1": {"params_threshold": 0.75, "params_bits": 8},
        "scale2a_branch2b": {"threshold": 5.4321, "bits": 8}, "res3b": {"threshold": "percentile:99.9"},
        **{name: {"float": True} for name in skipped},
    }  # fmt: skip
    thresholds = {(each["blob"], each["written_by"]): each["threshold"] for each in found["blobs"]}
    assert thresholds["res2a", "res2a_relu"] == 5.4321


@by_method
def test_a_trained_network_with_a_layer_in_float(tmp_path: Path, method: str) -> None:
    made = api.convert(
        DIGITS / "deploy.prototxt", DIGITS / "digits_residual.caffemodel", workers=1,
        calibration_directory=ROOT / "calibration" / "digits", threshold_method=method, skip_layers=["conv1", "data"],
        **DIGITS_STEPS,
    )  # fmt: skip
    quantized = tmp_path / "quantized.prototxt"
    quantized.write_text(made.text, encoding="utf-8")
    found = evaluate(
        EvaluationOptions(
            str(quantized), str(DIGITS / "digits_residual.caffemodel"), str(ROOT / "calibration" / "digits_test"),
            images_size=3, workers=1, **DIGITS_STEPS,
        )
    )  # fmt: skip
    layers = {each["name"]: each for each in evaluated(found, ())["layers"]}
    assert layers["conv1"]["identical"]
    assert not layers["bn_conv1"]["identical"]


def test_the_file_is_never_overwritten(plain: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(plain.folder, {"conv1": {"bits": 8}})
    arguments = [
        *plain.files.arguments, "--quantized_deploy_model", str(path), "--overrides", str(path),
        "--calibration_directory", str(plain.pictures),
    ]  # fmt: skip
    assert cli._run(arguments, False) == 2
    assert "is an input of this run" in capsys.readouterr().err
    assert json.loads(path.read_bytes()) == {"conv1": {"bits": 8}}


def test_the_report_in_python(plain: Desk) -> None:
    made = plain.convert({"conv1": {"params_threshold": [1, 2, 3, 4]}}, skip_layers=("pool2",))
    found = report(made, [])
    json.dumps(found, allow_nan=False)
    layers = {each["name"]: each.get("overridden") for each in found["layers"]}
    assert {name: each for name, each in layers.items() if each} == {
        "conv1": {"params_threshold": (1.0, 2.0, 3.0, 4.0)}, "pool2": {"float": True},
    }  # fmt: skip
