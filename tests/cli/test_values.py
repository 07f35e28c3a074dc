"""Values of options: which are taken, and that the others are bad usage."""

from __future__ import annotations

import re

import pytest

from tests.cli.desk import UNTOUCHED, Desk, Run


@pytest.mark.parametrize(
    "form", [["--fl_bitwidths", "-2,5,-3"], ["--fl_bitwidths=-2,5,-3"], ["--fl-bitwidths", "-2,5,-3"]]
)
def test_negative_fl_bitwidths(desk: Desk, run: Run, form: list[str]) -> None:
    assert run(*desk.fixed(*form)).code == 0
    found = {line.strip() for line in desk.out.read_text().splitlines() if "fl_" in line}
    assert found == {"fl_layer_in: -2", "fl_layer_out: -3", "fl_params: 5"}


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        pytest.param("--bitwidths", "8,8", "'8,8' holds 2 numbers, 3 are needed", id="two numbers"),
        pytest.param("--bitwidths", "8,8,x", "'8,8,x' must be whole numbers with commas", id="a letter"),
        pytest.param("--bitwidths", "8,8,8.5", "must be whole numbers with commas", id="a fraction"),
        pytest.param("--dims", "3,224", "holds 2 numbers, 3 are needed", id="two dims"),
        pytest.param("--dims", "3,0,224", "--dims must be three positive numbers C,H,W, it is 3,0,224", id="0"),
        pytest.param("--calibration_size", "0", "--calibration_size must be at least 1, it is 0", id="no picture"),
        pytest.param("--calibration_size", "x", "'x' is not a valid integer", id="no number"),
        pytest.param("--calibration_indices", "0,99", "index 99 does not exist; .* has 0 to 7", id="index too large"),
        pytest.param("--raw_scale", "nan", "--raw_scale must be a finite number other than 0, it is nan", id="nan"),
        pytest.param("--input_scale", "0", "--input_scale must be a finite number other than 0, it is 0", id="0"),
        pytest.param("--input_scale", "1/256", "'1/256' is not a valid float", id="a formula"),
        pytest.param("--mean_value", "104,117", "has 2 values; the network's input has 3 channels", id="two means"),
        pytest.param("--mean_value", "none.npy", "none.npy cannot be read", id="mean file"),
        pytest.param("--channel_swap", "2,1", "2,1 must hold each channel once|orders 2 channels", id="two channels"),
        pytest.param("--transpose", "0,1,2", "transpose 0,1,2 turns the picture", id="wrong transpose"),
        pytest.param("--workers", "0", "--workers must be at least 1, it is 0", id="no worker"),
        pytest.param("--fl_bitwidths", "2,5,2", "--fl_bitwidths belongs to --quant_type DynamicFixed", id="other mode"),
    ],
)  # fmt: skip
def test_bad_values_are_2(desk: Desk, run: Run, option: str, text: str, message: str) -> None:
    ended = run(*desk.options(None, option, text))
    assert ended.code == 2
    assert re.search(message, ended.stderr)
    assert len(ended.lines) == 1
    assert desk.content == UNTOUCHED


def test_several_contradictions_are_said_together(desk: Desk, run: Run) -> None:
    ended = run(*desk.options(None, "--bitwidths", "5,7,8", "--fl_bitwidths", "1,1,1", "--calibration_size", -1))
    assert ended.code == 2
    assert len(ended.lines) == 5


def test_xilinx_needs_pictures(desk: Desk, run: Run) -> None:
    ended = run(*desk.network, "--quantized_deploy_model", desk.out)
    assert ended.code == 2
    assert "needs calibration images: give --calibration_directory DIR" in ended.stderr


@pytest.mark.parametrize("widths", ["6,6,6", "8,8,8", "8,6,8"])
def test_widths_of_the_board(desk: Desk, run: Run, widths: str) -> None:
    ended = run(*desk.options(None, "--bitwidths", widths))
    assert ended.code == 0
    assert "warning" not in ended.stderr


def test_other_widths_need_force_and_are_warned_about(desk: Desk, run: Run) -> None:
    ended = run(*desk.options(None, "--bitwidths", "7,16,7"))
    assert ended.code == 2
    assert "the board takes 6 or 8, not 7; --force overrides" in ended.stderr
    ended = run(*desk.options(None, "--bitwidths", "7,16,7", "--force"))
    assert ended.code == 0
    assert "xportdnn: warning: --bitwidths: the board takes only 6 and 8 bits, not 7, 16" in ended.lines
    assert {"bw_layer_in: 7", "bw_params: 16"} <= {line.strip() for line in desk.out.read_text().splitlines()}


@pytest.mark.parametrize("bits", ["1", "33", "-8"])
def test_widths_that_no_force_helps(desk: Desk, run: Run, bits: str) -> None:
    ended = run(*desk.options(None, f"--bitwidths={bits},8,8", "--force"))
    assert ended.code == 2
    assert f"{bits} is outside 2 to 32" in ended.stderr


def test_a_first_width_that_is_not_the_third(desk: Desk, run: Run) -> None:
    ended = run(*desk.options(None, "--bitwidths", "8,8,6"))
    assert ended.code == 0
    assert any(
        line.startswith("xportdnn: warning: --bitwidths: a blob has one width, so the third number, 6, is used")
        for line in ended.lines
    )
    assert "bw_layer_in: 8" not in desk.out.read_text()
    # the widths of DynamicFixed are the user's
    ended = run(*desk.fixed("--bitwidths", "8,8,6"))
    assert "--bitwidths" not in ended.stderr
    assert "bw_layer_in: 8" in desk.out.read_text()
