"""Options, journal and report of the guards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.guarding.nets import BIASED, CHAIN, CONV, DEEP, RECTIFIED, bright, converted, floats
from tests.small_nets import conv, layer, write_net
from xportdnn.cli import main
from xportdnn.guards.marks import Guard, Mark, sentences
from xportdnn.journal import Level
from xportdnn.report import report


def test_the_original_knows_no_guards_unless_asked(tmp_path: Path) -> None:
    options: dict[str, Any] = {"threshold_method": "max", "scale_classes": "original"}
    assert converted(tmp_path, RECTIFIED, DEEP, **options)[0].marks == ()
    assert converted(tmp_path, RECTIFIED, DEEP, guards=True, **options)[0].marks != ()


def test_widths_that_the_board_does_not_take_have_no_guards(tmp_path: Path) -> None:
    assert converted(tmp_path, RECTIFIED, DEEP, bitwidths=(16, 16, 16), force=True)[0].marks == ()


def test_each_kind_is_said_once_with_its_effect(tmp_path: Path) -> None:
    text = RECTIFIED + conv("d", "c", "d", 2) + layer("dr", "ReLU", "d", "d")
    weights = DEEP | {"d": (floats((0, -10), (0, 0.1)), np.zeros(2, np.float32))}
    made, journal = converted(tmp_path, text, weights, threshold_method="max")
    marks = [mark for mark in made.marks if mark.guard is Guard.WRAP]
    assert [mark.layers[0].name for mark in marks] == ["c", "d"]
    (said,) = [remark for remark in journal.remarks if "32 bits" in remark.text]
    assert said.level is Level.INFO
    assert said.text.endswith(": " + ", ".join(f"{m.layers[0].name} {m.was:.6g} -> {m.fits:.6g}" for m in marks))


def test_the_report_has_them(tmp_path: Path) -> None:
    made, journal = converted(tmp_path, CONV, BIASED, threshold_method="max")
    found = json.loads(json.dumps(report(made, journal.remarks)))["guards"]
    (mark,) = made.marks
    assert found == [{"guard": "bias", "layers": ["c"], "was": mark.was, "fits": 600.0}]


def test_long_lists_of_layers_are_cut() -> None:
    marks = [Mark(Guard.WRAP, (each,) * 14, 1.0, 2.0) for each in CHAIN.layers[1:2] * 13]
    (said,) = sentences(marks)
    assert said.text.count("c0") == 12 * 12
    assert said.text.count(" and 2 more 1 -> 2") == 12
    assert said.text.endswith(", and 1 more")


def test_no_guards_on_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = write_net(tmp_path, RECTIFIED, DEEP)
    arguments = [
        *files.arguments, "--calibration_directory", str(bright(tmp_path / "pictures")), "--mean_value", "0",
        "--threshold_method", "max", "--calibration_size", "2", "--workers", "1", "--quantized_deploy_model",
        str(tmp_path / "out.prototxt"),
    ]  # fmt: skip
    for more, told in (([], True), (["--guards"], True), (["--no_guards"], False), (["--no-guards"], False)):
        with pytest.raises(SystemExit) as done:
            main([*arguments, *more])
        assert done.value.code == 0
        assert ("32 bits" in capfd.readouterr().err) is told
