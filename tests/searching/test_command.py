"""`xportdnn search` on a network that is shipped: report, files, and what evaluation and conversion make of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.nets import ROOT
from tests.small_nets import PLAIN, conv, data, layer, write_net, write_pictures
from xportdnn import cli
from xportdnn.errors import InputError, UsageError
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.result import Evaluation
from xportdnn.evaluation.run import evaluate
from xportdnn.journal import Journal
from xportdnn.searching.command import search
from xportdnn.searching.metric import Metric
from xportdnn.searching.options import SearchOptions
from xportdnn.searching.result import Climbed, Mixed
from xportdnn.searching.table import text
from xportdnn.searching.values import as_json
from xportdnn.searching.widths import Part

FOLDER = ROOT / "sample_models" / "digits_plain"
DIGITS: dict[str, Any] = {
    "deploy_model": str(FOLDER / "deploy.prototxt"),
    "weights": str(FOLDER / "digits_plain.caffemodel"),
    "images": str(ROOT / "calibration" / "digits_test"),
    "labels": str(ROOT / "calibration" / "digits_test.labels.txt"),
    "images_size": 60,
    "calibration_directory": str(ROOT / "calibration" / "digits"),
    "input_scale": 0.00390625,
    "workers": 1,
}


def ladder(**more: Any) -> Climbed:
    found = search(SearchOptions(**{**DIGITS, **more}))
    assert isinstance(found, Climbed)
    return found


def mix(**more: Any) -> Mixed:
    found = search(SearchOptions(**{**DIGITS, "mixed": True, **more}))
    assert isinstance(found, Mixed)
    return found


def evaluated(prototxt: str, folder: Path) -> Evaluation:
    path = folder / "quantized.prototxt"
    path.write_text(prototxt, encoding="utf-8")
    names = ("weights", "images", "labels", "images_size", "input_scale", "workers")
    return evaluate(EvaluationOptions(str(path), **{name: DIGITS[name] for name in names}))


@pytest.fixture(scope="module")
def climbed() -> Climbed:
    return ladder()


def test_every_ladder_ends_at_its_first_bad_rung(climbed: Climbed) -> None:
    assert [each.parts for each in climbed.ladders] == [(part,) for part in Part]
    for each in climbed.ladders:
        assert [rung.bits for rung in each.rungs] == [16, 8, 4, 2, 1][: len(each.rungs)]
        assert all(rung.within for rung in each.rungs[:-1])
    assert climbed.steps[-1].within


def test_the_report_has_the_order_of_ristretto(climbed: Climbed) -> None:
    found = text(climbed)
    heads = [
        "Baseline 32bit float: ",
        "Dynamic fixed point CONV weights:",
        "  16bit: ",
        "Dynamic fixed point FC weights:",
        "Dynamic fixed point layer activations:",
        "Dynamic fixed point net:",
        "bit CONV weights",
        "bit FC weights",
        "bit layer activations",
        "Accuracy: ",
    ]
    places = [found.index(head) for head in heads[:1]]
    for head in heads[1:]:
        places.append(found.index(head, places[-1] + 1))
    assert places == sorted(places)


@pytest.mark.parametrize("mode", ["dynamic_fixed_point", "minifloat", "integer_power_of_2_weights"])
def test_what_is_written_gives_the_reported_score(mode: str, tmp_path: Path) -> None:
    found = ladder(trimming_mode=mode)
    score, again = found.steps[-1].score, evaluated(found.text, tmp_path)
    assert again.classified is not None
    assert again.classified.top1 == score.top1
    assert again.classified.agreement_top1 == score.agreement
    assert again.output_sqnr_db == pytest.approx(score.sqnr_db, abs=1e-6)


def test_the_way_back(tmp_path: Path) -> None:
    """The parts alone leave 33 dB, together they do not."""
    found = ladder(metric=Metric.SQNR, error_margin=33.0)
    assert not found.steps[0].within
    assert found.steps[-1].within
    assert found.steps[-1].score.sqnr_db >= 33.0
    raised = found.steps[1]
    assert raised.raised is not None
    report = text(found)
    assert f"{raised.raised.words} from " in report
    assert "In the end: " in report
    again = evaluated(found.text, tmp_path)
    assert again.output_sqnr_db == pytest.approx(found.steps[-1].score.sqnr_db, abs=1e-6)


def test_agreement_without_labels() -> None:
    found = ladder(labels=None, images_size=20)
    assert found.judge.metric is Metric.AGREEMENT
    assert found.judge.baseline.agreement == 100.0
    assert found.judge.baseline.top1 is None


def test_formats_from_the_pictures_themselves() -> None:
    journal = Journal()
    options = SearchOptions(**{**DIGITS, "calibration_directory": None, "images_size": 20})
    found = search(options, journal)
    assert isinstance(found, Climbed)
    assert any("no --calibration_directory" in remark.text for remark in journal.remarks)


def test_workers_change_nothing(climbed: Climbed) -> None:
    assert as_json(ladder(workers=2), ()) == as_json(climbed, ())


def test_json(climbed: Climbed) -> None:
    found = json.loads(as_json(climbed, ()))
    assert found["networks"] == climbed.attempts
    assert found["widths"] == climbed.widths._asdict()
    assert found["ladders"][0]["rungs"][0]["bits"] == 16
    assert found["baseline"]["sqnr_db"] is None
    assert {each["name"] for each in found["layers"]} == {"conv1", "conv2", "ip1", "ip2"}


# ---- 6 and 8 bits


@pytest.mark.parametrize(("mode", "whole"), [("DynamicFixed", False), ("Xilinx", True)], ids=["some", "all"])
def test_mixed_is_what_the_conversion_makes_of_the_overrides(mode: str, whole: bool, tmp_path: Path) -> None:
    from xportdnn.choices import Mode

    found = mix(quant_type=Mode(mode), metric=Metric.SQNR, error_margin=26.0)
    assert found.overrides
    if not whole:
        assert len(found.overrides) < len(found.mix.tried)
        assert {each.layer for each in found.mix.tried if each.narrow} == found.mix.narrow
    widths = {block.layer.name: dict(block.fields).get("bw_params") for block in found.conversion.blocks}
    assert {name for name, bits in widths.items() if bits == 6} == set(found.overrides)
    again = evaluated(found.text, tmp_path)
    assert again.output_sqnr_db == pytest.approx(found.score.sqnr_db, abs=1e-6)
    report = text(found)
    assert f"--quant_type {mode} --bitwidths {found.mix.activations},8,{found.mix.activations} " in report


def test_overrides_on_disk_are_the_conversions(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asked, quantized, again = (tmp_path / name for name in ("overrides.json", "mixed.prototxt", "again.prototxt"))
    names = ("deploy_model", "weights", "input_scale", "calibration_directory", "workers")
    common = [*(f"--{name}={DIGITS[name]}" for name in names), "--quiet"]
    judged = [f"--{name}={DIGITS[name]}" for name in ("images", "labels")]
    given = ["--images_size=40", "--mixed", "--metric=sqnr", "--error_margin=26"]
    written = [f"--overrides={asked}", f"--quantized_deploy_model={quantized}"]
    assert cli._run(["search", *common, *judged, *given, *written], debug=True) == 0
    assert json.loads(asked.read_bytes())
    width = 6 if "bw_layer_out: 6" in quantized.read_text() else 8
    how = ["--quant_type=DynamicFixed", f"--bitwidths={width},8,{width}", "--fl_bitwidths=auto"]
    files = [f"--overrides={asked}", f"--quantized_deploy_model={again}"]
    assert cli._run([*common, *how, *files], debug=True) == 0
    assert again.read_bytes() == quantized.read_bytes()
    assert capfd.readouterr().out == ""


# ---- what cannot be


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"error_margin": -1.0}, "--error_margin must be a number from 0"),
        ({"error_margin": float("nan")}, "--error_margin must be a number from 0"),
        ({"mixed": True, "trimming_mode": "minifloat"}, "--mixed is for CHaiDNN's board"),
        ({"trimming_mode": "float16"}, "--trimming_mode is one of"),
        ({"formats": "kl"}, "--formats is one of mse, overflow, ristretto"),
        ({"images_size": 0}, "--images_size must be at least 1"),
        ({"calibration_seed": 1, "calibration_indices": (1,)}, "exclude each other"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else None,
)
def test_options_that_cannot_be_used(more: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SearchOptions(**{**DIGITS, **more})


def test_accuracy_needs_labels() -> None:
    with pytest.raises(UsageError, match="needs --labels"):
        ladder(labels=None, metric=Metric.TOP1)


def test_accuracy_needs_classes(tmp_path: Path) -> None:
    files = write_net(tmp_path, data(1, 3, 10, 12) + conv("dense", "data", "dense", 4))
    images = write_pictures(tmp_path / "pictures", 2)
    given = SearchOptions(str(files.deploy), str(files.weights), str(images), workers=1)
    assert search(given).judge.metric is Metric.SQNR
    with pytest.raises(UsageError, match="no output with one score per class"):
        search(replace(given, metric=Metric.AGREEMENT))


def test_nothing_to_search_for(tmp_path: Path) -> None:
    files = write_net(tmp_path, data(1, 3, 10, 12) + layer("relu", "ReLU", "data", "relu"))
    images = write_pictures(tmp_path / "pictures", 2)
    with pytest.raises(InputError, match="there is nothing to search widths for"):
        search(SearchOptions(str(files.deploy), str(files.weights), str(images), workers=1))


def test_overrides_belong_to_mixed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = [f"--{name}={DIGITS[name]}" for name in ("deploy_model", "weights", "images")]
    assert cli._run(["search", *given, f"--overrides={tmp_path / 'asked.json'}"], debug=False) == 2
    assert "--mixed" in capfd.readouterr().err


def test_a_picture_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    files = write_net(tmp_path, PLAIN)
    images = write_pictures(tmp_path / "pictures", 3)
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    journal = Journal()
    found = search(SearchOptions(str(files.deploy), str(files.weights), str(images), workers=1), journal)
    assert (found.pictures, [name for name, _ in found.skipped]) == (3, ["broken.png"])
    assert any(remark.text.startswith("broken.png: skipped") for remark in journal.remarks)
