"""The command line: exit codes, what goes to which stream, what is said, and that nothing is ever half written."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests import board
from tests.small_nets import PLAIN, conv, data, layer, net_of, write_net, write_pictures
from xportdnn import cli
from xportdnn.choices import Matrix, Mode
from xportdnn.matrix import table
from xportdnn.version import __version__

ROOT = Path(__file__).parents[1]
# nothing can be said against it: the board's AVE pooling has a fault with 1 to 16 channels more than a multiple of 32
NET = PLAIN.replace("num_output: 5 ", "num_output: 20 ")


@dataclass(frozen=True)
class Ended:
    """A run of the command line."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stderr.splitlines()


Run: TypeAlias = "Callable[..., Ended]"


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs the command line in this process."""

    def call(*arguments: object, debug: bool = False) -> Ended:
        capfdbinary.readouterr()
        code = cli._run([str(argument) for argument in arguments], debug)
        out, err = capfdbinary.readouterr()
        return Ended(code, out, err.decode())

    return call


def started(*arguments: object, **streams: Any) -> subprocess.Popen[bytes]:
    """The command line as a user starts it; a warning of Python's is an error."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    return subprocess.Popen([sys.executable, "-m", "xportdnn", *map(str, arguments)], env=environment, **streams)


def process(*arguments: object) -> Ended:
    """What came of it."""
    with started(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        out, err = running.communicate(timeout=60)
    return Ended(running.returncode, out, err.decode())


@dataclass(frozen=True)
class Desk:
    """A folder with a network and pictures."""

    folder: Path
    pictures: Path
    network: Sequence[str]

    @property
    def out(self) -> Path:
        return self.folder / "out.prototxt"

    def options(self, target: object = None, *more: object) -> list[str]:
        """A whole Xilinx run, one process."""
        return [
            *self.network, "--quantized_deploy_model", str(self.out if target is None else target),
            "--calibration_directory", str(self.pictures), "--workers", "1", *map(str, more),
        ]  # fmt: skip

    def fixed(self, *more: object) -> list[str]:
        """A whole DynamicFixed run."""
        return [
            "--quant_type", "DynamicFixed", *self.network, "--quantized_deploy_model", str(self.out), *map(str, more),
        ]  # fmt: skip

    @property
    def content(self) -> list[str]:
        """Names of all files and folders."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.iterdir())


def made(folder: Path, text: str = NET, mode: str = "RGB", count: int = 8, size: tuple[int, int] = (12, 10)) -> Desk:
    files = write_net(folder, text, dims=(1 if mode == "L" else 3, size[1], size[0]))
    return Desk(folder, write_pictures(folder / "pictures", count, size, mode), files.arguments)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return made(tmp_path)


UNTOUCHED = ["deploy.prototxt", "net.caffemodel", "pictures"]


# ---- exit codes and streams, as a process


def test_done_is_0_and_says_what_it_did_on_stderr(desk: Desk) -> None:
    ended = process(*desk.options())
    assert (ended.code, ended.stdout) == (0, b"")
    fed, searched, written = ended.lines
    assert searched.startswith("xportdnn: auto: the thresholds of ")
    assert fed.startswith("xportdnn: the network is fed (pixel * 255 - mean [104, 117, 123]) * 1, channels 2,1,0; ")
    assert re.search(r"; 0.png gives -\d+ .. \d+$", fed)
    assert written == f"xportdnn: {desk.out}: 6 blocks in 8 layers, {desk.out.stat().st_size} bytes"
    assert desk.content == sorted([*UNTOUCHED, "out.prototxt"])
    assert board.problems(desk.out.read_text(), "Xilinx") == []


def test_standard_output_holds_the_prototxt_and_nothing_else(desk: Desk, run: Run) -> None:
    run(*desk.options())
    assert process(*desk.options("-")) == Ended(0, desk.out.read_bytes(), run(*desk.options("-")).stderr)


def test_quiet_says_nothing(desk: Desk) -> None:
    assert process(*desk.options(None, "--quiet", "--calibration_size", 99, "--raw_scale", 0.001)) == Ended(0, b"", "")


def test_bad_input_is_1_in_one_line(desk: Desk) -> None:
    desk.folder.joinpath("deploy.prototxt").write_text("layer {\n  name: 5x\n")
    ended = process(*desk.options())
    deploy = desk.folder / "deploy.prototxt"
    assert ended == Ended(1, b"", f"xportdnn: error: {deploy}:2:9: expected a value for 'name', found '5x'\n")
    assert desk.content == UNTOUCHED


def test_bad_usage_is_2_in_one_line() -> None:
    ended = process("--quant_type", "DynamicFix")
    assert (ended.code, ended.stdout, len(ended.lines)) == (2, b"", 1)


def test_debug_shows_where(desk: Desk) -> None:
    ended = process(*desk.options(None, "--deploy_model", "missing.prototxt", "--debug"))
    assert ended.code == 1
    assert ended.lines[0] == "Traceback (most recent call last):"
    assert ended.lines[-1].startswith("xportdnn.errors.InputError: missing.prototxt: cannot be read")


def test_a_closed_pipe_is_no_traceback(desk: Desk) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with started(*desk.fixed("--quantized_deploy_model", "-"), stdout=theirs, stderr=subprocess.PIPE) as running:
        os.close(theirs)
        _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (1, b"")


@pytest.mark.parametrize("method", ["xilinx", "max"])
def test_a_terminal_gets_a_bar(desk: Desk, method: str) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with started(*desk.options("-", "--threshold_method", method), stdout=subprocess.PIPE, stderr=theirs) as running:
        assert running.stdout is not None
        written = running.stdout.read()
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux ends a terminal
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    assert b"calibrating:   0%" in shown
    assert b"calibrating" not in written


# ---- interruptions


@pytest.fixture
def slow(tmp_path: Path) -> Desk:
    """A network and pictures that take some seconds, each picture a tenth of one."""
    text = data(1, 3, 200, 200) + conv("a", "data", "a", 8, "kernel_size: 7 pad: 3")
    for name, bottom in zip("bcdefghijk", "abcdefghij", strict=True):
        text += conv(name, bottom, name, 8, "kernel_size: 7 pad: 3")
    return made(tmp_path, text, count=60, size=(20, 20))


@pytest.mark.parametrize(
    ("how", "workers"),
    [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1), (signal.SIGKILL, 2)],
    ids=["Ctrl-C", "Ctrl-C, two workers", "terminated", "killed, two workers"],
)
def test_an_end_in_the_middle_leaves_nothing(slow: Desk, how: signal.Signals, workers: int) -> None:
    arguments = slow.options(None, "--threshold_method", "max", "--workers", workers, "--calibration_size", 60)
    arguments += ["--json", str(slow.folder / "out.json")]
    with started(*arguments, stderr=subprocess.PIPE, bufsize=0, start_new_session=True) as running:
        assert running.stderr is not None
        assert b"the network is fed" in running.stderr.readline()
        time.sleep(0.2)
        assert running.poll() is None, "it was done before it could be interrupted"
        # Ctrl-C reaches every process of the group, kill only one
        (os.killpg if how is signal.SIGINT else os.kill)(running.pid, how)
        # stderr ends with the last worker
        _, said = running.communicate(timeout=20)
    assert slow.content == UNTOUCHED
    interrupted = b"xportdnn: error: interrupted, nothing was written"
    assert (running.returncode, said.strip()) == ((130, interrupted) if how is signal.SIGINT else (-how, b""))


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


# ---- names of options


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


# ---- values of options


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


# ---- what is fed


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


# ---- forward


def test_forward_beside_the_conversion(desk: Desk, run: Run) -> None:
    import numpy as np

    np.save(desk.folder / "x.npy", np.zeros((1, 3, 10, 12), np.float32))
    ended = run("forward", *desk.network, "--input", desk.folder / "x.npy", "--blobs-dir", desk.folder / "blobs")
    assert ended.code == 0
    assert sorted(path.stem for path in (desk.folder / "blobs").iterdir()) == sorted(
        each.name for each in net_of(NET).layers
    )


# ---- in case of a fault


def test_a_fault_of_ours_is_called_so(desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("xportdnn.conversion.rewrite", broken)
    ended = run(*desk.fixed())
    expected = "xportdnn: error: this is a fault of xportdnn: ZeroDivisionError: oh; --debug shows where"
    assert (ended.code, ended.lines) == (1, [expected])
    with pytest.raises(ZeroDivisionError):
        run(*desk.fixed(), debug=True)


def test_too_little_memory_is_said(desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr("xportdnn.conversion.rewrite", empty)
    ended = run(*desk.fixed())
    assert ended.code == 1
    assert "out of memory; use fewer pictures" in ended.stderr
