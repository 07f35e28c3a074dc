"""What becomes of overrides, in numbers: what they do to every block, and to what the rules find behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import board
from tests.overrides.desk import UNREAD, Desk, by_method, formats
from tests.small_nets import PLAIN, RESIDUAL, conv, data, layer
from xportdnn.choices import Matrix, Mode, ScaleClasses
from xportdnn.journal import Level


@by_method
def test_a_threshold_holds_for_the_whole_class_digit_for_digit(plain: Desk, method: str) -> None:
    made = plain.convert({"pool1": {"threshold": 0.12345678901}}, threshold_method=method)
    assert board.problems(made.text, "Xilinx") == []
    texts = [line.split(": ")[1] for line in made.text.splitlines() if "th_layer" in line]
    # conv1 reads the pictures; conv1 out, relu1, pool1 and conv2 in are of the class
    assert texts.count("0.12345678901") == 6
    assert plain.said(Level.INFO, "scale class") == [
        '"pool1".threshold 0.12345678901 holds for the whole scale class: conv1, relu1, pool1'
    ]


def test_a_class_of_one_layer_needs_no_word(plain: Desk) -> None:
    plain.convert({"data": {"threshold": 3}})
    assert plain.said(Level.INFO, "scale class") == []


def test_the_threshold_of_pictures_that_only_software_reads(tmp_path: Path) -> None:
    made = Desk(tmp_path, UNREAD).convert({"data": {"threshold": 100}})
    assert formats(made.text)["data"].th_layer_out == 100


@pytest.mark.parametrize("matrix", Matrix)
def test_the_threshold_of_the_pictures(plain: Desk, matrix: Matrix) -> None:
    made = plain.convert({"data": {"threshold": 100}}, matrix=matrix)
    assert board.problems(made.text, "Xilinx", matrix.value) == []
    assert formats(made.text)["conv1"].th_layer_in == 100


def test_a_share_of_the_values(plain: Desk) -> None:
    def of(asked: str) -> float:
        made = plain.convert({"conv2": {"threshold": asked}}, threshold_method="max")
        return formats(made.text)["conv2"].th_layer_out or 0.0

    assert of("percentile:50") < of("percentile:99.9") <= of("percentile:100") == of("max")


@pytest.mark.parametrize(
    ("how", "same"), [(ScaleClasses.BOARD, True), (ScaleClasses.ORIGINAL, False)], ids=["board", "original"]
)
def test_the_classes_are_those_of_the_conversion(how: ScaleClasses, same: bool, tmp_path: Path) -> None:
    desk = Desk(tmp_path, RESIDUAL)
    found = formats(desk.convert({"sum": {"threshold": 77, "bits": 8}}, scale_classes=how, force=True).text)
    assert found["sum"].th_layer_out == found["swap"].th_layer_in == 77
    assert (found["right"].th_layer_out == 77) == same
    # the board adds integers: their width is one, whatever the thresholds are
    assert found["right"].bw_layer_out == found["sum"].bw_layer_in == 8


def test_thresholds_of_weights(plain: Desk) -> None:
    content = {"conv1": {"params_threshold": [1, 0.5, 0.25, 3]}, "conv2": {"params_threshold": 2, "params_bits": 8}}
    found = formats(plain.convert(content).text)
    assert (found["conv1"].th_params, found["conv1"].bw_params) == ((1, 0.5, 0.25, 3), 6)
    assert (found["conv2"].th_params, found["conv2"].bw_params) == ((2,) * 5, 8)


def test_the_parsers_normalize_has_thresholds_too(tmp_path: Path) -> None:
    text = data(1, 3, 5, 7) + layer("norm", "Normalize", "data", "norm", "norm_param { channel_shared: false }")
    desk = Desk(tmp_path, text)
    found = formats(desk.convert({"norm": {"params_threshold": [1, 2, 4]}}, matrix=Matrix.PARSER).text)
    assert found["norm"].th_params == (1, 2, 4)
    assert "3 output channels" in str(desk.refused({"norm": {"params_threshold": [1, 2]}}, matrix=Matrix.PARSER))


@by_method
def test_a_width_holds_for_writers_and_readers(plain: Desk, method: str) -> None:
    made = plain.convert({"pool1": {"bits": 8}}, threshold_method=method)
    assert board.problems(made.text, "Xilinx") == []
    assert {name: (each.bw_layer_in, each.bw_layer_out) for name, each in formats(made.text).items()} == {
        "data": (None, 6), "conv1": (6, 8), "relu1": (8, 8), "pool1": (8, 8), "conv2": (8, 6), "pool2": (6, 6),
    }  # fmt: skip
    assert plain.said(Level.WARNING, str(plain.path)) == [
        f"{plain.path}: the board has one width for all blobs of a network, here 6 bits; others can be simulated but "
        "not run: pool1 8"
    ]


def test_the_common_width_needs_no_word(plain: Desk) -> None:
    plain.convert({"pool1": {"bits": 6}}, bitwidths=(6, 6, 6))
    assert plain.said(Level.WARNING, str(plain.path)) == []


def test_the_rule_goes_on_with_what_was_asked_for(plain: Desk) -> None:
    """The rule `xilinx` quantizes everything before the layer that it looks at."""

    def behind(content: object = None, **more: Any) -> float | None:
        return formats(plain.convert(content, bitwidths=(6, 6, 6), **more).text)["conv2"].th_layer_out

    assert behind({"conv1": {"threshold": 0.5}}) != behind()
    assert behind({"conv1": {"params_threshold": 0.01}}) != behind()
    assert behind({"conv1": {"params_bits": 2}}, force=True) != behind()
    assert behind({"pool1": {"bits": 2}}, force=True) != behind()


def test_the_rule_leaves_a_skipped_layer_in_float(plain: Desk) -> None:
    def behind(params: int, **pictures: Any) -> float | None:
        content = {"conv2": {"params_bits": 6}, "data": {"bits": 6, **pictures}}
        options: dict[str, Any] = {"bitwidths": (6, params, 6), "skip_layers": ["conv1"], "force": True}
        return formats(plain.convert(content, **options).text)["conv2"].th_layer_out

    # neither conv1's weights nor what it reads are quantized
    assert behind(6) == behind(2) == behind(6, threshold=0.5)


def test_the_rule_goes_on_behind_a_sum_of_the_original(tmp_path: Path) -> None:
    """There a sum's threshold is the larger one of its inputs, and no other layer shares it."""
    text = data(1, 3, 8, 9) + conv("left", "data", "left", 5) + conv("right", "data", "right", 5)
    desk = Desk(tmp_path, text + layer("sum", "Eltwise", "left right", "sum") + conv("last", "sum", "last", 4))

    def behind(content: object = None) -> float | None:
        return formats(desk.convert(content, scale_classes=ScaleClasses.ORIGINAL).text)["last"].th_layer_out

    assert behind({"sum": {"threshold": 0.5}}) != behind()


def test_widths_that_the_board_does_not_take(plain: Desk) -> None:
    plain.convert({"conv1": {"params_bits": 7}, "conv2": {"bits": 12}}, force=True)
    first, second = plain.said(Level.WARNING, str(plain.path))
    assert first == f"{plain.path}: the board takes only 6 and 8 bits, not 7, 12"
    assert second.endswith("not run: conv2 12")


def test_fractions_end_at_average_pooling(tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN)
    content = {"pool1": {"fl_layer_out": 4}, "conv2": {"fl_layer_out": -1}, "data": {"fl_layer_out": 0}}
    made = desk.convert(content, quant_type=Mode.DYNAMIC_FIXED, fl_bitwidths=(2, 5, 3))
    assert board.problems(made.text, "DynamicFixed") == []
    assert {name: (each.fl_layer_in, each.fl_layer_out) for name, each in formats(made.text).items()} == {
        "conv1": (0, 4), "pool1": (4, 4), "conv2": (4, -1), "pool2": (-1, 3),
    }  # fmt: skip
