"""Blocks that are absent, incomplete or in the wrong mode, and numbers in them that the kernel cannot use."""

from __future__ import annotations

import pytest

from tests.check.cases import Case, found
from tests.check.converted import DATA, conv, fixed, fixed_conv, normalized, pool, relu, xilinx, xilinx_conv
from tests.small_nets import layer
from xportdnn.check import look
from xportdnn.check.opening import subject
from xportdnn.check.rules import block_values, blocks
from xportdnn.prototxt import Source

RULES = (*blocks.RULES, *block_values.RULES)
PASSING = DATA + xilinx_conv("data", "conv1", 6, 5) + xilinx_conv("conv1", "conv2", 5, 4)
PASSING_FIXED = DATA + fixed_conv("data", "conv1", 2, 3) + fixed_conv("conv1", "conv2", 3, 3)


def among(block: str) -> str:
    """A Convolution with this block behind one of Xilinx mode."""
    return DATA + xilinx_conv("data", "conv1", 6, 5) + conv("conv1", "conv2", block)


def changed(old: str, new: str) -> str:
    """`PASSING` with something else in its last block."""
    text = among(xilinx(5, 4, [0.25, 0.75]))
    assert text.count(old) == 1
    return text.replace(old, new)


CASES: dict[str, Case] = {
    "not-converted": Case(
        DATA + conv("data", "conv1", "") + conv("conv1", "conv2", ""), PASSING, says="none of 2 layers has one"
    ),
    "block-missing": Case(
        DATA + fixed_conv("data", "conv1", 2, 3) + pool("conv1", "pool1", "", "AVE"),
        DATA + fixed_conv("data", "conv1", 2, 3) + pool("conv1", "pool1", "", "MAX"),
        says="DynamicFixed with 6 bits and 3 fractional bits",
    ),
    "block-missing-xilinx": Case(
        DATA + xilinx_conv("data", "conv1", 6, 5) + pool("conv1", "pool1", ""),
        DATA + xilinx_conv("data", "conv1", 6, 5) + relu("conv1", "conv1") + pool("conv1", "pool1", xilinx(5, 5)),
        says="would be DynamicFixed among layers of Xilinx mode",
    ),
    "field-missing": Case(
        changed("th_layer_in: 5 ", "").replace("th_params: 0.25 th_params: 0.75 ", ""),
        PASSING,
        says="has no th_layer_in (16), th_params (the largest weight of every filter)",
        line=21,
    ),
    "quant-type-unknown": Case(
        changed('0.75 quant_type: "Xilinx"', '0.75 quant_type: "xilinx"'),
        PASSING,
        says='"xilinx" in conv2; write "Xilinx"',
    ),
    "quant-type-absent": Case(
        changed('0.75 quant_type: "Xilinx"', "0.75"), PASSING, says="without quant_type in conv2", line=21
    ),
    "modes-mixed": Case(
        among(fixed(2, 2, 5)) + xilinx_conv("conv2", "conv3", 5, 4),
        PASSING_FIXED,
        says="DynamicFixed in conv2, Xilinx in 2 layers",
    ),
    "fields-of-other-mode": Case(
        changed("th_params: 0.25", "fl_params: 5 th_params: 0.25"),
        PASSING,
        says="fl_params in blocks of Xilinx mode: conv2",
    ),
    "normalization-listed": Case(
        DATA + xilinx_conv("data", "conv1", 6, 5) + normalized("conv1", "conv1", "conv1", xilinx(5, 5)),
        PASSING,
        says="norm, scale",
    ),
    "threshold-not-positive": Case(
        changed("th_layer_out: 4 ", "th_layer_out: 0 "), PASSING, says="th_layer_out is 0", line=21
    ),
    "weight-threshold-zero": Case(changed("0.75", "0.0"), PASSING, says="th_params is 0 for output channel 1"),
    "weight-thresholds-too-few": Case(changed("th_params: 0.75 ", ""), PASSING, says="1 th_params for num_output 2"),
    "weight-thresholds-too-many": Case(
        changed("th_params: 0.75 ", "th_params: [0.75, 0.5] "), PASSING, says="3 th_params for num_output 2"
    ),
    "bit-width-unsupported": Case(changed("bw_params: 8 th_layer_in: 5 ", "bw_params: 16 th_layer_in: 5 "), PASSING,
                                  says="16 bits in conv2"),
    "bit-widths-differ": Case(
        among(xilinx(5, 4, [0.25, 0.75], bits=6)) + xilinx_conv("conv2", "conv3", 4, 4),
        DATA + xilinx_conv("data", "conv1", 6, 5) + conv("conv1", "conv2", xilinx(5, 4, [1, 1])),
        says="6 bits in conv2, 8 bits elsewhere",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", CASES)
def test_broken(rule: str) -> None:
    """Exactly one finding, and none of another rule: one cause is said once."""
    case = CASES[rule]
    (finding,) = look(subject(Source("net.prototxt", case.failing)), RULES)
    assert finding.rule.id == rule
    assert case.says in finding.message
    assert case.line in (0, finding.line)


@pytest.mark.parametrize("rule", CASES)
def test_kept(rule: str) -> None:
    assert look(subject(Source("net.prototxt", CASES[rule].passing)), RULES) == ()


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == {rule.id for rule in RULES}


def test_the_rules_are_among_all() -> None:
    case = CASES["modes-mixed"]
    assert found(subject(Source("net.prototxt", case.failing)), "modes-mixed")


def messages(text: str) -> list[tuple[str, str]]:
    return [(finding.rule.id, finding.message) for finding in look(subject(Source("net.prototxt", text)), RULES)]


UNREAD = 'precision_param { bw_layer_out: 3 th_layer_out: -1 quant_type: "none" }'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(layer("relu", "ReLU", "conv2", "conv2", UNREAD), id="ReLU"),
        pytest.param(layer("cat", "Concat", "conv1 conv2", "cat", UNREAD), id="Concat"),
        pytest.param(layer("fc", "InnerProduct", "conv2", "fc", UNREAD), id="InnerProduct"),
        pytest.param(layer("lrn", "LRN", "conv2", "lrn", UNREAD), id="unknown to the board"),
    ],
)
def test_blocks_that_the_parser_never_looks_at_are_no_finding(text: str) -> None:
    assert messages(PASSING + text) == []


def test_the_block_of_an_input_is_no_finding() -> None:
    assert messages(PASSING.replace('name: "data"', f'name: "data" {UNREAD}', 1)) == []


def test_a_block_by_ristrettos_name_is_read_where_ours_is_absent() -> None:
    text = among(xilinx(5, 4, [1, 1]).replace("precision_param", "quantization_param"))
    assert messages(text) == []
    assert messages(text.replace("th_layer_in: 5 ", "")) == [("field-missing", "has no th_layer_in (16)")]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        pytest.param("nan", "nan", id="nan"),
        pytest.param("-inf", "-inf", id="infinite"),
        pytest.param("-0.5", "-0.5", id="negative"),
        pytest.param("1e39", "1e39 (inf as a float32)", id="overflow"),
        pytest.param("1e-46", "1e-46 (0 as a float32)", id="underflow"),
    ],
)
def test_thresholds_are_float32(written: str, said: str) -> None:
    assert messages(changed("th_layer_in: 5 ", f"th_layer_in: {written} ")) == [
        ("threshold-not-positive", f"th_layer_in is {said}")
    ]


def test_thresholds_of_weights_are_said_once_for_a_layer() -> None:
    text = changed("th_params: 0.25 th_params: 0.75", "th_params: -1 th_params: nan")
    said = "th_params of output channel 0 is -1, and 1 more are no better"
    assert messages(text) == [("threshold-not-positive", said)]


def test_a_number_that_is_none_is_left_to_the_schema() -> None:
    assert messages(changed("th_layer_out: 4 ", "th_layer_out: none ")) == []


@pytest.mark.parametrize("written", ["DYNAMIC_FIXED", "dynamicfixed", "Dynamic_Fixed"])
def test_other_spellings_of_dynamic_fixed(written: str) -> None:
    text = PASSING_FIXED.replace('"DynamicFixed"', f'"{written}"')
    assert messages(text) == [
        ("quant-type-unknown", f'quant_type is "{written}" in conv1, conv2; write "DynamicFixed"')
    ]


def test_an_empty_quant_type_is_dynamic_fixed() -> None:
    assert messages(PASSING_FIXED.replace('"DynamicFixed"', '""')) == []


def test_layers_are_counted_and_three_are_named() -> None:
    text = DATA + "".join(fixed_conv(f"c{at}" if at else "data", f"c{at + 1}", 3, 3) for at in range(5))
    assert messages(text.replace("bw_params: 8", "bw_params: 4")) == [
        ("bit-width-unsupported", "4 bits in c1, c2, c3 and 2 more")
    ]


def test_what_fusing_throws_away_is_not_looked_at() -> None:
    """th_params of a Convolution with BatchNorm and Scale, and all that stands in the BatchNorm."""
    text = DATA + conv("data", "conv1", xilinx(6, 0, [0])) + normalized("conv1", "conv1", "conv1", xilinx(5, 5))
    text = text.replace("th_layer_in: 5", "th_layer_in: 0", 1)
    assert [rule for rule, _ in messages(text)] == ["normalization-listed"]


def test_a_batch_norm_that_is_fused_needs_no_numbers() -> None:
    """Its block is only warned about."""
    text = DATA + xilinx_conv("data", "conv1", 6, 5) + normalized("conv1", "conv1", "conv1", xilinx(5, 5))
    text = text.replace(xilinx(5, 5), "", 1)
    assert [rule for rule, _ in messages(text)] == ["block-missing", "normalization-listed"]


def test_th_params_of_a_normalize_are_gammas() -> None:
    block = xilinx(5, 4, [0.5])
    assert (
        messages(
            PASSING.replace("th_layer_in: 5 th_layer_out: 4", "th_layer_in: 5 th_layer_out: 5")
            + layer("norm", "Normalize", "conv2", "norm", f"norm_param {{ across_spatial: false }}\n{block}")
        )
        == []
    )


def test_a_layer_of_the_users_own_wants_both_sides() -> None:
    text = PASSING + layer("own", "XCustom", "conv2", "own", "user_defined_layer: true")
    assert [rule for rule, _ in messages(text)] == ["block-missing-xilinx"]
    assert messages(text.replace("user_defined_layer: true", f"user_defined_layer: true {xilinx(4, 4)}")) == []
