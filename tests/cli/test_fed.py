"""What the network is fed: which pictures, in which range, of which size."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.desk import NET, Desk, Run, made
from tests.small_nets import conv, layer, net_of


def test_fewer_pictures_than_asked_for(desk: Desk, run: Run) -> None:
    ended = run(*desk.options(None, "--calibration_size", 20))
    assert ended.code == 0
    assert f"xportdnn: warning: {desk.pictures}: 20 pictures asked for, 8 found and used" in ended.lines


def test_pictures_by_seed_and_by_position(desk: Desk, run: Run) -> None:
    def used(*options: object) -> list[str]:
        found = json.loads(run(*desk.options(None, "--json", "-", *options)).stdout)
        return [picture["name"] for picture in found["calibration"]["pictures"]]

    assert used("--calibration_size", 3) == ["0.png", "1.png", "2.png"]
    assert used("--calibration_indices", "6,1") == ["1.png", "6.png"]
    assert used("--calibration_size", 3, "--calibration_seed", 5) == used(
        "--calibration_seed", 5, "--calibration_size", 3
    )
    assert len({tuple(used("--calibration_size", 3, "--calibration_seed", seed)) for seed in range(6)}) > 1
    ended = run(*desk.options(None, "--calibration_seed", 1, "--calibration_indices", "1"))
    assert ended.code == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--input_scale", "255"], r"far too large.*perhaps --raw_scale 255", id="scaled twice"),
        pytest.param(["--raw_scale", "0.00392", "--mean_value", "0"], r"almost one value", id="within 0.01"),
        pytest.param(
            ["--raw_scale", "1"], r"almost one value.*perhaps --raw_scale 255", id="mean of bytes, not pixels"
        ),
    ],
)
def test_a_range_that_looks_wrong_is_warned_about(desk: Desk, run: Run, options: list[str], message: str) -> None:
    ended = run(*desk.options(None, *options))
    assert ended.code == 0
    (warning,) = [line for line in ended.lines if "warning" in line]
    assert re.search(message, warning)


def test_defaults_that_cannot_apply_are_dropped(tmp_path: Path, run: Run) -> None:
    gray = made(tmp_path, NET.replace("dim: 3", "dim: 1"), "L")
    ended = run(*gray.options())
    assert ended.code == 0
    said = "the network has 1 channel(s): without the default channel_swap 2,1,0 and mean_value 104,117,123"
    assert f"xportdnn: {said}" in ended.lines
    assert any("the network is fed pixel * 255 * 1; 0.png gives " in line for line in ended.lines)


@pytest.mark.parametrize(("option", "text"), [("--channel_swap", "2,1,0"), ("--mean_value", "104,117,123")])
def test_what_was_given_is_never_dropped(tmp_path: Path, run: Run, option: str, text: str) -> None:
    gray = made(tmp_path, NET.replace("dim: 3", "dim: 1"), "L")
    ended = run(*gray.options(None, option, text))
    assert ended.code == 2
    assert text in ended.stderr


def test_other_dims_reshape_the_network_and_are_warned_about(desk: Desk, run: Run) -> None:
    ended = run(*desk.options(None, "--dims", "3,14,20"))
    assert ended.code == 0
    (warning,) = [line for line in ended.lines if "warning" in line]
    assert "--dims 3,14,20 differs from the 3,10,12 of input 'data'" in warning
    # the file keeps its shape
    assert net_of(desk.out.read_text()).declared == net_of(NET).declared


def test_the_same_dims_are_no_news(desk: Desk, run: Run) -> None:
    ended = run(*desk.options(None, "--dims", "3,10,12"))
    assert "warning" not in ended.stderr


def test_dims_of_an_input_without_a_shape(tmp_path: Path, run: Run) -> None:
    bare = made(tmp_path, layer("data", "Input", "", "data") + conv("c", "data", "c", 2), size=(20, 14))
    ended = run(*bare.options(None, "--dims", "3,14,20"))
    assert ended.code == 0
    written = net_of(bare.out.read_text())
    assert written.declared == {written.inputs[0]: (1, 3, 14, 20)}
