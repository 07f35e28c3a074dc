"""Names of options and commands: how they may be written, which are needed, and what is said of unknown ones."""

from __future__ import annotations

import re

import pytest

from tests.cli.desk import Desk, Ended, Run
from xportdnn.choices import Matrix, Mode
from xportdnn.matrix import table
from xportdnn.version import __version__


def test_hyphens_and_underscores_are_the_same(desk: Desk, run: Run) -> None:
    expected = run(*desk.options("-", "--threshold_method", "max", "--calibration_size", 3)).stdout
    hyphens = [
        re.sub("_", "-", text) if text.startswith("--") else text
        for text in desk.options("-", "--threshold_method", "max", "--calibration_size", 3)
    ]
    assert "--deploy-model" in hyphens
    assert run(*hyphens).stdout == expected
    joined = [f"{name}={text}" for name, text in zip(hyphens[::2], hyphens[1::2], strict=True)]
    assert run(*joined).stdout == expected


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--deploy_modell", "--deploy_model"), ("--deploy-modl", "--deploy_model"), ("--weight", "--weights"),
        ("--bitwidth", "--bitwidths"), ("--calibration_dir", "--calibration_directory"), ("--treshold_method",
        "--threshold_method"), ("--mean_values", "--mean_value"),
    ],
)  # fmt: skip
def test_did_you_mean(run: Run, typed: str, meant: str) -> None:
    ended = run(typed, "x")
    assert ended.code == 2
    assert "Did you mean" in ended.stderr
    assert f"'{meant}'" in ended.stderr
    assert len(ended.lines) == 1


def test_a_mistyped_command(run: Run) -> None:
    ended = run("forwar")
    assert ended.code == 2
    assert "Did you mean 'forward'?" in ended.stderr


def test_a_wrong_choice_names_the_right_ones(run: Run) -> None:
    ended = run("--threshold_method", "entropy")
    assert ended.code == 2
    assert all(method in ended.stderr for method in ("xilinx", "mse", "kl", "percentile", "max"))


@pytest.mark.parametrize("mode", ["DynamicFixed", "dynamicfixed", "DYNAMICFIXED"])
def test_modes_in_any_case(desk: Desk, run: Run, mode: str) -> None:
    assert run(*desk.fixed("--quant_type", mode)).code == 0
    assert 'quant_type: "DynamicFixed"' in desk.out.read_text()


@pytest.mark.parametrize("given", [[], ["--weights", "x"], ["--deploy_model", "x", "--weights", "y"]])
def test_required_options_are_all_named(run: Run, given: list[str]) -> None:
    ended = run(*given)
    assert ended.code == 2
    for name in ("--deploy_model", "--weights", "--quantized_deploy_model"):
        assert (name in ended.stderr) == (name not in given)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(run: Run, option: str) -> None:
    ended = run(option)
    assert (ended.code, ended.stderr) == (0, "")
    assert b"Exit codes: 0 done, 1 bad input, 2 bad usage, 130 interrupted." in ended.stdout
    assert b"(pixel * raw_scale - mean) * input_scale" in ended.stdout


def test_version(run: Run) -> None:
    assert run("--version") == Ended(0, f"xportdnn {__version__}\n".encode(), "")


def test_list_layers(run: Run) -> None:
    ended = run("--list-layers")
    assert (ended.code, ended.stderr) == (0, "")
    rows = [tuple(re.split(r"  +", line.strip())) for line in ended.stdout.decode().splitlines() if line]
    modes = tuple(mode.value for mode in Mode)
    assert rows == [
        row for matrix in Matrix for row in ((f"--matrix {matrix.value}", *modes), *table(matrix))
    ]  # fmt: skip
