"""From pictures to thresholds through the whole conversion: classes, dead channels, blobs of zeros, NaN, memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import board
from tests.small_nets import (
    INCEPTION,
    PLAIN,
    RESIDUAL,
    conv,
    data,
    layer,
    net_of,
    write_net,
    write_pictures,
)
from xportdnn import api, sequential
from xportdnn.calibration import Evidence
from xportdnn.choices import THRESHOLD_METHODS, Matrix, ScaleClasses
from xportdnn.conversion import Conversion
from xportdnn.errors import CalibrationError, NetworkError
from xportdnn.journal import Journal, Level
from xportdnn.layers import Array, Arrays
from xportdnn.network import infer_shapes

NETS = {"plain": PLAIN, "residual": RESIDUAL, "inception": INCEPTION}
by_method = pytest.mark.parametrize("method", THRESHOLD_METHODS)
by_net = pytest.mark.parametrize("name", NETS)


@dataclass(frozen=True)
class Done:
    """A conversion with what was said."""

    conversion: Conversion
    journal: Journal

    @property
    def evidence(self) -> Evidence:
        assert self.conversion.evidence is not None
        return self.conversion.evidence

    @property
    def warnings(self) -> list[str]:
        """Without what the board makes of the network."""
        texts = [remark.text for remark in self.journal.remarks if remark.level is Level.WARNING]
        return [
            text for text in texts if not text.startswith(("the board computes wrong numbers", "the board's software"))
        ]

    def blocks(self) -> dict[str, dict[str, Any]]:
        return {block.layer.name: dict(block.fields) for block in self.conversion.blocks}


def done(folder: Path, text: str, weights: Mapping[str, Arrays] | None = None, **options: Any) -> Done:
    """Convert a network with three random pictures of its size."""
    files = write_net(folder, text, weights)
    net = net_of(text)
    _, channels, height, width = net.declared[net.inputs[0]]
    mode = {1: "L", 3: "RGB"}[channels]
    pictures = options.pop("pictures", None) or write_pictures(folder / "pictures", 3, (width, height), mode)
    journal = Journal()
    settings = {"calibration_size": 3, "workers": 1, "threshold_method": "xilinx", "params_method": "max", **options}
    made = api.convert(files.deploy, files.weights, calibration_directory=pictures, journal=journal, **settings)
    return Done(made, journal)


def zeros(*shapes: tuple[int, ...]) -> Arrays:
    return tuple(np.zeros(shape, np.float32) for shape in shapes)


def written(text: str) -> dict[str, list[str]]:
    """Layer -> the texts of its th_layer_in and th_layer_out."""
    return {
        each.name: [
            text[field.value.start : field.value.end]
            for block in each.message.messages("precision_param")
            for field in block.fields
            if field.name in ("th_layer_in", "th_layer_out")
        ]
        for each in net_of(text).layers
    }


# ---- whole networks


@by_net
@by_method
@pytest.mark.parametrize("matrix", Matrix)
def test_the_board_takes_it(tmp_path: Path, name: str, method: str, matrix: Matrix) -> None:
    result = done(tmp_path, NETS[name], threshold_method=method, matrix=matrix, bitwidths=(8, 8, 8))
    assert board.problems(result.conversion.text, "Xilinx", matrix.value) == []
    assert result.conversion.missing == ()
    assert result.warnings == []


@by_net
@by_method
def test_one_threshold_for_every_class_in_the_same_digits(tmp_path: Path, name: str, method: str) -> None:
    result = done(tmp_path, NETS[name], threshold_method=method)
    net, found = result.conversion.opened.net, result.evidence
    texts = written(result.conversion.text)
    by_class: dict[Any, set[str]] = {}
    for each in net.layers:
        values = [*each.bottoms[:1], *each.tops[:1]]
        for written_value, text in zip(values if each.bottoms else each.tops[:1], texts[each.name], strict=False):
            by_class.setdefault(found.classes[written_value], set()).add(text)
    assert by_class
    assert all(len(digits) == 1 for digits in by_class.values())


def stored(tmp_path: Path, text: str, result: Done) -> dict[str, float]:
    """The largest |x| of every value over the pictures, "blob" or "blob@layer", by the forward itself."""
    network = api.read(tmp_path / "deploy.prototxt", tmp_path / "net.caffemodel")
    found: dict[str, float] = {}
    for feeds in result.evidence.pictures:
        for each, tops in api.forward(network, **{v.blob: array for v, array in feeds.items()}):
            for top, array in zip(each.tops, tops, strict=True):
                name = top.blob if top.blob == each.name else f"{top.blob}@{each.name}"
                found[name] = max(found.get(name, 0.0), float(np.abs(array).max()))
    return found


@pytest.mark.parametrize(
    ("name", "layer_name", "members"),
    [
        pytest.param("plain", "pool1", "conv1@relu1 pool1", id="Convolution, ReLU, Pooling"),
        pytest.param("residual", "left_bn", "left@left_bn", id="BatchNorm"),
        pytest.param("residual", "swap", "left@left_scale right sum@sum_relu swap", id="Eltwise, ReLU, Permute"),
        pytest.param("inception", "pool", "a@a_relu b@b_relu c@c_relu join pool", id="Concat, Pooling"),
        pytest.param("inception", "c_pool", "norm c_pool", id="LRN, Pooling"),
    ],
)
def test_max_is_the_largest_that_the_board_stores(tmp_path: Path, name: str, layer_name: str, members: str) -> None:
    # what a ReLU reads is never stored
    result = done(tmp_path, NETS[name], threshold_method="max", guards=False)
    largest = stored(tmp_path, NETS[name], result)
    expected = max(largest[member] for member in members.split())
    assert result.blocks()[layer_name]["th_layer_out"] == pytest.approx(expected, rel=1e-5)


def test_xilinx_on_the_board_takes_the_largest_that_the_rule_says_of_a_class(tmp_path: Path) -> None:
    result = done(tmp_path, RESIDUAL, guards=False)
    said = {record.layer.name: record.th_out or 0.0 for record in result.evidence.records}
    th_out = result.blocks()["sum"]["th_layer_out"]
    assert th_out == max(said[name] for name in ("left_scale", "right", "sum_relu", "swap"))


def test_xilinx_of_the_original_keeps_what_the_rule_says(tmp_path: Path) -> None:
    result = done(tmp_path, RESIDUAL, scale_classes=ScaleClasses.ORIGINAL)
    blocks = result.blocks()
    said = {record.layer.name: (record.th_in, record.th_out) for record in result.evidence.records}
    assert blocks["stem"]["th_layer_out"] == blocks["stem_relu"]["th_layer_in"] == said["stem_relu"][1]
    assert blocks["sum"]["th_layer_in"] == max(blocks[name]["th_layer_out"] for name in ("left_scale", "right"))
    assert said["sum"][0] == blocks["sum"]["th_layer_in"]
    assert blocks["sum"]["th_layer_out"] == blocks["swap"]["th_layer_in"] == said["sum_relu"][1]


def test_the_mask_of_pooling_is_no_quantity(tmp_path: Path) -> None:
    text = data(1, 3, 10, 12) + layer("p", "Pooling", "data", "p mask", "pooling_param { kernel_size: 2 stride: 2 }")
    result = done(tmp_path, text + conv("c", "p", "c", 2), threshold_method="max")
    # indices reach 119, pixels 255 - 104
    assert (
        result.blocks()["p"]["th_layer_out"]
        == result.blocks()["data"]["th_layer_out"]
        == stored(tmp_path, text, result)["data"]
    )


@by_method
def test_workers_change_nothing(tmp_path: Path, method: str) -> None:
    alone = done(tmp_path, INCEPTION, threshold_method=method)
    for workers in (2, 3, 5):
        shared = done(tmp_path, INCEPTION, threshold_method=method, workers=workers)
        assert shared.conversion.text == alone.conversion.text


# ---- weights


def test_a_threshold_for_every_output_channel(tmp_path: Path) -> None:
    weight = np.arange(-30, 30, dtype=np.float32).reshape(4, 3, 1, 5)
    text = data(1, 3, 7, 9) + conv("c", "data", "c", 4, "kernel_h: 1 kernel_w: 5")
    result = done(tmp_path, text, {"c": (weight, *zeros((4,)))})
    assert result.blocks()["c"]["th_params"] == (30.0, 15.0, 14.0, 29.0)


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("group", [1, 2, 4])
def test_groups_have_num_output_thresholds(tmp_path: Path, kind: str, group: int) -> None:
    body = f"convolution_param {{ num_output: 8 group: {group} kernel_size: 2 }}"
    text = data(1, 3, 7, 9) + conv("first", "data", "first", 4) + layer("c", kind, "first", "c", body)
    result = done(tmp_path, text)
    assert len(result.blocks()["c"]["th_params"]) == 8
    assert board.problems(result.conversion.text, "Xilinx") == []


def test_dead_channels_take_the_largest_of_the_layer(tmp_path: Path) -> None:
    weight = np.array([0.5, 0.0, -2.0, 2.0**-140], np.float32).reshape(4, 1, 1, 1).repeat(3, axis=1)
    text = data(1, 3, 7, 9) + conv("c", "data", "c", 4)
    result = done(tmp_path, text, {"c": (weight, *zeros((4,)))})
    assert result.blocks()["c"]["th_params"] == (0.5, 2.0, 2.0, 2.0)
    assert result.evidence.dead == {1: 2}
    (warning,) = result.warnings
    assert "deploy.prototxt:" in warning
    assert warning.endswith("2 of 4 output channels have no weights")


def test_a_layer_without_any_weight(tmp_path: Path) -> None:
    text = data(1, 3, 7, 9) + conv("c", "data", "c", 2) + layer("r", "ReLU", "c", "c")
    result = done(tmp_path, text, {"c": zeros((2, 3, 1, 1), (2,))}, guards=False)
    assert result.blocks()["c"]["th_params"] == (1.0, 1.0)
    assert result.blocks()["c"]["th_layer_out"] == result.blocks()["r"]["th_layer_out"] == 1.0
    assert [root.blob for root in result.evidence.constant] == ["c"]
    assert len(result.warnings) == 2


# ---- blobs of one value


@by_method
def test_blobs_of_zeros_get_a_safe_threshold(tmp_path: Path, method: str) -> None:
    weight, bias = np.ones((2, 3, 1, 1), np.float32), np.full(2, -1e6, np.float32)
    text = data(1, 3, 7, 9) + conv("c", "data", "c", 2) + layer("r", "ReLU", "c", "c") + conv("d", "c", "d", 2)
    result = done(tmp_path, text, {"c": (weight, bias)}, threshold_method=method, guards=False)
    assert result.blocks()["d"]["th_layer_in"] == 1.0
    assert [root.blob for root in result.evidence.constant] == ["c"]
    assert "1 blobs held only zeros for every picture and get the threshold 1.0: c" in result.warnings
    assert board.problems(result.conversion.text, "Xilinx") == []


@by_method
@pytest.mark.parametrize("constant", [-3.5, 1e-20, 1e30])
def test_constant_blobs_keep_their_value(tmp_path: Path, method: str, constant: float) -> None:
    bias = np.full(2, constant, np.float32)
    text = data(1, 3, 7, 9) + conv("c", "data", "c", 2)
    result = done(tmp_path, text, {"c": (*zeros((2, 3, 1, 1)), bias)}, threshold_method=method, guards=False)
    assert result.blocks()["c"]["th_layer_out"] == pytest.approx(abs(float(bias[0])), rel=1 / 256)
    assert result.evidence.constant == ()


# ---- what cannot be used


def nan_at(array: Array, *index: int) -> Array:
    array = array.copy()
    array[index] = np.nan
    return array


@by_method
def test_nan_in_weights_is_found_before_any_forward(tmp_path: Path, method: str) -> None:
    ones = np.ones((4, 3, 3, 3), np.float32)
    bad = {
        "conv1": (nan_at(ones, 2, 1, 0, 0), *zeros((4,))),
        "conv2": (np.full((5, 4, 2, 2), np.inf, np.float32), *zeros((5,))),
    }
    with pytest.raises(CalibrationError) as caught:
        done(tmp_path, PLAIN, bad, threshold_method=method)
    assert caught.value.problems == (
        'layer "conv1" (Convolution, line 7): blob 0 holds 1 values of 108 that are NaN or infinite',
        'layer "conv2" (Convolution, line 27): blob 0 holds 80 values of 80 that are NaN or infinite',
    )


@by_method
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            data(1, 3, 7, 9) + layer("l", "Log", "data", "l") + layer("e", "Exp", "l", "e") + conv("c", "e", "c", 2),
            r'layer "l" \(Log, .*deploy.prototxt:7\): \'l\' holds \d+ values of 189 that are NaN or infinite',
            id="logarithm of negative numbers",
        ),
        pytest.param(
            data(1, 3, 7, 9) + layer("e", "Exp", "data", "e", "exp_param { scale: 9 }") + conv("c", "e", "c", 2),
            r'layer "e" \(Exp, .*deploy.prototxt:7\): \'e\' holds \d+ values of 189 that are NaN or infinite',
            id="overflow",
        ),
    ],
)
def test_nan_in_the_forward_names_the_first_layer(tmp_path: Path, method: str, text: str, expected: str) -> None:
    with pytest.raises(CalibrationError, match=expected):
        done(tmp_path, text, threshold_method=method)


def test_layers_behind_an_unknown_type_are_left_out_and_named(tmp_path: Path) -> None:
    text = PLAIN.replace('type: "Pooling"\n  bottom: "conv1"', 'type: "MyPooling"\n  bottom: "conv1"')
    files = text.replace("MyPooling", "Pooling")
    write_net(tmp_path, files)
    (tmp_path / "deploy.prototxt").write_text(text)
    pictures = write_pictures(tmp_path / "pictures", 3)
    journal = Journal()
    made = api.convert(
        tmp_path / "deploy.prototxt", tmp_path / "net.caffemodel", calibration_directory=pictures, journal=journal
    )
    assert [each.name for each in made.missing] == ["conv2", "pool2"]
    assert [block.layer.name for block in made.blocks] == ["data", "conv1", "relu1"]
    texts = [remark.text for remark in journal.remarks if remark.level is Level.WARNING]
    assert any('"pool1" (MyPooling, line 20)' in text for text in texts)
    assert "2 layers could not be calibrated and get no block: conv2, pool2" in texts
    assert board.problems(made.text, "Xilinx", uncalibrated=frozenset({"conv2", "pool2"})) == []
    with pytest.raises(NetworkError, match="there is no rule for the types of these layers"):
        api.convert(
            tmp_path / "deploy.prototxt", tmp_path / "net.caffemodel", calibration_directory=pictures, strict=True
        )


# ---- memory


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        pytest.param(2.5, r"3 need about .* are free, enough for 2. Use --calibration_size 2 or another", id="two fit"),
        pytest.param(0.5, r"enough for 0. Use another --threshold_method, whose memory does not grow", id="none fits"),
        pytest.param(-1.0, r"enough for 0. Use another --threshold_method", id="already over the limit"),
    ],
)
def test_too_many_pictures_for_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, expected: str
) -> None:
    net = net_of(PLAIN)
    each = sequential.peak_bytes(net, infer_shapes(net, net.declared), net.inputs)
    monkeypatch.setattr(sequential, "available_bytes", lambda: int(each * free))
    with pytest.raises(CalibrationError, match=expected):
        done(tmp_path, PLAIN)
    assert done(tmp_path, PLAIN, threshold_method="max").conversion.blocks


@pytest.mark.parametrize("free", [3.0, None], ids=["just enough", "unknown"])
def test_memory_that_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float | None) -> None:
    net = net_of(PLAIN)
    each = sequential.peak_bytes(net, infer_shapes(net, net.declared), net.inputs)
    monkeypatch.setattr(sequential, "available_bytes", lambda: None if free is None else int(each * free))
    assert done(tmp_path, PLAIN).conversion.blocks
