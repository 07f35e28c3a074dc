"""`xportdnn fold` and `--fold` as a user meets them: files, streams, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pytest

from tests import board
from tests.folding.nets import given, outputs
from tests.folding.test_patterns import bn, fc, relu, scale
from tests.small_nets import Files, conv, data, layer, write_net, write_pictures
from xportdnn import cli
from xportdnn.caffemodel import read
from xportdnn.folding.command import fold_files
from xportdnn.journal import Journal

BODY = (
    conv("conv1", "data", "conv1", 4, "kernel_size: 3 bias_term: false")
    + bn("conv1", "conv1", "bn1")
    + scale("conv1", "conv1", "scale1")
    + relu("conv1", "conv1")
    + layer("pool", "Pooling", "conv1", "pool", "pooling_param { pool: AVE kernel_size: 2 stride: 2 }")
    + layer("drop", "Dropout", "pool", "drop")
    + fc("drop", "fc")
)
NET = data(1, 3, 10, 12) + BODY
FOLDED = ["conv1", "relu", "pool", "fc"]


class Ended(NamedTuple):
    """A run of the command line."""

    code: int
    stdout: bytes
    lines: list[str]


Run: TypeAlias = Callable[..., Ended]


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs the command line in this process."""

    def call(*arguments: object) -> Ended:
        capfdbinary.readouterr()
        code = cli._run([str(argument) for argument in arguments], debug=False)
        out, err = capfdbinary.readouterr()
        return Ended(code, out, err.decode().splitlines())

    return call


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return write_net(tmp_path, NET)


class Targets(NamedTuple):
    """Where the folded network goes."""

    deploy: Path
    weights: Path

    @property
    def arguments(self) -> list[str]:
        return ["--folded_deploy_model", str(self.deploy), "--folded_weights", str(self.weights)]


@pytest.fixture
def targets(tmp_path: Path) -> Targets:
    return Targets(tmp_path / "out" / "folded.prototxt", tmp_path / "out" / "folded.caffemodel")


def layers(path: Path) -> list[str]:
    """The names of the layers in a prototxt."""
    return [each.name for each in board.parse(path.read_text()).layer][1:]


class TestCommand:
    def test_both_files_are_written_and_said(self, run: Run, files: Files, targets: Targets) -> None:
        ended = run("fold", *files.arguments, *targets.arguments)
        assert (ended.code, ended.stdout) == (0, b"")
        assert layers(targets.deploy) == FOLDED
        assert [(each.name, each.type) for each in read(targets.weights).layers] == [
            ("conv1", "Convolution"), ("fc", "InnerProduct"),
        ]  # fmt: skip
        assert ended.lines[0] == f"xportdnn: {files.deploy}: 1 BatchNorm and 1 Scale folded, 1 Dropout dropped"
        assert ended.lines[1].startswith(
            f"xportdnn: {files.deploy}: the folded network gives the same on random inputs"
        )
        assert ended.lines[2:] == [
            f"xportdnn: {targets.deploy}: 5 layers, {targets.deploy.stat().st_size} bytes",
            f"xportdnn: {targets.weights}: 2 layers with weights",
        ]

    def test_the_files_compute_the_same(self, run: Run, files: Files, targets: Targets) -> None:
        run("fold", *files.arguments, *targets.arguments)
        inputs = given(fold_files(str(files.deploy), str(files.weights), (), None, Journal()))
        before = outputs(files.deploy, files.weights, inputs)["fc"]
        after = outputs(targets.deploy, targets.weights, inputs)["fc"]
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * np.abs(before).max())

    def test_nothing_to_fold(self, run: Run, tmp_path: Path, targets: Targets) -> None:
        files = write_net(tmp_path, data(1, 3, 5, 6) + conv("conv", "data", "conv", 4))
        ended = run("fold", *files.arguments, *targets.arguments)
        assert ended.code == 0
        assert ended.lines[0] == f"xportdnn: {files.deploy}: there is nothing to fold"
        assert targets.deploy.read_bytes() == files.deploy.read_bytes()
        assert layers(targets.deploy) == ["conv"]
        assert [each.name for each in read(targets.weights).layers] == ["conv"]

    def test_a_given_input(self, run: Run, files: Files, targets: Targets, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.ones((1, 3, 10, 12), np.float32))
        ended = run("fold", *files.arguments, *targets.arguments, "--input", tmp_path / "x.npy")
        assert ended.code == 0
        assert "the folded network gives the same on the given inputs" in ended.lines[1]

    def test_dims(self, run: Run, tmp_path: Path, targets: Targets) -> None:
        files = write_net(tmp_path, layer("data", "Input", "", "data") + BODY, dims=(3, 10, 12))
        ended = run("fold", *files.arguments, *targets.arguments)
        assert (ended.code, len(ended.lines)) == (2, 1)
        assert "input 'data' has no shape" in ended.lines[0]
        assert "give --dims C,H,W" in ended.lines[0]
        assert run("fold", *files.arguments, *targets.arguments, "--dims", "3,10,12").code == 0
        assert layers(targets.deploy) == FOLDED

    @pytest.mark.parametrize("option", ["--folded_deploy_model", "--folded_weights"])
    def test_standard_output(self, run: Run, files: Files, targets: Targets, option: str) -> None:
        run("fold", *files.arguments, *targets.arguments)
        expected = (targets.deploy if option == "--folded_deploy_model" else targets.weights).read_bytes()
        assert run("fold", *files.arguments, *targets.arguments, option, "-").stdout == expected

    def test_quiet(self, run: Run, files: Files, targets: Targets) -> None:
        assert run("fold", *files.arguments, *targets.arguments, "--quiet") == Ended(0, b"", [])

    def test_verbose_names_every_layer(self, run: Run, files: Files, targets: Targets) -> None:
        said = run("fold", *files.arguments, *targets.arguments, "--verbose").lines
        folded = 'layer "bn1" (BatchNorm, line 14) is folded into layer "conv1" (Convolution, line 7)'
        assert f"xportdnn: {folded}" in said

    @pytest.mark.parametrize("option", ["--folded_deploy_model", "--folded_weights", "--input"])
    def test_an_input_is_never_overwritten(self, run: Run, files: Files, targets: Targets, option: str) -> None:
        before = files.weights.read_bytes()
        more = ("--folded_weights", files.deploy) if option == "--input" else (option, files.weights)
        ended = run("fold", *files.arguments, *targets.arguments, *more, "--input", files.deploy)
        assert (ended.code, len(ended.lines)) == (2, 1)
        assert "is an input of this run" in ended.lines[0]
        assert files.weights.read_bytes() == before

    def test_one_place_for_both(self, run: Run, files: Files, targets: Targets) -> None:
        ended = run("fold", *files.arguments, *targets.arguments, "--folded_weights", targets.deploy)
        assert (ended.code, len(ended.lines)) == (2, 1)
        assert "give each a place" in ended.lines[0]

    @pytest.mark.parametrize("option", ["--folded_deploy_model", "--folded_weights"])
    def test_outputs_are_checked_before_any_work(self, run: Run, files: Files, targets: Targets, option: str) -> None:
        files.deploy.write_text("broken {")
        ended = run("fold", *files.arguments, *targets.arguments, option, files.weights / "out")
        assert (ended.code, len(ended.lines)) == (1, 1)
        assert "cannot be written" in ended.lines[0]

    def test_dims_and_input(self, run: Run, files: Files, targets: Targets) -> None:
        ended = run("fold", *files.arguments, *targets.arguments, "--input", "x.npy", "--dims", "3,10,12")
        assert (ended.code, len(ended.lines)) == (2, 1)
        assert "exclude each other" in ended.lines[0]

    def test_what_differs_is_not_written(
        self, run: Run, files: Files, targets: Targets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("xportdnn.folding.proof.LIMIT", 1e-12)
        ended = run("fold", *files.arguments, *targets.arguments)
        assert (ended.code, len(ended.lines)) == (1, 1 + 1)
        assert "nothing was written" in ended.lines[-1]
        assert list(targets.deploy.parent.iterdir()) == []


class TestConversion:
    @pytest.fixture
    def arguments(self, files: Files, targets: Targets, tmp_path: Path) -> list[str]:
        pictures = write_pictures(tmp_path / "pictures", 3)
        return [
            *files.arguments, "--quantized_deploy_model", str(targets.deploy), "--calibration_directory", str(pictures),
            "--calibration_size", "3", "--workers", "1", "--fold", "--folded_weights", str(targets.weights),
        ]  # fmt: skip

    @pytest.mark.parametrize("method", ["xilinx", "mse"])
    def test_thresholds_of_the_folded_network(
        self, run: Run, arguments: list[str], targets: Targets, tmp_path: Path, method: str
    ) -> None:
        ended = run(*arguments, "--threshold_method", method)
        assert (ended.code, ended.stdout) == (0, b"")
        assert any("gives the same on the first picture" in line for line in ended.lines)
        text = targets.deploy.read_text()
        assert layers(targets.deploy) == FOLDED
        assert board.problems(text, "Xilinx") == []
        # the same as folding first and converting then
        early = Targets(tmp_path / "early.prototxt", tmp_path / "early.caffemodel")
        run("fold", *arguments[:4], *early.arguments)
        assert targets.weights.read_bytes() == early.weights.read_bytes()
        later = [*arguments[4:-3], "--deploy_model", str(early.deploy), "--weights", str(early.weights)]
        assert run(*later, "--threshold_method", method).code == 0
        assert targets.deploy.read_text() == text

    def test_dynamic_fixed(self, run: Run, arguments: list[str], targets: Targets) -> None:
        ended = run(*arguments, "--quant_type", "DynamicFixed")
        assert ended.code == 0
        assert any("gives the same on random inputs" in line for line in ended.lines)
        assert layers(targets.deploy) == FOLDED
        assert board.problems(targets.deploy.read_text(), "DynamicFixed") == []
        assert [len(each.blobs) for each in read(targets.weights).layers] == [2, 2]

    def test_dynamic_fixed_without_a_shape(
        self, run: Run, arguments: list[str], targets: Targets, tmp_path: Path
    ) -> None:
        write_net(tmp_path, layer("data", "Input", "", "data") + BODY, dims=(3, 10, 12))
        arguments += ["--quant_type", "DynamicFixed"]
        ended = run(*arguments)
        assert ended.code == 2
        assert "give --dims C,H,W" in ended.lines[-1]
        assert run(*arguments, "--dims", "3,10,12").code == 0
        assert layers(targets.deploy) == FOLDED

    def test_an_input_that_is_not_the_first_layer(
        self, run: Run, arguments: list[str], targets: Targets, tmp_path: Path
    ) -> None:
        text = layer("const", "Parameter", "", "const", "parameter_param { shape { dim: 1 dim: 3 dim: 10 dim: 12 } }")
        text += layer("double", "Power", "const", "twice", "power_param { scale: 2 }") + layer(
            "d", "Dropout", "twice", "t"
        )
        both = data(1, 3, 10, 12) + layer("sum", "Eltwise", "data t", "sum") + BODY.replace('"data"', '"sum"')
        write_net(tmp_path, text + both)
        assert run(*arguments, "--threshold_method", "max").code == 0
        assert layers(targets.deploy) == ["double", "data", "sum", *FOLDED]

    def test_json_says_it(self, run: Run, arguments: list[str]) -> None:
        found = json.loads(run(*arguments, "--json", "-", "--quiet").stdout)
        assert found["options"]["fold"] is True
        assert [each["name"] for each in found["layers"]] == ["data", *FOLDED]
        assert any("1 BatchNorm and 1 Scale folded" in remark["text"] for remark in found["remarks"])

    @pytest.mark.parametrize(
        ("dropped", "message"),
        [
            pytest.param(slice(-2, None), "--fold needs --folded_weights FILE", id="no weights"),
            pytest.param(slice(-3, -2), "--folded_weights needs --fold", id="no fold"),
        ],
    )
    def test_one_without_the_other(self, run: Run, arguments: list[str], dropped: slice, message: str) -> None:
        del arguments[dropped]
        ended = run(*arguments)
        assert (ended.code, len(ended.lines)) == (2, 1)
        assert message in ended.lines[0]

    @pytest.mark.parametrize("option", ["--quantized_deploy_model", "--json"])
    def test_two_outputs_in_one_place(self, run: Run, arguments: list[str], targets: Targets, option: str) -> None:
        ended = run(*arguments, option, targets.weights)
        assert (ended.code, len(ended.lines)) == (2, 1)
        assert "--folded_weights" in ended.lines[0]
        assert option in ended.lines[0]
        assert "name the same file" in ended.lines[0]

    def test_the_weights_are_never_overwritten(self, run: Run, arguments: list[str], files: Files) -> None:
        ended = run(*arguments, "--folded_weights", files.weights)
        assert (ended.code, len(ended.lines)) == (2, 1)
        assert "is an input of this run" in ended.lines[0]

    def test_all_or_nothing(
        self, run: Run, arguments: list[str], targets: Targets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        targets.deploy.parent.mkdir()
        targets.deploy.write_text("old")
        monkeypatch.setattr("xportdnn.modelfile.pieces", disk_full)
        ended = run(*arguments)
        assert ended.code == 1
        assert ended.lines[-1].endswith("folded.caffemodel: cannot be written: No space left on device")
        assert targets.deploy.read_text() == "old"
        assert [path.name for path in targets.deploy.parent.iterdir()] == ["folded.prototxt"]


def disk_full(layers: object) -> Iterator[bytes]:
    yield b"the beginning"
    raise OSError(28, "No space left on device")
