"""`xportdnn evaluate`: what goes where, and preprocessing remembered from the conversion."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import click
import numpy as np
import pytest

from tests.evaluation.nets import CLASSIFIER, HAS_REPORT, ROOT
from tests.small_nets import Files, write_net, write_pictures
from xportdnn import cli
from xportdnn.cli.evaluate import evaluate
from xportdnn.errors import InputError
from xportdnn.evaluation.options import EvaluationOptions, remembered
from xportdnn.options import PREPROCESSING


@dataclass(frozen=True)
class Ended:
    """A run of the command line."""

    code: int
    stdout: str
    stderr: str


Run: TypeAlias = Callable[..., Ended]
STEPS = ("--raw_scale", "2", "--mean_value", "0.5,0.25,0.75", "--input_scale", "0.25", "--channel_swap", "1,0,2")


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process."""

    def call(*arguments: object) -> Ended:
        capfd.readouterr()
        code = cli._run([str(argument) for argument in arguments], False)
        return Ended(code, *capfd.readouterr())

    return call


@dataclass(frozen=True)
class Desk:
    """A converted network, pictures, and the JSON of the conversion."""

    files: Files
    pictures: Path
    json: Path

    @property
    def arguments(self) -> list[str]:
        return ["evaluate", *self.files.arguments, "--images", str(self.pictures), "--workers", "1"]


@pytest.fixture
def desk(tmp_path: Path, run: Run) -> Desk:
    original = tmp_path / "float"
    original.mkdir()
    files = write_net(original, CLASSIFIER)
    pictures = write_pictures(tmp_path / "pictures", 3, (5, 6))
    ours, told = tmp_path / "quantized.prototxt", tmp_path / "conversion.json"
    ended = run(
        *files.arguments, "--calibration_directory", pictures, "--bitwidths", "8,8,8", "--threshold_method", "max",
        "--quantized_deploy_model", ours, "--json", told, "--workers", 1, *STEPS,
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    return Desk(Files(ours, files.weights), pictures, told)


def measured(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_the_table_is_the_product(desk: Desk, run: Run) -> None:
    ended = run(*desk.arguments, *STEPS)
    assert ended.code == 0
    assert ended.stdout.startswith(f"{desk.files.deploy}: 3 pictures, fake arithmetic\n")
    assert "the network is fed (pixel * 2 - mean [0.5, 0.25, 0.75]) * 0.25, channels 1,0,2" in ended.stderr


def test_quiet_says_nothing(desk: Desk, run: Run) -> None:
    assert run(*desk.arguments, *STEPS, "--quiet") == Ended(0, "", "")


def test_json_to_standard_output_stands_alone(desk: Desk, run: Run) -> None:
    ended = run(*desk.arguments, *STEPS, "--json", "-")
    assert json.loads(ended.stdout)["images"] == 3


@pytest.mark.skipif(not HAS_REPORT, reason="the extra 'report' is not installed")
def test_files_are_written_and_named(desk: Desk, run: Run, tmp_path: Path) -> None:
    told, page = tmp_path / "out" / "x.json", tmp_path / "x.html"
    ended = run(*desk.arguments, *STEPS, "--json", told, "--report", page)
    assert ended.code == 0
    assert measured(told)["images"] == 3
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert f"{told}: written" in ended.stderr
    assert f"{page}: written" in ended.stderr


def test_like_a_conversion(desk: Desk, run: Run, tmp_path: Path) -> None:
    like, spelled, other = (tmp_path / f"{name}.json" for name in ("like", "spelled", "other"))
    assert run(*desk.arguments, "--like", desk.json, "--json", like).code == 0
    assert run(*desk.arguments, *STEPS, "--json", spelled).code == 0
    assert run(*desk.arguments, "--json", other).code == 0
    assert like.read_bytes() == spelled.read_bytes()
    assert measured(like)["layers"] != measured(other)["layers"]


def test_options_go_before_like(desk: Desk, run: Run, tmp_path: Path) -> None:
    told = tmp_path / "x.json"
    assert run(*desk.arguments, "--like", desk.json, "--raw-scale", 3, "--json", told).code == 0
    options = measured(told)["options"]
    assert options["raw_scale"] == 3
    assert options["mean_value"] == "0.5,0.25,0.75"
    assert options["channel_swap"] == [1, 0, 2]


def test_a_mean_file_is_found_beside_the_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    np.save(folder / "mean.npy", np.zeros(3, np.float32))
    options: dict[str, Any] = dict.fromkeys(PREPROCESSING) | {"mean_value": "mean.npy", "dims": [3, 6, 5]}
    (folder / "x.json").write_text(json.dumps({"options": options}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = remembered("there/x.json")
    assert found["mean_value"] == str(Path("there", "mean.npy"))
    assert found["dims"] == (3, 6, 5)
    monkeypatch.chdir(folder)
    assert remembered("x.json")["mean_value"] == "mean.npy"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("{", "this is no JSON"),
        ("[]", "holds no preprocessing"),
        ('{"options": {}}', "holds no"),
    ],
    ids=["absent", "broken", "a list", "another file"],
)
def test_like_something_else(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        remembered(str(path))


def test_labels(desk: Desk, run: Run, tmp_path: Path) -> None:
    labels, told = tmp_path / "labels.txt", tmp_path / "x.json"
    labels.write_text("0.png 1\n1.png 2\n2.png 3\n", encoding="utf-8")
    ended = run(*desk.arguments, *STEPS, "--labels", labels, "--json", told)
    assert ended.code == 0
    assert isinstance(measured(told)["float"]["top1"], float)
    assert "top-1: float" in ended.stdout


def test_a_missing_label_is_an_error(desk: Desk, run: Run, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("0.png 1\n1.png 2\n", encoding="utf-8")
    ended = run(*desk.arguments, *STEPS, "--labels", labels)
    assert ended.code == 1
    assert ended.stdout == ""
    (error,) = (line for line in ended.stderr.splitlines() if "error:" in line)
    assert ended.stderr.endswith(f"{error}\n")
    assert "pictures without label: 1, 2.png; labels without picture: 0;" in error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_standard_output_is_full(desk: Desk) -> None:
    command = [sys.executable, "-m", "xportdnn", *desk.arguments, *STEPS]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert (
        ended.stderr.splitlines()[-1] == "xportdnn: error: standard output: cannot be written: No space left on device"
    )


def test_all_files_or_none(desk: Desk, run: Run, tmp_path: Path) -> None:
    """The page is written before the JSON fails, but does not get its name."""
    if not Path("/dev/full").exists() or not HAS_REPORT:
        pytest.skip("there is no device that is always full, or no page")
    target = tmp_path / "page.html"
    assert run(*desk.arguments, *STEPS, "--json", "/dev/full", "--report", target).code == 1
    assert list(tmp_path.glob("*page*")) == []


def test_part_of_the_pictures(desk: Desk, run: Run, tmp_path: Path) -> None:
    told = tmp_path / "x.json"
    assert run(*desk.arguments, *STEPS, "--images_size", 2, "--json", told).code == 0
    assert measured(told)["images"] == 2


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--json", "x", "--report", "x"], 2, "name the same file"),
        (["--only", "everything"], 2, "Invalid value"),
        (["--only", "weights", "--arithmetic", "integer"], 2, "--only keeps one side in float"),
        (["--images_size", "0"], 2, "--images_size must be at least 1"),
    ],
    ids=["one file twice", "no such side", "one side in integers", "no pictures"],
)
def test_usage(desk: Desk, run: Run, more: list[str], code: int, message: str) -> None:
    ended = run(*desk.arguments, *more)
    assert ended.code == code
    assert message in ended.stderr


def test_an_input_is_not_overwritten(desk: Desk, run: Run) -> None:
    before = desk.json.read_bytes()
    ended = run(*desk.arguments, "--like", desk.json, "--json", desk.json)
    assert ended.code == 2
    assert "is an input of this run" in ended.stderr
    assert desk.json.read_bytes() == before


def test_every_option_has_help() -> None:
    assert [parameter.name for parameter in evaluate.params if not getattr(parameter, "help", None)] == []


def test_every_option_reaches_the_evaluation() -> None:
    names = {parameter.name for parameter in evaluate.params if isinstance(parameter, click.Option)}
    others = {"like", "json_file", "report", "quiet", "verbose", "debug"}
    assert names - others == set(EvaluationOptions.__dataclass_fields__)
