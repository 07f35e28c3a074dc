"""Formats that the board converts nowhere: from layer to layer, and inside layers that do not rescale."""

from __future__ import annotations

import pytest

from tests.check.cases import Case
from tests.check.converted import (
    DATA,
    conv,
    fixed,
    fixed_conv,
    normalization,
    normalized,
    pool,
    relu,
    xilinx,
    xilinx_conv,
)
from tests.small_nets import layer
from xportdnn.check import look
from xportdnn.check.opening import subject
from xportdnn.check.rules import chaining
from xportdnn.prototxt import Source

NHWC = "permute_param { order: 0 order: 2 order: 3 order: 1 }"
TH, FL = "thresholds-differ", "fractional-lengths-differ"
SIDES, SHIFT = "sides-differ", "average-shift-out-of-range"

FIRST = DATA + xilinx_conv("data", "conv1", 6, 5)
FIRST_FIXED = DATA + fixed_conv("data", "conv1", 2, 3)

CASES: dict[str, Case] = {
    TH: Case(
        FIRST + xilinx_conv("conv1", "conv2", 5.5, 4),
        FIRST + xilinx_conv("conv1", "conv2", 5, 4),
        says="the integers of 'conv1' are taken for 5 by conv1 (th_layer_out); 5.5 by conv2 (th_layer_in)",
        line=21,
    ),
    FL: Case(
        FIRST_FIXED + fixed_conv("conv1", "conv2", 2, 2),
        FIRST_FIXED + fixed_conv("conv1", "conv2", 3, 2),
        says="the integers of 'conv1' are taken for 3 by conv1 (fl_layer_out); 2 by conv2 (fl_layer_in)",
        line=21,
    ),
    SIDES: Case(
        FIRST + pool("conv1", "pool1", xilinx(5, 4)),
        FIRST + pool("conv1", "pool1", xilinx(5, 5)),
        says="th_layer_in is 5, th_layer_out is 4",
        line=21,
    ),
    SHIFT: Case(
        FIRST_FIXED + pool("conv1", "pool1", fixed(3, 11), "AVE"),
        FIRST_FIXED + pool("conv1", "pool1", fixed(3, 10), "AVE"),
        says="fl_layer_in 3 + 8 - fl_layer_out 11 is 0",
        line=21,
    ),
}


def messages(text: str) -> list[tuple[str, str]]:
    return [
        (finding.rule.id, finding.message) for finding in look(subject(Source("net.prototxt", text)), chaining.RULES)
    ]


def rules(text: str) -> list[str]:
    return [rule for rule, _ in messages(text)]


@pytest.mark.parametrize("rule", CASES)
def test_broken(rule: str) -> None:
    case = CASES[rule]
    (finding,) = look(subject(Source("net.prototxt", case.failing)), chaining.RULES)
    assert finding.rule.id == rule
    assert case.says in finding.message
    assert case.line == finding.line


@pytest.mark.parametrize("rule", CASES)
def test_kept(rule: str) -> None:
    assert messages(CASES[rule].passing) == []


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == {rule.id for rule in chaining.RULES}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("5.0000001", [], id="the same float32"),
        pytest.param("0.5e1", [], id="other digits"),
        pytest.param("5.000001", [TH], id="the next float32 but one"),
        pytest.param("nan", [], id="no threshold at all"),
    ],
)
def test_thresholds_are_compared_as_float32(written: str, expected: list[str]) -> None:
    assert rules(FIRST + xilinx_conv("conv1", "conv2", written, 4)) == expected


SILENT = {
    "Concat": layer("pass", "Concat", "conv1 other", "pass"),
    "Concat with a block": layer("pass", "Concat", "conv1 other", "pass", xilinx(1, 2)),
    "Dropout": layer("pass", "Dropout", "conv1", "conv1") + layer("flat", "Flatten", "conv1", "pass"),
    "Flatten": layer("pass", "Flatten", "conv1", "pass"),
    "Reshape": layer("pass", "Reshape", "conv1", "pass", "reshape_param { shape { dim: 0 dim: -1 dim: 1 dim: 1 } }"),
    "ReLU": relu("conv1", "pass"),
    "ReLU in place": relu("conv1", "conv1") + layer("flat", "Flatten", "conv1", "pass"),
}


@pytest.mark.parametrize("name", SILENT)
def test_numbers_pass_through_layers_that_say_nothing(name: str) -> None:
    """A ReLU, Concat ... has no scale of its own, whatever its block says."""
    text = FIRST + xilinx_conv("data", "other", 6, 5) + SILENT[name]
    assert rules(text + xilinx_conv("pass", "last", 5, 4)) == []
    assert rules(text + xilinx_conv("pass", "last", 3, 4)) == [TH]


def test_max_pooling_of_dynamic_fixed_mode_passes_numbers_on() -> None:
    """Its block is never read."""
    text = FIRST_FIXED + pool("conv1", "pool1", fixed(7, 1))
    assert rules(text + fixed_conv("pool1", "conv2", 3, 3)) == []
    assert rules(text + fixed_conv("pool1", "conv2", 1, 3)) == [FL]


def test_average_pooling_of_dynamic_fixed_mode_rescales() -> None:
    text = FIRST_FIXED + pool("conv1", "pool1", fixed(3, 5), "AVE")
    assert rules(text + fixed_conv("pool1", "conv2", 5, 3)) == []
    assert rules(text + fixed_conv("pool1", "conv2", 3, 3)) == [FL]


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        pytest.param("Eltwise", "", id="Eltwise"),
        pytest.param("Permute", NHWC, id="Permute"),
        pytest.param("Pooling", "pooling_param { pool: AVE kernel_size: 2 }", id="AVE pooling"),
    ],
)
def test_layers_that_do_not_rescale(kind: str, more: str) -> None:
    bottoms = "conv1 conv1" if kind == "Eltwise" else "conv1"
    assert rules(FIRST + layer("move", kind, bottoms, "move", f"{more}\n{xilinx(5, 4)}")) == [SIDES]
    expected = [] if kind == "Pooling" else [SIDES]
    assert rules(FIRST_FIXED + layer("move", kind, bottoms, "move", f"{more}\n{fixed(3, 4)}")) == expected


def test_producers_of_a_concat_must_agree() -> None:
    text = FIRST + xilinx_conv("data", "other", 6, 4) + layer("cat", "Concat", "conv1 other", "cat")
    assert messages(text) == [
        (TH, "the integers of 'conv1' are taken for 5 by conv1 (th_layer_out); 4 by other (th_layer_out)")
    ]


def test_a_wire_is_reported_once_with_all_that_is_said() -> None:
    text = FIRST + xilinx_conv("data", "other", 6, 4) + layer("cat", "Concat", "conv1 other", "cat")
    text += xilinx_conv("cat", "a", 5, 1) + xilinx_conv("cat", "b", 4, 1) + xilinx_conv("conv1", "c", 5, 1)
    assert messages(text) == [
        (
            TH,
            "the integers of 'conv1' are taken for 5 by conv1 (th_layer_out), a (th_layer_in), c (th_layer_in); "
            "4 by other (th_layer_out), b (th_layer_in)",
        )
    ]


def test_both_sides_of_an_eltwise() -> None:
    text = FIRST + xilinx_conv("data", "other", 6, 4)
    assert rules(text + layer("sum", "Eltwise", "conv1 other", "sum", xilinx(5, 5))) == [TH]
    assert rules(text + layer("sum", "Eltwise", "conv1 other", "sum")) == [TH]


def test_readers_of_the_input_must_agree() -> None:
    """The application's numbers become integers once."""
    assert rules(FIRST + xilinx_conv("data", "other", 7, 4)) == [TH]


@pytest.mark.parametrize("kind", ["InnerProduct", "Softmax"])
def test_software_layers_read_and_write_floats(kind: str) -> None:
    more = "inner_product_param { num_output: 4 }" if kind == "InnerProduct" else ""
    text = FIRST + layer("soft", kind, "conv1", "soft", more) + relu("soft", "soft")
    assert rules(text + xilinx_conv("soft", "last", 3, 4)) == []


def test_what_is_missing_is_not_compared() -> None:
    text = FIRST + pool("conv1", "pool1", "") + xilinx_conv("pool1", "conv2", 5, 4)
    assert rules(text) == []
    assert rules(text.replace("th_layer_in: 5 ", "")) == []


def test_a_fused_convolution_writes_what_its_scale_says() -> None:
    """Its own th_layer_out and all of the BatchNorm's have no effect."""
    text = FIRST + normalized("conv1", "conv1", "conv1", xilinx(9, 7)) + relu("conv1", "conv1")
    assert rules(text + xilinx_conv("conv1", "conv2", 7, 4)) == []
    assert messages(text + xilinx_conv("conv1", "conv2", 5, 4)) == [
        (TH, "the integers of 'conv1' are taken for 7 by scale (th_layer_out); 5 by conv2 (th_layer_in)")
    ]


@pytest.mark.parametrize(("th", "expected"), [("5.5", []), ("5", []), ("6", [TH])])
def test_a_scale_without_its_fraction_suits_both(th: str, expected: list[str]) -> None:
    """The board has 5 of 5.5; that it truncates is another rule's finding."""
    text = FIRST + normalized("conv1", "conv1", "conv1", xilinx(5, 5.5))
    assert rules(text + xilinx_conv("conv1", "conv2", th, 4)) == expected


def test_readers_that_took_the_fraction_differently() -> None:
    text = FIRST + normalized("conv1", "conv1", "conv1", xilinx(5, 5.5))
    assert rules(text + xilinx_conv("conv1", "a", 5.5, 4) + xilinx_conv("conv1", "b", 5, 4)) == [TH]


def test_a_batch_norm_and_scale_of_their_own_are_one_job() -> None:
    """What the one writes and the other reads stands nowhere on the board."""
    text = FIRST_FIXED + pool("conv1", "pool1", "")
    text += normalized("pool1", "norm", "scale", normalization(3, 4))
    assert rules(text + fixed_conv("scale", "conv2", 4, 3)) == []
    assert rules(text + fixed_conv("scale", "conv2", 3, 3)) == [FL]
    assert rules(text.replace("fl_layer_in: 3 fl_layer_out: 4", "fl_layer_in: 2 fl_layer_out: 4", 1)) == [FL]


def test_blocks_of_two_modes_are_not_compared() -> None:
    assert messages(FIRST + fixed_conv("conv1", "conv2", 9, 3)) == []


def test_a_deconvolution_of_dynamic_fixed_mode_has_formats_of_its_own() -> None:
    more = f"convolution_param {{ num_output: 2 kernel_size: 4 stride: 2 group: 2 }}\n{fixed(3, 3)}"
    assert rules(DATA + fixed_conv("data", "conv1", 2, 4) + layer("up", "Deconvolution", "conv1", "up", more)) == []


def test_a_text_that_caffe_refuses_is_not_followed() -> None:
    assert messages(conv("nowhere", "conv1", xilinx(5, 5, [1, 1]))) == []
