"""`xportdnn search` on a network that is shipped: report, files, and what evaluation and conversion make of them."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.nets import ROOT
from tests.small_nets import PLAIN, conv, data, layer, write_net, write_pictures
from xportdnn import cli
from xportdnn.choices import Mode
from xportdnn.conversion import Conversion
from xportdnn.errors import InputError, UsageError
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.result import Evaluation
from xportdnn.evaluation.run import evaluate
from xportdnn.journal import Journal, Level
from xportdnn.network import Net
from xportdnn.searching import command
from xportdnn.searching.command import search
from xportdnn.searching.conversions import Converting, converting
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
    found = mix(quant_type=Mode(mode), metric=Metric.SQNR, error_margin=26.0)
    assert found.overrides
    if not whole:
        assert len(found.overrides) < len(found.mix.tried)
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


def test_a_conversion_outside_the_margin_is_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversions whose formats come out badly as long as any layer is narrow: they are no longer what was judged."""
    narrow_ones: list[frozenset[int]] = []

    def spoilt(options: SearchOptions, net: Net, calibration: Mapping[str, Any]) -> Converting:
        original = converting(options, net, calibration)

        def converted(activations: int, params: int, narrow: frozenset[int]) -> Conversion:
            narrow_ones.append(narrow)
            found = original(activations, params, narrow)
            if not narrow or params == 6:
                return found
            blocks = [block._replace(fields=(*block.fields, ("fl_params", 1))) for block in found.blocks]
            return dataclasses.replace(found, blocks=tuple(blocks))

        return converted

    monkeypatch.setattr(command, "converting", spoilt)
    found = mix(metric=Metric.SQNR, error_margin=10.0)
    assert len(found.mix.narrow) == 2
    assert [step.within for step in found.steps] == [False] * (len(found.steps) - 1) + [True]
    assert (found.steps[-1].narrow, found.overrides) == (frozenset(), {})
    assert {len(narrow) for narrow in narrow_ones} == {2, 1, 0}
    report = text(found)
    assert "Converted like this: " in report
    assert "Converted with 6bit activations, 1 layer with 6bit weights: " in report
    assert "wide again: conv1, conv2\n" in report
    assert [step["within"] for step in json.loads(as_json(found, ()))["conversions"]] == [False, False, True]


def test_what_misses_the_margin_is_a_warning() -> None:
    journal = Journal()
    options = {**DIGITS, "images_size": 20, "metric": Metric.SQNR, "error_margin": 90.0, "mixed": True}
    found = search(SearchOptions(**options), journal)
    assert not found.within
    assert isinstance(found, Mixed)
    (warning,) = (remark.text for remark in journal.remarks if remark.level is Level.WARNING)
    assert warning.startswith("the network found misses the margin: the output SQNR is ")
    assert warning.endswith(" dB, and 90 are the least")


# ---- the pictures that formats are found from


def by_class(folder: Path) -> Path:
    """The first test pictures in a folder per class."""
    for line in Path(DIGITS["labels"]).read_text(encoding="utf-8").splitlines()[:40]:
        name, label = line.split()
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / name).write_bytes((Path(DIGITS["images"]) / name).read_bytes())
    return folder


OWN: dict[str, Any] = {"calibration_directory": None, "images_size": 20, "metric": Metric.SQNR}


@pytest.mark.parametrize("mixed", [False, True], ids=["ladder", "mixed"])
def test_pictures_that_were_asked_for_by_number(mixed: bool) -> None:
    names = sorted(path.name for path in Path(DIGITS["images"]).iterdir())
    by_index = search(SearchOptions(**{**DIGITS, **OWN, "mixed": mixed, "calibration_indices": (5, 3, 190)}))
    assert by_index.calibrated == (names[3], names[5], names[190])
    one, other, again = (
        search(SearchOptions(**{**DIGITS, **OWN, "mixed": mixed, "calibration_seed": seed})).calibrated
        for seed in (1, 2, 1)
    )
    assert one == again != other
    assert len(one) == 8


def test_the_ladder_and_mixed_take_the_same_pictures() -> None:
    one, other = (search(SearchOptions(**{**DIGITS, **OWN, "mixed": mixed})) for mixed in (False, True))
    assert one.calibrated == other.calibrated
    assert len(set(one.calibrated)) == 8


@pytest.mark.parametrize("mode", ["DynamicFixed", "Xilinx"])
def test_mixed_from_folders_of_classes(mode: str, tmp_path: Path) -> None:
    images = by_class(tmp_path / "classes")
    given = {**DIGITS, **OWN, "images": str(images), "labels": None, "mixed": True, "quant_type": Mode(mode)}
    found = search(SearchOptions(**{**given, "calibration_size": 3}))
    assert len(found.calibrated) == 3
    assert all((images / name).exists() for name in found.calibrated)
    report = text(found)
    assert "--calibration_directory DIR --calibration_size 3 ..." in report
    assert report.endswith(f"DIR holds copies, in this order of their names, of {', '.join(found.calibrated)}\n")
    flat = tmp_path / "flat"
    flat.mkdir()
    for position, name in enumerate(found.calibrated):
        (flat / f"{position}.png").write_bytes((images / name).read_bytes())
    assert search(SearchOptions(**{**given, "calibration_directory": str(flat)})).text == found.text


# ---- what is said of the network


def remarks_of(**more: Any) -> list[str]:
    journal = Journal()
    search(
        SearchOptions(**{**DIGITS, "trimming_mode": "integer_power_of_2_weights", "images_size": 5, **more}), journal
    )
    return [remark.text for remark in journal.remarks]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name: "ip2"', 'name: "ip2"\n  precision_param { bw_params: 6 }'),
        ('type: "Convolution"', 'type: "ConvolutionRistretto"'),
    ],
    ids=["precision_param", "Ristretto's types"],
)
def test_a_network_that_is_quantized_already(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "quantized.prototxt"
    path.write_text(Path(DIGITS["deploy_model"]).read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    told = "is quantized already; the formats in it are used neither"
    assert any(told in remark for remark in remarks_of(deploy_model=str(path)))
    assert not any(told in remark for remark in remarks_of())


def test_what_may_be_no_classes(tmp_path: Path) -> None:
    dense = "inner_product_param { num_output: 10 }"
    files = write_net(tmp_path, data(1, 3, 10, 12) + layer("points", "InnerProduct", "data", "points", dense))
    given = {"deploy_model": str(files.deploy), "weights": str(files.weights), "labels": None, "input_scale": 1.0}
    given |= {"images": str(write_pictures(tmp_path / "pictures", 2)), "calibration_directory": None}
    remedy = "'points' is read as the scores of 10 classes; if it is something else, such as coordinates, give --metric"
    assert any(remark.startswith(remedy) for remark in remarks_of(**given))
    for more in ({"metric": Metric.SQNR}, {"score_blob": "points"}):
        assert not any("is read as" in remark for remark in remarks_of(**{**given, **more}))


def test_the_output_with_the_scores(tmp_path: Path) -> None:
    """Of two Softmaxes the first: the labels are not those of the last."""
    few = layer("few", "InnerProduct", "pool2", "few", "inner_product_param { num_output: 2 }")
    files = write_net(tmp_path, PLAIN + few + layer("prob_few", "Softmax", "few", "prob_few"))
    images = write_pictures(tmp_path / "pictures", 4)
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{number}.png {number}\n" for number in range(4)), encoding="utf-8")
    given = SearchOptions(str(files.deploy), str(files.weights), str(images), str(labels), workers=1)
    with pytest.raises(InputError, match=r"name it by --score_blob, of prob$"):
        search(given)
    assert search(replace(given, score_blob="prob")).judge.metric is Metric.TOP1


# ---- the report


@pytest.mark.parametrize(
    ("mode", "width"),
    [("minifloat", "16bit for all numbers"), ("integer_power_of_2_weights", "4bit CONV weights\n4bit FC weights")],
)
def test_the_end_of_the_other_modes(mode: str, width: str) -> None:
    found = ladder(trimming_mode=mode, metric=Metric.SQNR, error_margin=35.0, images_size=20)
    end = "" if found.within else "  too low"
    assert text(found).endswith(f"{width}\nOutput SQNR: {found.score.sqnr_db:.1f} dB{end}\n")
    assert found.within == (mode == "minifloat")


def test_float_has_one_name() -> None:
    found = ladder(metric=Metric.SQNR, error_margin=200.0, images_size=5)
    report = text(found)
    assert "Baseline 32bit float: its outputs are the signal\n" in report
    assert "32bit float CONV weights\n32bit float FC weights\n32bit float layer activations\n" in report
    assert report.endswith("Output SQNR: as in float\n")


def test_narrow_activations_that_were_not_good_enough() -> None:
    found = mix(metric=Metric.SQNR, error_margin=34.0, images_size=20)
    assert found.mix.rejected is not None
    lines = text(found).splitlines()
    assert lines[2] == f"6bit activations, 8bit weights: {found.mix.rejected.sqnr_db:.1f} dB  too low"
    assert lines[3].startswith("8bit activations, 8bit weights: ")


# ---- what cannot be


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"error_margin": -1.0}, "--error_margin must be a number from 0"),
        ({"error_margin": float("nan")}, "--error_margin must be a number from 0"),
        ({"mixed": True, "trimming_mode": "minifloat"}, "--mixed is for CHaiDNN's board"),
        ({"trimming_mode": "float16"}, "--trimming_mode is one of"),
        ({"metric": Metric.TOP1, "error_margin": 100.0}, "can lose as many points of top-1; give less than 100"),
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


@pytest.mark.parametrize("mode", ["DynamicFixed", "Xilinx"])
def test_nothing_gets_a_block(mode: str, tmp_path: Path) -> None:
    files = write_net(tmp_path, data(1, 3, 10, 12) + layer("tanh", "TanH", "data", "tanh"))
    images = write_pictures(tmp_path / "pictures", 2)
    given = SearchOptions(str(files.deploy), str(files.weights), str(images), workers=1, mixed=True)
    with pytest.raises(InputError, match=f"no layer gets a block in --quant_type {mode}"):
        search(replace(given, quant_type=Mode(mode)))


def test_a_margin_that_nothing_can_miss() -> None:
    with pytest.raises(UsageError, match="give less than 100"):
        ladder(error_margin=100.0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_all_files_or_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names = ("deploy_model", "weights", "images", "input_scale", "calibration_directory", "workers")
    given = [f"--{name}={DIGITS[name]}" for name in names]
    given += ["--images_size=5", "--trimming_mode=integer_power_of_2_weights"]
    target = tmp_path / "quantized.prototxt"
    assert cli._run(["search", *given, f"--quantized_deploy_model={target}", "--json=/dev/full"], debug=False) == 1
    assert "/dev/full: cannot be written: No space left" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("helping", [False, True], ids=["report", "help"])
def test_standard_output_is_full(helping: bool) -> None:
    names = ("deploy_model", "weights", "images", "input_scale", "calibration_directory", "workers")
    given = [f"--{name}={DIGITS[name]}" for name in names] + ["--images_size=2", "--trimming_mode=minifloat"]
    command = [sys.executable, "-m", "xportdnn", "search", *(["--help"] if helping else given)]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    (error,) = (line for line in ended.stderr.splitlines() if "error:" in line)
    assert error.startswith("xportdnn: error: standard output")
    assert ended.stderr.endswith(f"cannot be written: {os.strerror(errno.ENOSPC)}\n")


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
