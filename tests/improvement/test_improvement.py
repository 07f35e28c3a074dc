"""`fold --equalize` and `--bias_correct`: what is kept, what is said, what is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pytest

from tests import board
from tests.folding.nets import Weights, floats, outputs
from tests.folding.test_patterns import bn, fc, relu
from tests.small_nets import Files, conv, data, layer, write_net, write_pictures
from xportdnn import api, cli
from xportdnn.improvement.judging import Classes, Score

UNEQUAL = (
    data(1, 3, 10, 12)
    + conv("one", "data", "one", 8, "kernel_size: 3 pad: 1")
    + bn("one", "one")
    + relu("one", "one")
    + layer("pool", "Pooling", "one", "pool", "pooling_param { pool: AVE kernel_size: 2 stride: 2 }")
    + conv("two", "pool", "two", 6, "kernel_size: 3 group: 2")
    + relu("two", "two", "relu2")
    + conv("last", "two", "last", 5)
)
SHIFTED = data(1, 3, 10, 12) + conv("one", "data", "one", 4, "kernel_size: 5 bias_term: false")


def unequal() -> Weights:
    """Channels that differ by up to 40, where the next layer makes up for it."""
    rng = np.random.default_rng(1)
    sizes = np.geomspace(1, 1 / 40, 8, dtype=np.float32)
    one = rng.standard_normal((8, 3, 3, 3)).astype(np.float32)
    two = rng.standard_normal((6, 4, 3, 3)).astype(np.float32)
    two[:3] /= sizes[:4].reshape(1, 4, 1, 1)
    two[3:] /= sizes[4:].reshape(1, 4, 1, 1)
    variance = np.square(1 / sizes)
    return {
        "one": (one, rng.standard_normal(8).astype(np.float32)),
        "bn": (np.zeros(8, np.float32), variance, floats(1)),
        "two": (two, np.zeros(6, np.float32)),
    }


def shifted() -> Weights:
    """Next to one large weight, small ones that all round to zero, and would add up to something."""
    weight = np.full((4, 3, 5, 5), 0.4 / 31, np.float32)
    weight[:, 0, 2, 2] = 1
    return {"one": (weight,)}


class Ended(NamedTuple):
    """A run of the command line."""

    code: int
    lines: list[str]

    def said(self, what: str) -> str:
        """The one line that begins so."""
        (line,) = (line for line in self.lines if line.startswith(f"xportdnn: {what}:"))
        return line


Run: TypeAlias = Callable[..., Ended]
PICTURES = ["--raw_scale", "1", "--mean_value", "0", "--workers", "1"]


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """`fold` of a network into out.prototxt and out.caffemodel, in this process."""

    def call(files: Files, *arguments: object) -> Ended:
        capfd.readouterr()
        targets = ["--folded_deploy_model", tmp_path / "out.prototxt", "--folded_weights", tmp_path / "out.caffemodel"]
        given = ["fold", *files.arguments, *targets, *PICTURES, *arguments]
        code = cli._run([str(argument) for argument in given], debug=False)
        return Ended(code, capfd.readouterr().err.splitlines())

    return call


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    return ["--calibration_directory", str(write_pictures(tmp_path / "pictures", 8))]


def written(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "out.prototxt").read_bytes(), (folder / "out.caffemodel").read_bytes()


def decibels(line: str) -> tuple[float, float]:
    """Before and after."""
    before, after = line.split("output SQNR ")[1].split(" dB")[0].split(" -> ")
    return float(before), float(after)


@pytest.mark.parametrize("bits", [6, 8])
def test_equalization_gains_many_decibels(run: Run, tmp_path: Path, pictures: list[str], bits: int) -> None:
    files = write_net(tmp_path, UNEQUAL, unequal())
    ended = run(files, "--equalize", *pictures, "--bitwidths", f"{bits},{bits},{bits}")
    assert ended.code == 0
    line = ended.said("equalize")
    before, after = decibels(line)
    assert " kept: " in line
    assert " on 4 pictures held back (" in line
    assert after > before + 6


def test_the_equalized_files_compute_the_same(run: Run, tmp_path: Path, pictures: list[str]) -> None:
    files = write_net(tmp_path, UNEQUAL, unequal())
    run(files, "--equalize", *pictures)
    inputs = {"data": np.random.default_rng(4).uniform(0, 1, (1, 3, 10, 12)).astype(np.float32)}
    before = outputs(files.deploy, files.weights, inputs)["last"]
    after = outputs(tmp_path / "out.prototxt", tmp_path / "out.caffemodel", inputs)["last"]
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * np.abs(before).max())


def test_bias_correction_removes_a_shift(run: Run, tmp_path: Path, pictures: list[str]) -> None:
    files = write_net(tmp_path, SHIFTED, shifted())
    ended = run(files, "--bias_correct", *pictures)
    line = ended.said("bias_correct")
    before, after = decibels(line)
    assert ended.code == 0
    assert " kept: " in line
    assert "for a conversion of these pictures with --bitwidths 6,6,6 --threshold_method mse" in line
    assert after > before + 6
    assert b"bias_term" not in written(tmp_path)[0]


def test_both_are_told_one_after_the_other(run: Run, tmp_path: Path, pictures: list[str]) -> None:
    files = write_net(tmp_path, UNEQUAL, unequal())
    ended = run(files, "--equalize", "--bias_correct", *pictures)
    assert decibels(ended.said("equalize"))[1] == decibels(ended.said("bias_correct"))[0]


def test_the_board_takes_the_result(run: Run, tmp_path: Path, pictures: list[str]) -> None:
    files = write_net(tmp_path, UNEQUAL, unequal())
    run(files, "--equalize", "--bias_correct", *pictures)
    done = api.convert(
        tmp_path / "out.prototxt", tmp_path / "out.caffemodel",
        calibration_directory=pictures[1], raw_scale=1, mean_value="0", threshold_method="mse",
    )  # fmt: skip
    assert board.problems(done.text, "Xilinx") == []


def test_what_does_not_help_is_not_kept(
    run: Run, tmp_path: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_net(tmp_path, UNEQUAL, unequal())
    run(files)
    plain = written(tmp_path)
    monkeypatch.setattr(Score, "beats", lambda score, other: False)
    ended = run(files, "--equalize", "--bias_correct", *pictures)
    assert ended.said("equalize").startswith("xportdnn: equalize: not kept: output SQNR ")
    assert ended.said("bias_correct").startswith("xportdnn: bias_correct: not kept: output SQNR ")
    assert written(tmp_path) == plain


def test_nothing_to_scale(run: Run, tmp_path: Path, pictures: list[str]) -> None:
    ended = run(write_net(tmp_path, SHIFTED, shifted()), "--equalize", *pictures)
    assert ended.said("equalize").endswith("not kept: no channel can be scaled without changing the outputs")


def test_classes_are_judged_by_agreement_and_divergence(run: Run, tmp_path: Path, pictures: list[str]) -> None:
    text = UNEQUAL + fc("last", "fc") + layer("prob", "Softmax", "fc", "prob")
    line = run(write_net(tmp_path, text, unequal()), "--equalize", *pictures).said("equalize")
    assert ", agreement " in line
    assert ", divergence " in line


def test_workers_change_no_byte(run: Run, tmp_path: Path, pictures: list[str]) -> None:
    files = write_net(tmp_path, UNEQUAL, unequal())
    run(files, "--equalize", "--bias_correct", *pictures)
    alone = written(tmp_path)
    run(files, "--equalize", "--bias_correct", *pictures, "--workers", "3")
    assert written(tmp_path) == alone


def test_outputs_that_change_are_refused(
    run: Run, tmp_path: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_net(tmp_path, UNEQUAL, unequal())
    # a factor for the readers of a blob, and none for those that make it
    monkeypatch.setattr("xportdnn.folding.equalize.after", lambda layer, blobs, affine: blobs)
    ended = run(files, "--equalize", *pictures)
    assert ended.code == 1
    assert "nothing was written" in ended.lines[-1]
    assert not (tmp_path / "out.prototxt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--equalize"], "give --calibration_directory DIR", id="no pictures"),
        pytest.param(["--calibration_directory", "x"], "belongs to --equalize and --bias_correct", id="no flag"),
    ],
)
def test_usage(run: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    ended = run(write_net(tmp_path, SHIFTED, shifted()), *arguments)
    assert (ended.code, len(ended.lines)) == (2, 1)
    assert message in ended.lines[0]


def test_a_single_picture_cannot_be_held_back(run: Run, tmp_path: Path, pictures: list[str]) -> None:
    ended = run(write_net(tmp_path, UNEQUAL, unequal()), "--equalize", *pictures, "--calibration_size", "1")
    assert ended.code == 2
    assert "hold back every second calibration picture" in ended.lines[-1]


@pytest.mark.parametrize(
    ("after", "before", "better"),
    [
        pytest.param(Score(20.2), Score(20.1), True, id="nearer"),
        pytest.param(Score(20.01), Score(20.0), False, id="hardly nearer"),
        pytest.param(Score(19.0), Score(20.0), False, id="farther"),
        pytest.param(Score(math.inf), Score(20.0), True, id="the same as in float"),
        pytest.param(Score(10, Classes(9, 12, 0.1)), Score(20, Classes(9, 12, 0.2)), True, id="classes nearer"),
        pytest.param(Score(10, Classes(8, 12, 0.1)), Score(20, Classes(9, 12, 0.2)), True, id="one class lost"),
        pytest.param(Score(10, Classes(7, 12, 0.1)), Score(20, Classes(9, 12, 0.2)), False, id="two classes lost"),
        pytest.param(Score(30, Classes(12, 12, 0.2)), Score(20, Classes(9, 12, 0.2)), False, id="no nearer"),
    ],
)
def test_what_is_better(after: Score, before: Score, better: bool) -> None:
    assert after.beats(before) is better
