"""`xportdnn simulate` as a user calls it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pytest

from tests.small_nets import PLAIN, Files, write_net, write_pictures
from xportdnn import cli
from xportdnn.cli.conversion import conversion
from xportdnn.cli.simulate import simulate


class Desk(NamedTuple):
    """A quantized network, its pictures and an input."""

    folder: Path
    files: Files
    quantized: Path
    pictures: Path
    input: Path

    @property
    def arguments(self) -> list[str]:
        return ["simulate", "--deploy_model", str(self.quantized), "--weights", str(self.files.weights)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    files = write_net(folder, PLAIN)
    pictures = write_pictures(folder / "pictures", 3)
    quantized = folder / "quantized.prototxt"
    arguments = [*files.arguments, "--calibration_directory", str(pictures), "--calibration_size", "3", "--quiet"]
    done = cli._run([*arguments, "--bitwidths", "8,8,8", "--quantized_deploy_model", str(quantized)], False)
    assert done == 0
    array = np.random.default_rng(0).uniform(-120, 120, (2, 3, 10, 12)).astype(np.float32)
    np.save(folder / "input.npy", array)
    return Desk(folder, files, quantized, pictures, folder / "input.npy")


Run: TypeAlias = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Exit code, and what is said on standard error; nothing is written to standard output."""

    def call(*arguments: object) -> tuple[int, str]:
        code = cli._run([str(argument) for argument in arguments], False)
        out, err = capfd.readouterr()
        assert out == ""
        return code, err

    return call


@pytest.mark.parametrize("arithmetic", ["fake", "integer", "chaidnn"])
def test_an_array(desk: Desk, run: Run, tmp_path: Path, arithmetic: str) -> None:
    code, said = run(*desk.arguments, "--input", desk.input, "--blobs_dir", tmp_path, "--arithmetic", arithmetic)
    assert code == 0, said
    assert np.load(tmp_path / "prob.npy").shape == (2, 6)
    names = {path.name for path in tmp_path.iterdir()}
    assert ("conv1.npy" in names) == (arithmetic != "chaidnn")
    assert "relu1.npy" in names
    assert "\nxportdnn: saturated: " in f"\n{said}"
    assert said.splitlines()[-1] == f"xportdnn: {tmp_path}: {len(names)} files"


def test_one_line_counts_the_losses_and_names_the_worst_layers(desk: Desk, run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "loud.npy", np.full((1, 3, 10, 12), 1000, np.float32))
    _, said = run(*desk.arguments, "--input", tmp_path / "loud.npy", "--blobs_dir", tmp_path / "blobs")
    (line,) = (line for line in said.splitlines() if "saturated" in line)
    counted = re.fullmatch(
        r"xportdnn: saturated: ([\d,]+) of ([\d,]+) values, most in (.*); wrapped: none; "
        r"weights and biases beyond their format: none",
        line,
    )
    assert counted is not None
    assert "data (360)" in counted[3]
    assert 360 <= int(counted[1].replace(",", "")) < int(counted[2].replace(",", ""))


def test_pictures_as_one_batch(desk: Desk, run: Run, tmp_path: Path) -> None:
    code, said = run(*desk.arguments, "--images", desk.pictures, "--images_size", 2, "--blobs_dir", tmp_path)
    assert code == 0, said
    assert np.load(tmp_path / "data.npy").shape == (2, 3, 10, 12)
    assert "2 pictures, 0.png, 1.png" in said


def test_pictures_are_prepared_as_in_the_conversion(desk: Desk, run: Run, tmp_path: Path) -> None:
    options = ["--mean_value", "0", "--raw_scale", "1", "--channel_swap", "0,1,2", "--arithmetic", "chaidnn"]
    run(*desk.arguments, "--images", desk.pictures, *options, "--blobs_dir", tmp_path)
    fed = np.load(tmp_path / "data.npy")
    assert 0 <= fed.min() < 0.1 < 0.9 < fed.max() <= 1


def test_vectors(desk: Desk, run: Run, tmp_path: Path) -> None:
    arguments = ("--input", desk.input, "--vectors", tmp_path, "--c_header", "--arithmetic", "chaidnn")
    code, said = run(*desk.arguments, *arguments)
    assert code == 0, said
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["network"] == str(desk.quantized)
    assert (tmp_path / "conv1.h").exists()
    assert np.load(tmp_path / "conv1__output.npy").dtype == np.int8


def test_warnings_of_the_board_are_said(desk: Desk, run: Run, tmp_path: Path) -> None:
    _, said = run(*desk.arguments, "--input", desk.input, "--blobs_dir", tmp_path, "--arithmetic", "chaidnn")
    assert "xportdnn: warning: the average of 5 channels" in said


def test_quiet_says_nothing(desk: Desk, run: Run, tmp_path: Path) -> None:
    assert run(*desk.arguments, "--input", desk.input, "--blobs_dir", tmp_path, "--quiet") == (0, "")


USAGE = {
    "neither an array nor pictures": (["--blobs_dir", "x"], "either --input FILE.npy or --images DIR"),
    "both": (["--input", "x.npy", "--images", "x", "--blobs_dir", "x"], "either --input FILE.npy or --images DIR"),
    "nothing to write": (["--input", "x.npy"], "there is nothing to write"),
    "no pictures": (["--images", "x", "--images_size", "0", "--blobs_dir", "x"], "must be at least 1, it is 0"),
    "vectors of floats": (["--input", "x.npy", "--vectors", "x"], "--vectors needs integers"),
    "a header alone": (["--input", "x.npy", "--blobs_dir", "x", "--c_header"], "--c_header belongs to --vectors"),
    "one folder for both": (
        ["--input", "x.npy", "--blobs_dir", "x", "--vectors", "x", "--arithmetic", "integer"],
        "name the same folder",
    ),
    "another arithmetic": (["--arithmetic", "float"], "'float' is not one of 'fake', 'integer', 'chaidnn'"),
}


@pytest.mark.parametrize(("options", "message"), USAGE.values(), ids=USAGE)
def test_usage(desk: Desk, run: Run, options: list[str], message: str) -> None:
    code, said = run(*desk.arguments, *options)
    assert code == 2
    assert message in said


def test_a_network_without_formats(desk: Desk, run: Run, tmp_path: Path) -> None:
    code, said = run(
        "simulate", *desk.files.arguments, "--input", desk.input, "--blobs_dir", tmp_path / "blobs"
    )  # fmt: skip
    assert code == 1
    assert "no layer of this file has formats" in said
    assert not (tmp_path / "blobs").exists()


def test_preprocessing_options_are_those_of_the_conversion() -> None:
    theirs = {option.name: option for option in conversion.params}
    names = ("dims", "transpose", "channel_swap", "raw_scale", "mean_value", "input_scale")
    ours = {option.name: option for option in simulate.params}
    for name in names:
        one, two = (options[name].to_info_dict() | {"type": ""} for options in (ours, theirs))
        assert one == two


def test_every_option_has_help() -> None:
    assert [option.name for option in simulate.params if not getattr(option, "help", None)] == []
