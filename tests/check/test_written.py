"""What a conversion says of its own output: once, before calibration where thresholds do not matter, and cheaply."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.small_nets import PLAIN, conv, data, layer, write_net, write_pictures
from xportdnn import api
from xportdnn.check import Finding, Rule, Severity
from xportdnn.check.written import tell
from xportdnn.choices import Mode
from xportdnn.conversion import Conversion
from xportdnn.journal import Journal, Level
from xportdnn.report import as_json, report

ROOT = Path(__file__).parents[2]
CLEAN = PLAIN.replace("num_output: 5 kernel_size: 2", "num_output: 20 kernel_size: 3")
UNABLE = (
    data(1, 3, 10, 12)
    + "# the board has no such thing\n"
    + conv("c", "data", "c", 4, "kernel_size: 3")
    + layer("p", "PReLU", "c", "c")
    + layer("l", "LRN", "c", "l")
    + layer("q", "PReLU", "l", "q")
    + conv("d", "q", "d", 5)
)


class Heard:
    """A journal that keeps the order of remarks and progress bars."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.journal = Journal(lambda remark: self.events.append(remark.text), self.progress)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[], None]]:
        self.events.append(f"bar: {title}")
        yield lambda: None

    @property
    def findings(self) -> list[str]:
        return [event for event in self.events if "[" in event and event.startswith("the board")]


def converted(folder: Path, text: str, heard: Heard, **options: Any) -> Conversion:
    files = write_net(folder, text)
    if options.get("quant_type") is not Mode.DYNAMIC_FIXED:
        options["calibration_directory"] = write_pictures(folder / "pictures", 2)
    return api.convert(files.deploy, files.weights, journal=heard.journal, workers=1, **options)


def test_nothing_is_said_of_a_network_that_the_board_runs(tmp_path: Path) -> None:
    heard = Heard()
    assert converted(tmp_path, CLEAN, heard, threshold_method="max", bitwidths=(8, 8, 8)).findings == ()
    assert heard.findings == []


@pytest.mark.parametrize("method", ["xilinx", "max"])
def test_what_the_board_cannot_do_is_named_before_the_calibration_and_once(tmp_path: Path, method: str) -> None:
    heard = Heard()
    made = converted(tmp_path, UNABLE, heard, threshold_method=method)
    said = [event for event in heard.events if "[unregistered-type]" in event]
    (remedy,) = {finding.rule.remedy for finding in made.foreseen if finding.rule.id == "unregistered-type"}
    assert [event.rpartition("]: ")[2] for event in said] == [
        "p (PReLU, line 17), q (PReLU, line 29)",
        f"l (LRN, line 23). {remedy.rstrip('.')}",
    ]
    assert all(event.startswith("the board's software stops: the board knows no type ") for event in said)
    bar = next(at for at, event in enumerate(heard.events) if event.startswith("bar: "))
    assert all(heard.events.index(event) < bar for event in said)
    assert {finding.layer for finding in made.foreseen if finding.rule.id == "unregistered-type"} == {"p", "l", "q"}


def test_what_depends_on_thresholds_is_said_at_the_end(tmp_path: Path) -> None:
    """Guards would raise the threshold to a whole number."""
    text = data(1, 3, 10, 12) + conv("c", "data", "c", 4) + layer("n", "BatchNorm", "c", "c")
    text += layer("s", "Scale", "c", "c", "scale_param { bias_term: true }") + conv("d", "c", "d", 5)
    heard = Heard()
    made = converted(tmp_path, text, heard, threshold_method="max", guards=False)
    late = [event for event in heard.findings if "[scale-threshold-truncated]" in event]
    assert len(late) == 1
    assert late[0].startswith("the board computes wrong numbers without a word: th_layer_out ")
    assert heard.events.index(late[0]) > heard.events.index("bar: calibrating")
    assert "scale-threshold-truncated" not in {finding.rule.id for finding in made.foreseen}


def test_limits_are_details(tmp_path: Path) -> None:
    text = data(1, 3, 10, 12) + conv("c", "data", "c", 4, "kernel_size: 2")
    heard = Heard()
    made = converted(tmp_path, text, heard, threshold_method="max", bitwidths=(8, 8, 8))
    assert [finding.rule.severity for finding in made.findings] == [Severity.LIMIT]
    levels = {remark.level for remark in heard.journal.remarks if "[kernel-size]" in remark.text}
    assert levels == {Level.DETAIL}


def test_lines_are_those_of_the_users_file(tmp_path: Path) -> None:
    made = converted(tmp_path, UNABLE, Heard(), quant_type=Mode.DYNAMIC_FIXED)
    lines = UNABLE.splitlines()
    places = {finding.layer: lines[finding.line - 1] for finding in made.findings if finding.layer in ("p", "l")}
    assert places == {"p": '  type: "PReLU"', "l": '  type: "LRN"'}


def test_weights_are_looked_at_in_xilinx_mode(tmp_path: Path) -> None:
    """A bias that keeps all that a ReLU lets through small is itself far outside of the output's threshold."""
    text = data(1, 3, 10, 12) + conv("c", "data", "c", 2, "kernel_size: 1") + layer("r", "ReLU", "c", "c")
    text += conv("d", "c", "d", 5, "kernel_size: 1")
    weights = {"c": (np.full((2, 3, 1, 1), 0.001, np.float32), np.array([-900.0, 0.0], np.float32))}
    files = write_net(tmp_path, text, weights)
    pictures = write_pictures(tmp_path / "pictures", 1)
    made = api.convert(files.deploy, files.weights, calibration_directory=pictures, workers=1, guards=False)
    assert ("bias-clipped", "c") in {(finding.rule.id, finding.layer) for finding in made.findings}


def test_the_report_has_them(tmp_path: Path) -> None:
    heard = Heard()
    made = converted(tmp_path, UNABLE, heard, quant_type=Mode.DYNAMIC_FIXED)
    found = report(made, heard.journal.remarks)["findings"]
    assert [(each["rule"], each["layer"], each["line"]) for each in found] == [
        (finding.rule.id, finding.layer, finding.line) for finding in made.findings
    ]
    assert b'"unregistered-type"' in as_json(made, [])


def test_one_sentence_for_many_messages() -> None:
    rule = Rule("some-rule", Severity.WRONG, "Numbers are even", "", "Add 1.", "", lambda subject: iter(()))
    found = [Finding(rule, at, f"l{at}", "ReLU", f"{at} is odd") for at in (1, 3, 5, 7)]
    journal = Journal()
    tell(found, journal)
    (remark,) = journal.remarks
    assert remark == (
        Level.WARNING,
        "the board computes wrong numbers without a word: not so in 4 places: Numbers are even [some-rule]: "
        "l1 (ReLU, line 1), l3 (ReLU, line 3), l5 (ReLU, line 5), l7 (ReLU, line 7). Add 1",
    )


def test_what_was_said_is_not_said_again() -> None:
    rule = Rule("some-rule", Severity.STOPS, "", "", "Add 1.", "", lambda subject: iter(()))
    first, second = (Finding(rule, at, f"l{at}", "ReLU", "no") for at in (1, 3))
    journal = Journal()
    tell((first, second), journal, (first,))
    assert [remark.text for remark in journal.remarks] == [
        "the board's software stops: no [some-rule]: l3 (ReLU, line 3). Add 1"
    ]


# ---- what it costs


def modules(*options: str) -> set[str]:
    """What a DynamicFixed conversion imports."""
    sample = ROOT / "sample_models" / "digits_residual"
    arguments = [
        "--quant_type", "DynamicFixed", "--deploy_model", str(sample / "deploy.prototxt"), "--no_guards",
        "--weights", str(sample / "digits_residual.caffemodel"), "--quantized_deploy_model", os.devnull, *options,
    ]  # fmt: skip
    code = f"import sys; from xportdnn import cli; assert cli._run({arguments!r}, True) == 0; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_dynamic_fixed_needs_no_numpy_for_its_rules() -> None:
    assert "xportdnn.check.rules" in modules()
    assert "numpy" not in modules()


def test_nobody_looks_for_what_nobody_will_read() -> None:
    assert not any(name.startswith("xportdnn.check") for name in modules("--quiet"))
