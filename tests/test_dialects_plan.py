"""`--dialect json`: the plan by its schema, and the same simulation with it as with the prototxt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from tests.small_nets import INCEPTION, PLAIN, RESIDUAL, Files, net_of, write_net, write_pictures
from xportdnn import api, cli, precision
from xportdnn.choices import ScaleClasses
from xportdnn.dialects import planfile
from xportdnn.errors import InputError
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.run import evaluate
from xportdnn.journal import Journal
from xportdnn.opening import open_net

SCHEMA = json.loads((Path(__file__).parents[1] / "schemas" / "plan.schema.json").read_bytes())
RULES = jsonschema.Draft202012Validator(SCHEMA)
NETS = {"plain": PLAIN, "residual": RESIDUAL, "inception": INCEPTION}
MODES: dict[str, dict[str, Any]] = {
    "xilinx": {},
    "fixed": {"quant_type": "DynamicFixed", "fl_bitwidths": (3, -1, 4)},
    "auto": {"quant_type": "DynamicFixed", "fl_bitwidths": "auto"},
}
by_net = pytest.mark.parametrize("text", NETS.values(), ids=NETS)
by_mode = pytest.mark.parametrize("mode", MODES)


class Desk:
    """A network with pictures, and its plan on disk beside its quantized prototxt."""

    def __init__(self, folder: Path, text: str, mode: str = "xilinx", **options: Any) -> None:
        net = net_of(text)
        *_, height, width = net.declared[net.inputs[0]]
        self.float = write_net(folder, text)
        self.pictures = write_pictures(folder / "pictures", 3, (width, height))
        options = {"bitwidths": (8, 6, 8), "workers": 1, "calibration_directory": self.pictures} | options
        files = self.float.deploy, self.float.weights
        self.text = api.convert(*files, dialect="json", **MODES[mode] | options).text
        self.plan, self.quantized = folder / "plan.json", folder / "quantized.prototxt"
        self.plan.write_text(self.text, encoding="utf-8")
        self.quantized.write_text(api.convert(*files, **MODES[mode] | options).text, encoding="utf-8")

    def read(self, journal: Journal | None = None, weights: str | None = None) -> dict[int, precision.Precision]:
        net = open_net(self.float.deploy, Journal())
        return planfile.read(str(self.plan), net, weights, journal or Journal())


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


def test_another_prototxt(tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN, "fixed")
    desk.float.deploy.write_text(f"# changed\n{PLAIN}", encoding="utf-8")
    with pytest.raises(InputError, match="is the plan of another prototxt"):
        desk.read()


def test_another_caffemodel(tmp_path: Path) -> None:
    desk, journal = Desk(tmp_path, PLAIN, "fixed"), Journal()
    desk.read(journal, str(desk.float.weights))
    assert journal.remarks == []
    other: Files = write_net(tmp_path, PLAIN, {"conv1": (np.ones((4, 3, 3, 3), np.float32), np.ones(4, np.float32))})
    desk.read(journal, str(other.weights))
    assert ["another caffemodel" in remark.text for remark in journal.remarks] == [True]


def changed(desk: Desk, key: str, value: object) -> None:
    plan = json.loads(desk.text)
    plan[key] = value
    desk.plan.write_text(json.dumps(plan), encoding="utf-8")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("format", "xportdnn.report", "this is no plan"),
        ("version", 2, "plans of version 2 are not known"),
        ("layers", {}, "the plan is damaged"),
        ("layers", [3], "the plan is damaged"),
        ("weights", None, "the plan is damaged"),
        ("layers", [], "of another prototxt"),
    ],
    ids=["report", "version", "no-list", "no-layer", "no-weights", "no-layers"],
)
def test_damage(key: str, value: object, said: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN, "fixed")
    changed(desk, key, value)
    with pytest.raises(InputError, match=said):
        desk.read()


@pytest.mark.parametrize(
    ("name", "value"),
    [("bw_params", 8.5), ("th_params", 3), ("th_layer_in", "1"), ("quant_type", "xilinx"), ("bw_parms", 8)],
    ids=["no-integer", "no-list", "text", "mode", "name"],
)
def test_wrong_values(name: str, value: object, tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN, "fixed")
    plan = json.loads(desk.text)
    plan["layers"][1]["precision_param"][name] = value
    desk.plan.write_text(json.dumps(plan), encoding="utf-8")
    assert not RULES.is_valid(plan)
    with pytest.raises(InputError, match=f"{name} cannot be"):
        desk.read()


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), ("{", "this is no JSON")], ids=["absent", "no-json"]
)
def test_no_plan_at_all(content: str | None, said: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN, "fixed")
    desk.plan.unlink()
    if content is not None:
        desk.plan.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        desk.read()
