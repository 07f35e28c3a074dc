"""The command line as a process: exit codes, what goes to which stream, and what an interruption leaves."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from tests import board
from tests.cli.desk import UNTOUCHED, Desk, Ended, Run, made
from tests.small_nets import conv, data

ROOT = Path(__file__).parents[2]


def started(*arguments: object, **streams: Any) -> subprocess.Popen[bytes]:
    """The command line as a user starts it; a warning of Python's is an error."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    return subprocess.Popen([sys.executable, "-m", "xportdnn", *map(str, arguments)], env=environment, **streams)


def process(*arguments: object) -> Ended:
    """What came of it."""
    with started(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        out, err = running.communicate(timeout=60)
    return Ended(running.returncode, out, err.decode())


# ---- exit codes and streams


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
