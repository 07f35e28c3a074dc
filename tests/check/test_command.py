"""`xportdnn check`: streams, exit codes, JSON, what is explained, and that a diff is a diff."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.small_nets import conv, data, layer, write_net
from xportdnn import cli
from xportdnn.check import Severity, all_rules
from xportdnn.check.report import _IN_FULL

ROOT = Path(__file__).parents[2]
DATA = data(1, 3, 9, 11)
BLOCK = (
    "precision_param { bw_layer_in: 8 bw_layer_out: 8 bw_params: 8 fl_layer_in: 4 fl_layer_out: 4 fl_params: 6 "
    'quant_type: "DynamicFixed" }'
)


def quantized(name: str, bottom: str, num_output: int = 4) -> str:
    """A Convolution with a block that nothing can be said against."""
    return conv(name, bottom, name, num_output, f"kernel_size: 3 }}\n{BLOCK[:-2]}")


GOOD = DATA + quantized("one", "data") + quantized("two", "one", 5)
BAD = data(4, 3, 9, 11) + quantized("one", "data") + layer("lrn", "LRN", "one", "lrn") + quantized("two", "lrn", 5)


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


Run: TypeAlias = "Callable[..., Ended]"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process."""

    def call(*arguments: object) -> Ended:
        capfd.readouterr()
        code = cli._run(["check", *map(str, arguments)], debug=False)
        return Ended(code, *capfd.readouterr())

    return call


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a prototxt."""

    def write(text: str) -> Path:
        path = tmp_path / "net.prototxt"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return path

    return write


File: TypeAlias = "Callable[[str], Path]"


def test_help_lists_it(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["--help"], debug=False) == 0
    assert re.search(r"^  check +\S", capfd.readouterr().out, re.MULTILINE)


# ---- findings


def test_a_good_file(run: Run, file: File) -> None:
    path = file(GOOD)
    done = run(path)
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr.startswith(f"xportdnn: {path}: the board runs it: nothing was found")
    assert done.stderr.endswith("were not tried: no caffemodel was given with --weights\n")


def test_findings_are_lines_the_worst_first_with_a_remedy_for_each_rule(run: Run, file: File) -> None:
    path = file(BAD)
    done = run(path)
    assert done.code == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{path}:5: stops: the input is 4x3x9x11: batch 4 instead of 1 [batch]")
    assert lines[1] == "  remedy: Write 1 as first dim."
    assert lines[2].startswith(f"{path}:17: stops: the board knows no type LRN;")
    assert lines[2].endswith('[unregistered-type] (layer "lrn", LRN)')
    assert f"{path}: the board does not run it: stops 2" in done.stderr


def test_what_only_may_be_wrong_is_no_failure(run: Run, file: File) -> None:
    path = file(GOOD.replace("fl_params: 6 ", "", 1))
    done = run(path)
    assert done.code == 0
    assert ": default: has no fl_params (5) [field-missing] (layer" in done.stdout


def test_many_findings_of_one_rule_are_shortened(run: Run, file: File) -> None:
    text = DATA + "".join(layer(f"l{at}", "LRN", "data", f"l{at}") for at in range(_IN_FULL + 3))
    short, full = run(file(text)), run(file(text), "--verbose")
    assert short.stdout.count("[unregistered-type]") == _IN_FULL
    rest = re.search(r"^  the same rule in 3 more places .*: (.*)$", short.stdout, re.MULTILINE)
    assert rest is not None
    assert re.fullmatch(r"l6 \(line \d+\), l7 \(line \d+\), l8 \(line \d+\)", rest[1])
    assert full.stdout.count("[unregistered-type]") == _IN_FULL + 3
    assert "  why: " in full.stdout
    assert "  why: " not in short.stdout


def test_quiet_keeps_the_findings(run: Run, file: File) -> None:
    path = file(BAD)
    assert run(path, "--quiet") == Ended(1, run(path).stdout, "")


def test_standard_input() -> None:
    command = [sys.executable, "-m", "xportdnn", "check", "-"]
    done = subprocess.run(command, input=BAD, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("<stdin>:5: stops: ")


def test_a_reader_that_leaves_is_no_fault(file: File) -> None:
    command = [sys.executable, "-m", "xportdnn", "check", str(file(BAD))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_names_that_are_no_utf_8_keep_their_bytes(capfdbinary: pytest.CaptureFixture[bytes], file: File) -> None:
    path = file(DATA + layer("caf\udce9", "LRN", "data", "x"))
    capfdbinary.readouterr()
    assert cli._run(["check", str(path)], debug=True) == 1
    assert b'(layer "caf\xe9", LRN)' in capfdbinary.readouterr().out


# ---- weights


def test_weights(run: Run, tmp_path: Path) -> None:
    files = write_net(tmp_path, GOOD)
    done = run(files.deploy, "--weights", files.weights)
    assert "not tried" not in done.stderr
    assert run(files.deploy, "--weights", files.weights, "--json").json["not_tried"] == []


def test_weights_of_another_network(run: Run, tmp_path: Path) -> None:
    files = write_net(tmp_path, GOOD)
    files.deploy.write_text(GOOD.replace('"two"', '"second"'))
    done = run(files.deploy, "--weights", files.weights)
    assert done.code == 1
    assert "xportdnn: error: " in done.stderr
    assert "second" in done.stderr
    assert "were not tried: Caffe refuses the network or its weights" in done.stderr


def test_a_file_that_caffe_refuses(run: Run, file: File) -> None:
    done = run(file(DATA + quantized("one", "nothing")))
    assert done.code == 1
    assert "bottom 'nothing' is the top of no layer before it" in done.stderr
    assert "nothing" in done.stdout


# ---- JSON


def test_json(run: Run, file: File) -> None:
    path = file(BAD)
    found = run(path, "--json").json
    assert list(found) == ["xportdnn", "file", "refused", "trouble", "findings", "not_tried"]
    assert (found["file"], found["refused"], found["trouble"]) == (str(path), True, "")
    first, second = found["findings"]
    assert list(first) == ["rule", "severity", "line", "layer", "type", "message", "why", "remedy"]
    assert (first["rule"], first["severity"], first["line"], first["layer"]) == ("batch", "stops", 5, "data")
    assert (second["rule"], second["line"], second["type"]) == ("unregistered-type", 17, "LRN")
    needing = {rule.id for rule in all_rules() if rule.needs in ("weights", "model")}
    assert {each["rule"] for each in found["not_tried"]} == needing
    assert {each["reason"] for each in found["not_tried"]} == {"no caffemodel was given with --weights"}


def test_json_of_a_file_that_caffe_refuses(run: Run, file: File) -> None:
    found = run(file(DATA + quantized("one", "nothing")), "--json").json
    assert found["refused"]
    assert "bottom 'nothing'" in found["trouble"]


def test_json_of_an_input_without_shape(run: Run, file: File) -> None:
    found = run(file(layer("data", "Input", "", "data") + quantized("one", "data")), "--json").json
    assert {each["reason"] for each in found["not_tried"] if each["needs"] == "shapes"} == {
        "the shape of the input is not known"
    }


# ---- rules


def test_explain(run: Run) -> None:
    done = run("--explain", "batch")
    assert done.code == 0
    first, *rest = done.stdout.splitlines()
    assert first == "batch: The batch of the input is 1"
    assert [line.split(":")[0].strip() for line in rest] == ["severity", "why", "remedy", "source"]


def test_explain_all(run: Run) -> None:
    done = run("--explain", "all")
    assert all(f"{rule.id}: {rule.title}\n" in done.stdout for rule in all_rules())


def test_explain_says_the_nearest_names(run: Run) -> None:
    done = run("--explain", "dropout_in_place")
    assert (done.code, done.stdout) == (2, "")
    assert "there is no rule 'dropout_in_place'; the nearest are dropout-not-in-place" in done.stderr


def test_list(run: Run) -> None:
    lines = run("--list").stdout.splitlines()
    assert sorted(line.split()[1] for line in lines) == sorted(rule.id for rule in all_rules())
    order = [severity.name.lower() for severity in Severity]
    severities = [order.index(line.split()[0]) for line in lines]
    assert severities == sorted(severities)


# ---- usage


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "FILE must be given", id="no file"),
        pytest.param(["net.prototxt", "--output", "x"], "give --fix, too", id="output without fix"),
        pytest.param(
            ["net.prototxt", "--fix", "--json", "--output", "-"], "cannot both be standard output", id="two streams"
        ),
    ],
)
def test_usage(run: Run, arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert (done.code, done.stdout) == (2, "")
    assert says in done.stderr


def test_no_such_file(run: Run, tmp_path: Path) -> None:
    done = run(tmp_path / "no.prototxt")
    assert done.code == 1
    assert "cannot be read: No such file or directory" in done.stderr


# ---- fix


def test_fix_prints_a_diff_that_patch_takes(run: Run, file: File, tmp_path: Path) -> None:
    path = file(BAD.removesuffix("\n"))
    done = run(path, "--fix")
    assert done.code == 1  # the LRN is left
    assert path.read_text() == BAD.removesuffix("\n")
    assert "-  input_param { shape { dim: 4 dim: 3 dim: 9 dim: 11 } }\n" in done.stdout
    assert f'xportdnn: {path}:5: the batch of input "data" was 4 and is now 1 [batch]' in done.stderr
    assert f"{path}:17: stops: the board knows no type LRN" in done.stderr
    if patch := shutil.which("patch"):
        subprocess.run([patch, "--quiet", str(path)], input=done.stdout, text=True, check=True)
        assert path.read_text() == BAD.removesuffix("\n").replace("dim: 4", "dim: 1")


def test_fix_writes_beside_the_file(run: Run, file: File, tmp_path: Path) -> None:
    path, target = file(BAD), tmp_path / "new" / "mended.prototxt"
    done = run(path, "--fix", "--output", target)
    assert path.read_text() == BAD
    assert target.read_text() == BAD.replace("dim: 4", "dim: 1")
    assert done.stdout == run(target).stdout
    assert done.code == 1


def test_fix_never_writes_over_its_input(run: Run, file: File) -> None:
    path = file(BAD)
    done = run(path, "--fix", "--output", path)
    assert done.code == 2
    assert path.read_text() == BAD


def test_fix_to_standard_output(run: Run, file: File) -> None:
    done = run(file(BAD), "--fix", "--output", "-")
    assert done.stdout == BAD.replace("dim: 4", "dim: 1")


def test_fix_as_json(run: Run, file: File) -> None:
    path = file(BAD)
    found = run(path, "--fix", "--json").json
    assert [finding["rule"] for finding in found["findings"]] == ["unregistered-type"]
    assert found["mended"] == [
        {"line": 5, "rules": ["batch"], "message": 'the batch of input "data" was 4 and is now 1'}
    ]
    assert found["diff"].startswith(f"--- {path}\n+++ {path}\n@@ ")


def test_fix_of_a_good_file(run: Run, file: File) -> None:
    path = file(GOOD)
    done = run(path, "--fix")
    assert (done.code, done.stdout) == (0, "")
    assert f"xportdnn: {path}: there is nothing that could be mended by itself\n" in done.stderr
