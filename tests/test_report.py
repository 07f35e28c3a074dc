"""The JSON of a conversion: everything decided, the same numbers as in the text, the same bytes for the same inputs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.small_nets import INCEPTION, PLAIN, by_name, conv, data, layer, write_net, write_pictures
from xportdnn import api
from xportdnn.choices import Mode
from xportdnn.conversion import Conversion
from xportdnn.journal import Journal
from xportdnn.report import as_json, report
from xportdnn.version import __version__


def converted(folder: Path, text: str = PLAIN, **options: Any) -> tuple[Conversion, Journal]:
    files = write_net(folder, text)
    if options.get("quant_type") is not Mode.DYNAMIC_FIXED:
        options["calibration_directory"] = write_pictures(folder / "pictures", 3)
    journal = Journal()
    return api.convert(files.deploy, files.weights, journal=journal, workers=1, **options), journal


def reported(folder: Path, text: str = PLAIN, **options: Any) -> dict[str, Any]:
    made, journal = converted(folder, text, **options)
    found: dict[str, Any] = json.loads(as_json(made, journal.remarks))
    return found


def test_what_it_holds(tmp_path: Path) -> None:
    found = reported(tmp_path, calibration_size=2)
    assert list(found) == [
        "xportdnn", "options", "network", "inputs", "calibration", "layers", "blobs", "guards", "findings",
        "left_out", "not_calibrated", "remarks",
    ]  # fmt: skip
    assert found["xportdnn"] == __version__
    assert found["network"] == str(tmp_path / "deploy.prototxt")
    assert found["inputs"] == {"data": [1, 3, 10, 12]}
    assert found["left_out"] == found["not_calibrated"] == []


def test_options_are_those_of_the_command_line(tmp_path: Path) -> None:
    options = reported(tmp_path, bitwidths=(8, 6, 8), channel_swap=(0, 1, 2), threshold_method="kl")["options"]
    expected = {
        "quant_type": "Xilinx", "bitwidths": [8, 6, 8], "channel_swap": [0, 1, 2], "threshold_method": "kl",
        "scale_classes": "board", "matrix": "guide", "mean_value": None, "calibration_size": 8, "dims": None,
    }  # fmt: skip
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize("method", ["xilinx", "mse"])
def test_blocks_are_those_of_the_text(tmp_path: Path, method: str) -> None:
    made, journal = converted(tmp_path, INCEPTION, threshold_method=method)
    found = report(made, journal.remarks)
    blocks = {block.layer.name: dict(block.fields) for block in made.blocks}
    assert [each["name"] for each in found["layers"]] == [each.name for each in made.opened.net.layers]
    for each in found["layers"]:
        assert each["precision_param"] == blocks.get(each["name"])
        assert each["line"] == made.opened.net.source.line(by_name(made.opened.net, each["name"]).entry.start)
    assert sum(each["precision_param"] is not None for each in found["layers"]) == made.text.count("precision_param {")


def test_layers(tmp_path: Path) -> None:
    first, *_, last = reported(tmp_path, threshold_method="max")["layers"]
    assert (first["name"], first["type"], first["line"], first["bottoms"], first["tops"]) == (
        "data", "Input", 1, [], ["data"],
    )  # fmt: skip
    assert (last["name"], last["precision_param"], last["bottoms"]) == ("prob", None, ["fc"])


def test_what_the_rule_said(tmp_path: Path) -> None:
    layers = {each["name"]: each for each in reported(tmp_path, threshold_method="xilinx")["layers"]}
    rule = layers["conv1"]["rule"]
    assert sorted(rule) == ["bins", "index", "max_abs", "th_layer_in", "th_layer_out", "threshold"]
    # 3 pictures of 4 * 8 * 10 values
    assert rule["bins"] == 31
    assert rule["threshold"] == rule["th_layer_out"]
    assert rule["index"] is None or rule["threshold"] == (rule["index"] + 0.5) * rule["max_abs"] / rule["bins"]
    # pooling searches nothing
    assert sorted(layers["pool1"]["rule"]) == ["th_layer_in", "th_layer_out"]


def test_what_the_streaming_pass_saw(tmp_path: Path) -> None:
    found = reported(tmp_path, threshold_method="max")
    assert all("rule" not in each for each in found["layers"])
    blobs = {(each["blob"], each["written_by"]): each for each in found["blobs"]}
    assert set(blobs) == {
        ("data", "data"), ("conv1", "conv1"), ("conv1", "relu1"), ("pool1", "pool1"), ("conv2", "conv2"),
        ("pool2", "pool2"),
    }  # fmt: skip
    pool = blobs["pool1", "pool1"]
    assert pool["scale_class"] == "conv1 (conv1)"
    # of conv1 behind its ReLU, and of pool1
    assert pool["class_count"] == 3 * (4 * 8 * 10 + 4 * 4 * 5)
    assert pool["class_minimum"] == 0.0
    assert pool["class_maximum"] == pool["threshold"]


def test_pictures_have_hashes(tmp_path: Path) -> None:
    found = reported(tmp_path, calibration_size=2)["calibration"]
    assert found["formula"] == "(pixel * 255 - mean [104, 117, 123]) * 1, channels 2,1,0"
    assert found["skipped"] == []
    assert [picture["name"] for picture in found["pictures"]] == ["0.png", "1.png"]
    for picture in found["pictures"]:
        content = (tmp_path / "pictures" / picture["name"]).read_bytes()
        assert picture["sha256"] == hashlib.sha256(content).hexdigest()
        assert (picture["kind"], picture["width"], picture["height"]) == ("RGB", 12, 10)


def test_skipped_pictures_have_reasons(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 3)
    (tmp_path / "pictures" / "00.png").write_bytes(b"no picture")
    (skipped,) = reported(tmp_path)["calibration"]["skipped"]
    assert skipped["name"] == "00.png"
    assert skipped["reason"]


def test_dynamic_fixed_has_no_calibration(tmp_path: Path) -> None:
    found = reported(tmp_path, quant_type=Mode.DYNAMIC_FIXED)
    assert found["calibration"] is None
    assert found["blobs"] == []
    assert found["layers"][1]["precision_param"]["fl_params"] == 5


def test_what_was_not_run(tmp_path: Path) -> None:
    text = PLAIN + layer("loss", "SoftmaxWithLoss", "fc", "loss") + layer("my", "MyLayer", "pool1", "my")
    text += conv("behind", "my", "behind", 3)
    found = reported(tmp_path, text)
    assert found["left_out"] == [
        {"name": "loss", "type": "SoftmaxWithLoss", "line": text.count("\n", 0, text.index('"loss"')), "reason":
         "training or scoring only"},
    ]  # fmt: skip
    assert found["not_calibrated"] == ["behind"]
    layers = {each["name"]: each for each in found["layers"]}
    assert layers["my"]["not_run"] == "there is no rule for the type MyLayer"
    assert layers["behind"]["not_run"] == "its bottom 'my' is not computed"
    assert "not_run" not in layers["conv1"]


def test_dead_channels_are_counted(tmp_path: Path) -> None:
    text = data(1, 3, 10, 12) + conv("c", "data", "c", 5)
    files = write_net(tmp_path, text)
    (weight, bias) = api.read(files.deploy, files.weights).model.names["c"].blobs
    values = weight.values().copy()
    values[[1, 3]] = 0
    write_net(tmp_path, text, {"c": (values, bias.values())})
    made = api.convert(
        files.deploy, files.weights, calibration_directory=write_pictures(tmp_path / "pictures", 1), workers=1
    )
    assert report(made, [])["layers"][1]["dead_channels"] == 2


def test_workers_leave_no_trace(tmp_path: Path) -> None:
    files, pictures = write_net(tmp_path, PLAIN), write_pictures(tmp_path / "pictures", 3)
    found = {
        as_json(
            api.convert(
                files.deploy, files.weights, calibration_directory=pictures, threshold_method="max", workers=count
            ),
            [],
        )
        for count in (1, 2)
    }
    assert len(found) == 1


def test_remarks(tmp_path: Path) -> None:
    remarks = reported(tmp_path, calibration_size=9)["remarks"]
    said = f"{tmp_path / 'pictures'}: 9 pictures asked for, 3 found and used"
    assert {"level": "warning", "text": said} in remarks
    assert {remark["level"] for remark in remarks} <= {"detail", "info", "warning"}


@pytest.mark.parametrize("method", ["xilinx", "percentile"])
def test_the_same_bytes(tmp_path: Path, method: str) -> None:
    first, second = (as_json(*_parts(converted(tmp_path, threshold_method=method))) for _ in range(2))
    assert first == second
    assert first.endswith(b"}\n")
    json.loads(first, parse_constant=pytest.fail)  # no NaN, no Infinity


def _parts(result: tuple[Conversion, Journal]) -> tuple[Conversion, list[Any]]:
    return result[0], result[1].remarks


def test_names_that_are_no_utf_8_keep_their_bytes(tmp_path: Path) -> None:
    name = "caf\udce9"
    made, _ = converted(tmp_path, data(1, 3, 10, 12) + layer(name, "ReLU", "data", name), quant_type=Mode.DYNAMIC_FIXED)
    assert b'"name": "caf\xe9"' in as_json(made, [])
