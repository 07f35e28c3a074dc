"""What the optimiser fuses, what it drops, and the patterns at which it stops or never ends."""

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
from xportdnn.check.rules import fusion
from xportdnn.check.rules import normalization as normalization_rules
from xportdnn.prototxt import Source

RULES = (*fusion.RULES, *normalization_rules.RULES)
FIRST = DATA + xilinx_conv("data", "conv1", 6, 5)
FIRST_FIXED = DATA + fixed_conv("data", "conv1", 3, 3)
FORMATS = normalization(3, 3)
LAST = fixed_conv("scale", "conv2", 3, 3)
IN_PLACE = FIRST_FIXED + normalized("conv1", "conv1", "conv1", FORMATS)
OUT_OF_PLACE = FIRST_FIXED + normalized("conv1", "norm", "scale", FORMATS)
DEPTHWISE = FIRST_FIXED.replace("num_output: 2", "num_output: 3") + fixed_conv("conv1", "dw", 3, 3, 3, "group: 3")
XILINX_DEPTHWISE = DATA + xilinx_conv("data", "dw", 6, 5, 3, "group: 3")
NORM = layer("norm", "BatchNorm", "conv1", "conv1", FORMATS)
SCALE = layer("scale", "Scale", "conv1", "conv1", FORMATS)

CASES: dict[str, Case] = {
    "normalization-alone": Case(FIRST_FIXED + NORM, IN_PLACE, says="'conv1' is read by no layer, not by one Scale"),
    "normalization-half-in-place": Case(
        FIRST_FIXED + normalized("conv1", "norm", "norm", FORMATS) + fixed_conv("norm", "conv2", 3, 3),
        OUT_OF_PLACE + LAST,
        says="scale works in place and norm does not",
    ),
    "scale-unread": Case(OUT_OF_PLACE, OUT_OF_PLACE + LAST, says="no layer reads 'scale'"),
    "scale-read-twice": Case(
        OUT_OF_PLACE + LAST + fixed_conv("scale", "conv3", 3, 3),
        IN_PLACE + fixed_conv("conv1", "conv2", 3, 3) + fixed_conv("conv1", "conv3", 3, 3),
        says="'scale' is read by conv2, conv3",
    ),
    "normalization-behind-relu": Case(
        FIRST_FIXED + relu("conv1", "conv1") + normalized("conv1", "conv1", "conv1", FORMATS),
        IN_PLACE + relu("conv1", "conv1"),
        says="computes norm and scale before conv1_relu",
    ),
    "normalization-unfused-xilinx": Case(
        FIRST + pool("conv1", "pool1", xilinx(5, 5)) + normalized("pool1", "pool1", "pool1", xilinx(5, 5)),
        FIRST_FIXED + pool("conv1", "pool1", "") + normalized("pool1", "pool1", "pool1", FORMATS),
        says="norm and scale stand behind pool1 (Pooling)",
    ),
    "scale-threshold-truncated": Case(
        FIRST + normalized("conv1", "conv1", "conv1", xilinx(5, 5.5)),
        FIRST + normalized("conv1", "conv1", "conv1", xilinx(5.5, 6)),
        says="th_layer_out 5.5 becomes 5",
    ),
    "relu-dropped": Case(
        FIRST_FIXED + pool("conv1", "pool1", "") + relu("pool1", "pool1"),
        FIRST_FIXED + relu("conv1", "conv1") + pool("conv1", "pool1", "") + relu("pool1", "pool1"),
        says="stands behind pool1 (Pooling)",
    ),
    "relu-shared": Case(
        FIRST_FIXED + relu("conv1", "rectified") + fixed_conv("conv1", "conv2", 3, 3),
        FIRST_FIXED + relu("conv1", "rectified") + fixed_conv("rectified", "conv2", 3, 3),
        says="'conv1' is read by conv2, too",
    ),
    "dropout-not-in-place": Case(
        FIRST_FIXED + layer("drop", "Dropout", "conv1", "drop"),
        FIRST_FIXED + layer("drop", "Dropout", "conv1", "conv1"),
        says="bottom 'conv1' and top 'drop' are not the same",
    ),
    "depthwise-xilinx": Case(
        XILINX_DEPTHWISE + xilinx_conv("dw", "pw", 5, 4),
        DEPTHWISE + fixed_conv("dw", "pw", 3, 3),
        says="group 3 is num_output",
    ),
    "depthwise-unjoined": Case(
        DEPTHWISE + pool("dw", "pool1", ""),
        DEPTHWISE + relu("dw", "dw") + fixed_conv("dw", "pw", 3, 3),
        says="group 3 is num_output, and no Convolution alone reads it",
    ),
}


def messages(text: str) -> list[tuple[str, str]]:
    return [(finding.rule.id, finding.message) for finding in look(subject(Source("net.prototxt", text)), RULES)]


def rules(text: str) -> list[str]:
    return [rule for rule, _ in messages(text)]


@pytest.mark.parametrize("rule", CASES)
def test_broken(rule: str) -> None:
    """Exactly one finding, and none of another rule."""
    ((found, message),) = messages(CASES[rule].failing)
    assert found == rule
    assert CASES[rule].says in message


@pytest.mark.parametrize("rule", CASES)
def test_kept(rule: str) -> None:
    assert messages(CASES[rule].passing) == []


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == {rule.id for rule in RULES}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(IN_PLACE, id="all in place"),
        pytest.param(IN_PLACE + relu("conv1", "conv1") + fixed_conv("conv1", "a", 3, 3), id="in place with ReLU"),
        pytest.param(IN_PLACE + relu("conv1", "rectified") + fixed_conv("rectified", "a", 3, 3), id="ReLU apart"),
        pytest.param(OUT_OF_PLACE + LAST, id="a blob each"),
        pytest.param(OUT_OF_PLACE + relu("scale", "rectified"), id="a blob each with ReLU"),
        pytest.param(
            OUT_OF_PLACE + relu("scale", "scale") + LAST + fixed_conv("scale", "conv3", 3, 3),
            id="a ReLU in place reads the Scale, two layers the ReLU",
        ),
        pytest.param(
            FIRST_FIXED + pool("conv1", "pool1", "") + normalized("pool1", "norm", "scale", FORMATS) + LAST,
            id="pre-activation in DynamicFixed mode",
        ),
    ],
)
def test_patterns_that_the_board_runs(text: str) -> None:
    assert messages(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(FIRST_FIXED + SCALE, ["normalization-alone"], id="Scale alone"),
        pytest.param(
            FIRST_FIXED + layer("norm", "BatchNorm", "conv1", "norm", FORMATS) + fixed_conv("norm", "conv2", 3, 3),
            ["normalization-alone"],
            id="BatchNorm read by a Convolution",
        ),
        pytest.param(
            FIRST_FIXED + normalized("conv1", "norm", "scale", FORMATS) + LAST + fixed_conv("norm", "conv3", 3, 3),
            ["normalization-alone"],
            id="BatchNorm read by a Scale and by another",
        ),
        pytest.param(
            FIRST_FIXED + normalized("conv1", "conv1", "scale", FORMATS) + LAST,
            ["normalization-half-in-place"],
            id="BatchNorm in place, Scale not",
        ),
        pytest.param(
            FIRST_FIXED + pool("conv1", "norm0", "") + normalized("norm0", "norm", "norm", FORMATS),
            ["normalization-half-in-place"],
            id="half in place before a Convolution",
        ),
        pytest.param(
            OUT_OF_PLACE + relu("scale", "rectified") + fixed_conv("scale", "conv2", 3, 3),
            ["scale-read-twice"],
            id="a ReLU with a blob of its own and a Convolution",
        ),
        pytest.param(
            FIRST + normalized("conv1", "norm", "scale", xilinx(5, 5)) + xilinx_conv("scale", "a", 5, 4)
            + xilinx_conv("conv1", "b", 5, 4),
            ["normalization-unfused-xilinx"],
            id="the Convolution has another reader",
        ),
    ],
)  # fmt: skip
def test_patterns_that_it_does_not(text: str, expected: list[str]) -> None:
    assert rules(text) == expected


@pytest.mark.parametrize(
    ("th", "said"),
    [
        pytest.param("1", "", id="1"),
        pytest.param("7.0", "", id="whole"),
        pytest.param("1.9", "becomes 1", id="fraction"),
        pytest.param("0.5", "becomes 0, by which the board divides", id="below 1"),
        pytest.param("6.0000000001", "", id="whole as a float32"),
        pytest.param("nan", "", id="no number"),
    ],
)
def test_thresholds_of_a_fused_scale(th: str, said: str) -> None:
    found = messages(FIRST + normalized("conv1", "conv1", "conv1", xilinx(1, th)))
    assert [message for _, message in found] == ([f"th_layer_out {th} {said}"] if said else [])


def test_thresholds_of_an_unfused_scale_keep_their_fraction() -> None:
    text = FIRST + pool("conv1", "pool1", xilinx(5, 5)) + normalized("pool1", "pool1", "pool1", xilinx(5, 5.5))
    assert rules(text) == ["normalization-unfused-xilinx"]


OTHER = fixed_conv("data", "other", 3, 3)
CAT = layer("cat", "Concat", "conv1 other", "cat")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(FIRST_FIXED + OTHER + CAT + relu("cat", "cat"), ["relu-dropped"], id="Concat"),
        pytest.param(
            FIRST_FIXED + relu("conv1", "conv1") + OTHER + CAT + relu("cat", "cat"),
            ["relu-dropped"],
            id="Concat of which half is rectified",
        ),
        pytest.param(
            FIRST_FIXED + relu("conv1", "conv1") + OTHER + relu("other", "other") + CAT + relu("cat", "cat"),
            [],
            id="Concat of rectified numbers",
        ),
        pytest.param(DATA + relu("data", "data"), ["relu-dropped"], id="Input"),
        pytest.param(
            FIRST_FIXED + layer("sum", "Eltwise", "conv1 conv1", "sum", fixed(3, 3)) + relu("sum", "sum"),
            [],
            id="Eltwise",
        ),
        pytest.param(
            FIRST_FIXED + layer("drop", "Dropout", "conv1", "conv1") + relu("conv1", "conv1"), [], id="Dropout between"
        ),
        pytest.param(
            FIRST_FIXED + layer("fc", "InnerProduct", "conv1", "fc", "inner_product_param { num_output: 4 }")
            + relu("fc", "fc"),
            [],
            id="InnerProduct",
        ),
        pytest.param(
            FIRST_FIXED + pool("conv1", "pool1", "") + normalized("pool1", "pool1", "pool1", FORMATS)
            + relu("pool1", "pool1"),
            [],
            id="BatchNorm and Scale of their own",
        ),
        pytest.param(
            FIRST_FIXED + layer("minus", "Power", "conv1", "minus", "power_param { scale: -1 }")
            + layer("both", "Concat", "conv1 minus", "both") + relu("both", "both"),
            [],
            id="CReLU",
        ),
        pytest.param(
            FIRST_FIXED + layer("lrn", "LRN", "conv1", "lrn") + relu("lrn", "lrn"), [], id="LRN, which it refuses"
        ),
        pytest.param(
            FIRST_FIXED + pool("conv1", "pool1", "") + relu("pool1", "pool1") + relu("pool1", "again"),
            ["relu-dropped"],
            id="twice",
        ),
    ],
)  # fmt: skip
def test_relu(text: str, expected: list[str]) -> None:
    assert rules(text) == expected


def test_a_relu_behind_a_fused_scale_that_others_read() -> None:
    text = IN_PLACE + relu("conv1", "rectified") + fixed_conv("conv1", "conv2", 3, 3)
    assert messages(text) == [("relu-shared", "'conv1' is read by conv2, too, and the board has it only rectified")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            DEPTHWISE + normalized("dw", "dw", "dw", FORMATS) + relu("dw", "dw") + fixed_conv("dw", "pw", 3, 3),
            [],
            id="with BatchNorm, Scale and ReLU",
        ),
        pytest.param(
            DEPTHWISE + fixed_conv("dw", "a", 3, 3) + fixed_conv("dw", "b", 3, 3),
            ["depthwise-unjoined"],
            id="twice read",
        ),
        pytest.param(DEPTHWISE, ["depthwise-unjoined"], id="unread"),
        pytest.param(DEPTHWISE + layer("slope", "PReLU", "dw", "slope"), [], id="read by what the board refuses"),
        pytest.param(DEPTHWISE.replace("group: 3", "group: 1"), [], id="one group"),
        pytest.param(XILINX_DEPTHWISE, ["depthwise-unjoined"], id="unread in Xilinx mode"),
    ],
)
def test_depthwise(text: str, expected: list[str]) -> None:
    assert rules(text) == expected


def test_two_groups_are_no_depthwise_convolution() -> None:
    text = DATA + fixed_conv("data", "conv1", 3, 3) + fixed_conv("conv1", "conv2", 3, 3, 2, "group: 2")
    assert messages(text + pool("conv2", "pool1", "")) == []


def test_a_layer_of_the_training_is_not_looked_at() -> None:
    text = FIRST_FIXED + layer("drop", "Dropout", "conv1", "drop", "include { phase: TRAIN }")
    assert messages(text + conv("conv1", "conv2", fixed(3, 3, 5))) == []
