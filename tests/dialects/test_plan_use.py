"""`--dialect json`: the plan by its schema, and the same simulation with it as with the prototxt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.dialects.plan_desk import MODES, RULES, Desk
from tests.small_nets import INCEPTION, PLAIN, RESIDUAL, net_of, write_net, write_pictures
from xportdnn import api, cli, precision
from xportdnn.choices import ScaleClasses
from xportdnn.errors import UsageError
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.run import evaluate
from xportdnn.journal import Journal
from xportdnn.opening import open_net

NETS = {"plain": PLAIN, "residual": RESIDUAL, "inception": INCEPTION}
by_net = pytest.mark.parametrize("text", NETS.values(), ids=NETS)
by_mode = pytest.mark.parametrize("mode", MODES)


@by_net
@by_mode
def test_schema(text: str, mode: str, tmp_path: Path) -> None:
    plan = json.loads(Desk(tmp_path, text, mode).text)
    assert [error.message for error in RULES.iter_errors(plan)] == []
    assert [layer["name"] for layer in plan["layers"]] == [layer.name for layer in net_of(text).layers]
    assert len(plan["pictures"]) == (0 if mode == "fixed" else 3)


@by_net
@by_mode
def test_the_blocks_of_the_prototxt(text: str, mode: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, text, mode)
    assert desk.read() == precision.read(open_net(desk.quantized, Journal()))


def test_same_bytes(tmp_path: Path) -> None:
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    first, second = (Desk(folder, RESIDUAL) for folder in folders)
    assert first.text.replace(str(first.pictures), "") == second.text.replace(str(second.pictures), "")


@pytest.mark.parametrize("how", ScaleClasses, ids=lambda how: how.value)
def test_scale_classes(how: ScaleClasses, tmp_path: Path) -> None:
    """The board ties the sum to what it is of; the original did not."""
    plan = json.loads(Desk(tmp_path, RESIDUAL, scale_classes=how).text)
    members = [{(each["blob"], each["written_by"]) for each in values} for values in plan["scale_classes"]]
    (found,) = (each for each in members if ("sum", "sum") in each)
    inputs = {("left", "left_scale"), ("right", "right")}
    assert found == {("sum", "sum"), ("sum", "sum_relu"), ("swap", "swap")} | (
        inputs if how is ScaleClasses.BOARD else set()
    )


@by_mode
def test_simulate(mode: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, RESIDUAL, mode)
    np.save(tmp_path / "in.npy", np.random.default_rng(5).normal(scale=99, size=(2, 3, 8, 9)).astype(np.float32))
    common = ["--weights", str(desk.float.weights), "--input", str(tmp_path / "in.npy"), "--arithmetic", "integer"]
    plan = ["--plan", str(desk.plan), "--deploy_model", str(desk.float.deploy)]
    for name, model in (("a", plan), ("b", ["--deploy_model", str(desk.quantized)])):
        assert cli._run(["simulate", *model, *common, "--blobs_dir", str(tmp_path / name)], False) == 0
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "b").iterdir())
    for name in names:
        np.testing.assert_array_equal(np.load(tmp_path / "a" / name), np.load(tmp_path / "b" / name))


def test_evaluate(tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN)
    common: dict[str, Any] = {"weights": str(desk.float.weights), "images": str(desk.pictures), "workers": 1}
    planned = evaluate(EvaluationOptions(str(desk.float.deploy), plan=str(desk.plan), **common))
    plain = evaluate(EvaluationOptions(str(desk.quantized), **common))
    assert planned.classified == plain.classified
    assert planned.outputs == plain.outputs


def test_command_line(tmp_path: Path) -> None:
    files, pictures = write_net(tmp_path, PLAIN), write_pictures(tmp_path / "pictures", 2)
    target = tmp_path / "plan.json"
    arguments = ["--dialect", "json", "--calibration_directory", str(pictures), "--workers", "1"]
    assert cli._run([*files.arguments, *arguments, "--quantized_deploy_model", str(target)], False) == 0
    assert RULES.is_valid(json.loads(target.read_bytes()))


def test_fractional_lengths_that_no_plan_holds(tmp_path: Path) -> None:
    files = write_net(tmp_path, PLAIN)
    with pytest.raises(UsageError, match="--fl_bitwidths 2,127,2: a plan holds -126 to 126"):
        api.convert(files.deploy, files.weights, dialect="json", quant_type="DynamicFixed", fl_bitwidths=(2, 127, 2))
