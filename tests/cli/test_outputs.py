"""What is written: the same bytes in every run, to where it was asked for, over no input, and nothing half."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.desk import Desk, Run
from xportdnn.version import __version__

# ---- reproducible


@pytest.mark.parametrize("method", ["xilinx", "mse"])
def test_the_same_bytes_whatever_the_order_on_disk(desk: Desk, run: Run, method: str) -> None:
    shuffled = desk.folder / "shuffled"
    shuffled.mkdir()
    for name in ("5.png", "0.png", "7.png", "2.png", "6.png", "1.png", "4.png", "3.png"):
        shutil.copy(desk.pictures / name, shuffled)
    results = {
        run(*desk.options("-", "--threshold_method", method, "--calibration_directory", folder)).stdout
        for folder in (desk.pictures, shuffled, desk.pictures)
    }
    assert len(results) == 1


def test_the_json_is_the_same_too(desk: Desk, run: Run) -> None:
    first, second = (run(*desk.options(None, "--json", "-")).stdout for _ in range(2))
    assert first == second


# ---- output files


def test_json_on_standard_output(desk: Desk, run: Run) -> None:
    ended = run(*desk.options(None, "--json", "-", "--quiet"))
    assert (ended.code, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    assert [each["name"] for each in found["layers"]][:2] == ["data", "conv1"]


def test_json_into_a_file(desk: Desk, run: Run) -> None:
    run(*desk.options(None, "--json", desk.folder / "deep" / "out.json"))
    assert json.loads((desk.folder / "deep" / "out.json").read_bytes())["xportdnn"] == __version__


@pytest.mark.parametrize("name", ["deploy.prototxt", "net.caffemodel"])
@pytest.mark.parametrize("option", ["--quantized_deploy_model", "--json"])
def test_an_input_is_never_overwritten(desk: Desk, run: Run, name: str, option: str) -> None:
    before = (desk.folder / name).read_bytes()
    ended = run(*desk.options(None, option, desk.folder / "pictures" / ".." / name))
    assert ended.code == 2
    assert "is an input of this run; give the output another name" in ended.stderr
    assert (desk.folder / name).read_bytes() == before


def test_outputs_are_checked_before_any_work(desk: Desk, run: Run) -> None:
    desk.folder.joinpath("deploy.prototxt").write_text("broken {")
    for option in ("--quantized_deploy_model", "--json"):
        ended = run(*desk.options(None, option, desk.folder / "net.caffemodel" / "out"))
        assert ended.code == 1
        assert "cannot be written" in ended.stderr
        assert len(ended.lines) == 1


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [("-", "-", "cannot both be standard output"), ("same", "same", "name the same file")],
)
def test_two_outputs_in_one_place(desk: Desk, run: Run, first: str, second: str, message: str) -> None:
    ended = run(*desk.options(first, "--json", second))
    assert ended.code == 2
    assert message in ended.stderr


def test_a_failed_run_keeps_the_old_output(desk: Desk, run: Run) -> None:
    desk.out.write_text("old")
    assert run(*desk.options(None, "--dims", "3,1,1")).code == 1
    assert desk.out.read_text() == "old"
