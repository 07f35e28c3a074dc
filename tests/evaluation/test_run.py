"""Evaluations of small networks on disk, from options to values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.nets import CLASSIFIER
from tests.small_nets import Files, conv, data, layer, write_net, write_pictures
from xportdnn import convert
from xportdnn.choices import Arithmetic, Side
from xportdnn.errors import ImageError, InputError, NetworkError, UsageError
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.result import Evaluation
from xportdnn.evaluation.run import evaluate
from xportdnn.evaluation.values import as_json, report
from xportdnn.journal import Journal

STEPS: dict[str, Any] = {"raw_scale": 1.0, "mean_value": "0.5"}
BLOCK = re.compile(r"precision_param \{[^}]*\}")
DENSE = data(1, 3, 6, 5) + conv("up", "data", "up", 3, "kernel_size: 3 pad: 1")


def quantized(folder: Path, text: str = CLASSIFIER, bits: int = 8) -> Files:
    """A converted network with made-up weights."""
    files = write_net(folder, text)
    pictures = write_pictures(folder / "calibration", 3, (5, 6))
    done = convert(
        files.deploy,
        files.weights,
        calibration_directory=pictures,
        calibration_size=3,
        bitwidths=(bits,) * 3,
        threshold_method="max",
        workers=1,
        **STEPS,
    )
    files.deploy.write_text(done.text, encoding="utf-8")
    return files


def options(files: Files, images: Path, **more: Any) -> EvaluationOptions:
    return EvaluationOptions(str(files.deploy), str(files.weights), str(images), **{"workers": 1, **STEPS, **more})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, Path]:
    """The classifier at 8 bits, and seven pictures."""
    folder = tmp_path_factory.mktemp("small")
    return quantized(folder), write_pictures(folder / "pictures", 7, (5, 6))


def labels_of(folder: Path, labels: Sequence[int]) -> str:
    path = folder / "labels.txt"
    path.write_text("".join(f"{index}.png {label}\n" for index, label in enumerate(labels)), encoding="utf-8")
    return str(path)


def test_without_labels_there_is_no_accuracy(small: tuple[Files, Path]) -> None:
    found = evaluate(options(*small))
    assert found.classified is not None
    assert (found.classified.float_top1, found.classified.top1, found.classified.top5) == (None, None, None)
    assert found.classified.agreement_top1 is not None
    values = report(found, ())
    assert values["float"] == {"top1": None, "top5": None}
    assert values["images"] == 7


def test_labels_give_accuracy(small: tuple[Files, Path], tmp_path: Path) -> None:
    files, images = small
    classes = [verdict.first for verdict in evaluate(options(files, images)).verdicts]
    wrong = [(classes[0] + 1) % 7, *classes[1:]]
    found = evaluate(options(files, images, labels=labels_of(tmp_path, wrong))).classified
    assert found is not None
    assert found.float_top1 == pytest.approx(100 * 6 / 7)
    assert found.float_top5 is not None
    assert found.float_top5 > 85


def test_folders_give_labels(small: tuple[Files, Path], tmp_path: Path) -> None:
    files, images = small
    for index, name in enumerate(("ant", "bee")):
        target = tmp_path / name
        target.mkdir()
        (target / "picture.png").write_bytes((images / f"{index}.png").read_bytes())
    found = evaluate(options(files, tmp_path))
    assert found.tests.classes == ("ant", "bee")
    assert [sample.label for sample in found.tests.samples] == [0, 1]
    assert found.classified is not None
    assert found.classified.float_top1 is not None


def test_a_label_that_the_network_does_not_have(small: tuple[Files, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'prob' has 7 classes, .*: 2, 3\.png: 7, 6\.png: 9$"):
        evaluate(options(*small, labels=labels_of(tmp_path, [0, 1, 2, 7, 4, 5, 9])))


def test_labels_of_another_output(tmp_path: Path) -> None:
    """Two Softmaxes: the last is taken for the classes, the error names the other."""
    small = layer("few", "InnerProduct", "conv1", "few", "inner_product_param { num_output: 2 }")
    text = CLASSIFIER + small + layer("prob_few", "Softmax", "few", "prob_few")
    given = quantized(tmp_path, text), write_pictures(tmp_path / "pictures", 7, (5, 6))
    labels = labels_of(tmp_path, range(7))
    with pytest.raises(InputError, match=r"'prob_few' has 2 classes.*name it by --score_blob, of prob$"):
        evaluate(options(*given, labels=labels))
    found = evaluate(options(*given, labels=labels, score_blob="prob"))
    assert found.classified is not None
    assert found.classified.top1 is not None


@pytest.mark.parametrize(
    ("named", "message"),
    [("conv1", "--score_blob conv1: the outputs of .* are up; give one"), ("up", "its shape is 1x3x6x5, which is not")],
    ids=["no output", "no scores"],
)
def test_scores_that_there_are_not(tmp_path: Path, named: str, message: str) -> None:
    given = quantized(tmp_path, DENSE), write_pictures(tmp_path / "pictures", 2, (5, 6))
    with pytest.raises(UsageError, match=message):
        evaluate(options(*given, score_blob=named))


@pytest.mark.parametrize("workers", [2, 3])
def test_the_result_does_not_depend_on_the_workers(small: tuple[Files, Path], workers: int, tmp_path: Path) -> None:
    given = options(*small, labels=labels_of(tmp_path, range(7)), one_at_a_time=True)
    one, several = (evaluate(replace(given, workers=number), histograms=True) for number in (1, workers))
    assert as_json(one, ()) == as_json(several, ())
    for row, other in zip(one.rows, several.rows, strict=True):
        assert row.histogram is not None
        assert other.histogram is not None
        assert row.histogram.counts.tolist() == other.histogram.counts.tolist()


@pytest.mark.parametrize("arithmetic", Arithmetic)
def test_every_arithmetic(small: tuple[Files, Path], arithmetic: Arithmetic) -> None:
    found = evaluate(options(*small, arithmetic=arithmetic))
    assert found.output_sqnr_db is not None
    assert found.output_sqnr_db > 10


def test_dynamic_fixed(small: tuple[Files, Path], tmp_path: Path) -> None:
    files = write_net(tmp_path, CLASSIFIER)
    done = convert(files.deploy, files.weights, quant_type="DynamicFixed", bitwidths=(8, 8, 8), fl_bitwidths=(4, 5, 4))
    files.deploy.write_text(done.text, encoding="utf-8")
    found = evaluate(options(files, small[1], one_at_a_time=True))
    assert [effect.part.name for effect in found.effects] == [
        "conv1",
        "conv2",
        "pool2",
        "all weights",
        "all activations",
    ]
    assert found.output_sqnr_db is not None


def test_fewer_bits_are_worse(small: tuple[Files, Path], tmp_path: Path) -> None:
    six = evaluate(options(quantized(tmp_path, bits=6), small[1])).output_sqnr_db
    eight = evaluate(options(*small)).output_sqnr_db
    assert six is not None
    assert eight is not None
    assert eight - six > 6


def noise(found: Evaluation, name: str) -> float:
    (row,) = (row for row in found.rows if row.layer.name == name)
    return row.energy.noise


def test_either_side_alone(small: tuple[Files, Path]) -> None:
    weights, activations, both = (evaluate(options(*small, only=side)) for side in (*Side, None))
    # nothing is done to the input when only weights are quantized
    assert noise(weights, "data") == 0
    assert noise(activations, "data") == noise(both, "data") > 0
    assert 0 < noise(weights, "conv2") < noise(both, "conv2")
    assert 0 < noise(activations, "conv2") < noise(both, "conv2")


def test_one_at_a_time(small: tuple[Files, Path], tmp_path: Path) -> None:
    files, images = small
    found = evaluate(options(files, images, one_at_a_time=True))
    assert [effect.part.name for effect in found.effects] == [
        "data", "conv1", "conv2", "pool2", "all weights", "all activations",
    ]  # fmt: skip
    # the same by hand: the file without the blocks of the others
    entries = re.split(r"(?m)^(?=layer )", files.deploy.read_text(encoding="utf-8"))
    kept = [entry if 'name: "conv2"' in entry else BLOCK.sub("", entry) for entry in entries]
    alone = tmp_path / "deploy.prototxt"
    alone.write_text("".join(kept), encoding="utf-8")
    assert found.effects[2].sqnr_db == evaluate(options(Files(alone, files.weights), images)).output_sqnr_db
    weights = evaluate(options(files, images, only=Side.WEIGHTS))
    assert found.effects[4].sqnr_db == weights.output_sqnr_db


def test_dense_outputs(tmp_path: Path) -> None:
    found = evaluate(options(quantized(tmp_path, DENSE), write_pictures(tmp_path / "pictures", 2, (5, 6))))
    assert found.classified is None
    (output,) = found.outputs
    assert output.sqnr_db is not None
    assert output.psnr_db is not None
    assert output.psnr_db > output.sqnr_db
    assert found.verdicts == ()


def test_labels_for_a_network_that_is_no_classifier(tmp_path: Path) -> None:
    files, images = quantized(tmp_path, DENSE), write_pictures(tmp_path / "pictures", 2, (5, 6))
    with pytest.raises(UsageError, match="no output holds one score per class"):
        evaluate(options(files, images, labels=labels_of(tmp_path, [0, 1])))


def test_folders_are_no_classes_to_a_network_that_is_no_classifier(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 0, (5, 6))
    write_pictures(tmp_path / "pictures" / "cat", 2, (5, 6))
    journal = Journal()
    found = evaluate(options(quantized(tmp_path, DENSE), tmp_path / "pictures"), journal)
    assert not found.tests.labelled
    assert any("are not taken for classes" in remark.text for remark in journal.remarks)


def test_a_broken_picture_is_skipped_by_name(small: tuple[Files, Path], tmp_path: Path) -> None:
    images = write_pictures(tmp_path / "pictures", 3, (5, 6))
    (images / "1.png").write_bytes((images / "1.png").read_bytes()[:40])
    journal = Journal()
    found = evaluate(options(small[0], images), journal)
    assert found.used == (0, 2)
    assert [name for name, _ in found.skipped] == ["1.png"]
    assert report(found, ())["images"] == 2
    assert any(remark.text.startswith("1.png: skipped, ") for remark in journal.remarks)


def test_no_picture_can_be_read(small: tuple[Files, Path], tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageError, match="none of the 1 pictures can be decoded"):
        evaluate(options(small[0], tmp_path))


def test_a_network_that_is_not_converted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no layer of this file has formats"):
        evaluate(options(write_net(tmp_path, CLASSIFIER), write_pictures(tmp_path / "pictures", 1, (5, 6))))


def test_one_side_that_has_no_formats(tmp_path: Path) -> None:
    block = "precision_param { bw_layer_in: 8 bw_layer_out: 8 th_layer_in: 1.0 th_layer_out: 1.0 }"
    text = CLASSIFIER.replace("pooling_param", f"{block} pooling_param")
    with pytest.raises(InputError, match="no layer has formats for weights"):
        evaluate(
            options(write_net(tmp_path, text), write_pictures(tmp_path / "pictures", 1, (5, 6)), only=Side.WEIGHTS)
        )


def test_two_inputs(tmp_path: Path) -> None:
    text = data(1, 3, 6, 5) + data(1, 3, 6, 5, name="more") + layer("sum", "Eltwise", "data more", "sum")
    with pytest.raises(NetworkError, match="reads 2 inputs"):
        evaluate(options(write_net(tmp_path, text), write_pictures(tmp_path / "pictures", 1, (5, 6))))


def test_alarm_of_a_network_that_answers_without_looking(small: tuple[Files, Path], tmp_path: Path) -> None:
    files, images = small
    text = files.deploy.read_text(encoding="utf-8")
    # an output threshold a million times too high: every value of the first layer becomes zero
    head, mark, tail = text.partition('name: "conv1"')
    old = tail[tail.index("th_layer_out") :].split("\n", 1)[0]
    spoilt = tmp_path / "deploy.prototxt"
    spoilt.write_text(head + mark + tail.replace(old, "th_layer_out: 1e9", 1), encoding="utf-8")
    journal = Journal()
    found = evaluate(options(Files(spoilt, files.weights), images), journal)
    (alarm,) = found.alarms
    assert alarm.startswith("the quantized output 'prob' is the same for every picture")
    assert alarm in [remark.text for remark in journal.remarks]
    texts = [finding.text for finding in found.findings if finding.rule == "dead_channels"]
    assert any(text.startswith("4 of 4 output channels of conv1 (Convolution), behind relu1,") for text in texts)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images_size": 0}, "--images_size must be at least 1"),
        ({"workers": 0}, "--workers must be at least 1"),
        ({"dims": (3, 0, 5)}, "--dims must be three positive numbers"),
        ({"only": Side.WEIGHTS, "arithmetic": Arithmetic.CHAIDNN}, "--only keeps one side in float"),
        ({"only": Side.WEIGHTS, "one_at_a_time": True}, "--only and --one_at_a_time exclude each other"),
    ],
    ids=["images_size", "workers", "dims", "only in integers", "only one at a time"],
)
def test_options_that_cannot_be_used(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EvaluationOptions("net.prototxt", None, "pictures", **given)


def test_all_options_that_cannot_be_used_are_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        EvaluationOptions("net.prototxt", None, "pictures", images_size=0, workers=0)
    assert len(caught.value.problems) == 2


KEYS: Mapping[str, type | None] = {
    "xportdnn": str, "options": dict, "network": str, "images": int, "skipped": list, "classes": list, "float": dict,
    "quantized": dict, "agreement_top1": float, "divergence": float, "output_sqnr_db": float, "output_cosine": float,
    "outputs": list, "detections": None, "alarms": list, "findings": list, "layers": list, "one_at_a_time": None,
    "changed": list, "remarks": list,
}  # fmt: skip
LAYER_KEYS: Mapping[str, type | None] = {
    "rank": int, "index": int, "name": str, "type": str, "sqnr_db": float, "drop_db": float, "cosine": float,
    "identical": bool, "values": int, "saturated": int, "wrapped": int, "channels": int, "dead_channels": int,
    "zeros": dict,
    "minimum": float, "maximum": float, "formats": dict,
}  # fmt: skip


def check_types(found: dict[str, Any], keys: Mapping[str, type | None]) -> None:
    assert list(found) == list(keys)
    for name, kind in keys.items():
        assert found[name] is None or (kind is not None and isinstance(found[name], kind)), name


def test_schema_of_the_json(small: tuple[Files, Path], tmp_path: Path) -> None:
    journal = Journal()
    evaluation = evaluate(options(*small, labels=labels_of(tmp_path, range(7))), journal)
    found = json.loads(as_json(evaluation, journal.remarks))
    check_types(found, KEYS)
    assert found["float"].keys() == {"top1", "top5"}
    assert found["quantized"].keys() == {"top1", "top5", "tied"}
    assert all(isinstance(value, float) for value in found["float"].values())
    for entry in found["layers"]:
        check_types(entry, LAYER_KEYS)
    assert [entry["rank"] for entry in found["layers"]] == list(range(1, 7))
    levels = [entry["sqnr_db"] for entry in found["layers"] if entry["sqnr_db"] is not None]
    assert levels == sorted(levels)
    assert found["options"]["arithmetic"] == "fake"
    assert "workers" not in found["options"]
    (conv1,) = (entry for entry in found["layers"] if entry["name"] == "conv1")
    assert len(conv1["formats"]["th_params"]) == 4


def test_json_of_a_network_that_is_no_classifier(tmp_path: Path) -> None:
    found = report(evaluate(options(quantized(tmp_path, DENSE), write_pictures(tmp_path / "pictures", 2, (5, 6)))), ())
    assert found["float"] == {"top1": None, "top5": None}
    assert found["quantized"] == {"top1": None, "top5": None, "tied": None}
    assert found["agreement_top1"] is None


def test_the_measured_sqnr_is_that_of_two_forwards(small: tuple[Files, Path]) -> None:
    """Against the definition: both networks run by themselves, arrays kept."""
    from xportdnn import execute, precision
    from xportdnn.evaluation.pictures import Pictures
    from xportdnn.simulation import prepare
    from xportdnn.transformer import Preprocessing

    evaluation = evaluate(options(*small))
    opened, tests = evaluation.opened, evaluation.tests
    ((target, shape),) = opened.inputs.items()
    steps = Preprocessing(channel_swap=(2, 1, 0), raw_scale=1.0, mean=np.full(3, 0.5, np.float32), input_scale=1.0)
    pictures = Pictures(tests.samples, steps, target, shape[1:])
    weights = execute.load(opened.net.layers, opened.weights)
    simulation = prepare(opened.net, weights, precision.read(opened.net), Arithmetic.FAKE, opened.inputs)
    for row in evaluation.rows:
        signal, error = 0.0, 0.0
        for feeds in pictures:
            ours = next(step.tops[0] for step in execute.run(opened.net, weights, feeds) if step.layer is row.layer)
            theirs = next(step.tops[0] for step in simulation.run(feeds) if step.layer is row.layer)
            signal += float((ours.astype(np.float64) ** 2).sum())
            error += float(((ours - theirs).astype(np.float64) ** 2).sum())
        assert row.sqnr_db == pytest.approx(10 * np.log10(signal / error), abs=1e-4)


def test_a_gray_picture_for_a_network_of_one_channel(tmp_path: Path) -> None:
    text = CLASSIFIER.replace("dim: 3", "dim: 1")
    files = write_net(tmp_path, text)
    pictures = write_pictures(tmp_path / "gray", 2, (5, 6), "L")
    done = convert(
        files.deploy, files.weights, calibration_directory=pictures, bitwidths=(8, 8, 8), threshold_method="max"
    )
    files.deploy.write_text(done.text, encoding="utf-8")
    Image.new("RGB", (9, 4), (10, 20, 30)).save(pictures / "2.png")
    found = evaluate(EvaluationOptions(str(files.deploy), str(files.weights), str(pictures), workers=1))
    assert found.used == (0, 1, 2)
