"""The input of the network, and what is no network."""

from __future__ import annotations

import pytest

from tests.check.cases import Case
from tests.check.nets import INPUT, convolution, layer, messages, net, read
from xportdnn.check import look
from xportdnn.check.rules.header import RULES

DATA = 'layer { name: "photos" type: "Data" top: "data" top: "label" }\n'
HEADER = 'input: "data" input_dim: 1 input_dim: 6 input_dim: 9 input_dim: 7\n'
SHAPE = "input_shape { dim: 1 dim: 6 dim: 9 dim: 7 }\n"
CASES = {
    "no-layers": Case(failing='name: "a"', passing=net(), says="there is no layer { } in the file", line=1),
    "v1-layers": Case(
        failing=HEADER + 'layers { name: "a" type: CONVOLUTION bottom: "data" top: "a" }',
        passing=HEADER + convolution(),
        says="written as 1 layers { } of the old format",
        line=2,
    ),
    "one-input": Case(
        failing=DATA + convolution(),
        passing=net(convolution()),
        says="the first layer is photos (Data); the board wants an Input layer at the top",
        line=1,
    ),
    "second-input": Case(
        failing=INPUT + 'layer { name: "info" type: "Input" top: "info" }',
        passing=net(convolution()),
        says="the Input layer info makes a second input (info)",
        line=2,
    ),
    "input-shape": Case(
        failing=INPUT.replace("shape {", "\nshape {").replace(" dim: 7", ""),
        passing=INPUT,
        says="shape has 3 dims (1, 6, 9), the board wants 4: 1, channels, height, width",
        line=2,
    ),
    "batch": Case(
        failing=INPUT.replace("shape {", "\nshape {").replace("dim: 1", "dim: 10"),
        passing=INPUT,
        says="the input is 10x6x9x7: batch 10 instead of 1",
        line=2,
    ),
    "two-input-shapes": Case(
        failing=HEADER + SHAPE + convolution(),
        passing='input: "data"' + SHAPE + convolution(),
        says="the header gives both input_dim and input_shape",
        line=2,
    ),
}
NAMED = {rule.id: rule for rule in RULES}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(net(convolution()), id="Input layer"),
        pytest.param(INPUT.replace("top:", "include { phase: TRAIN } top:") + convolution(), id="Input layer of TRAIN"),
        pytest.param(HEADER + convolution(), id="input_dim"),
        pytest.param(f'input: "data" {SHAPE}' + convolution(), id="input_shape"),
        pytest.param(convolution() + HEADER, id="header behind"),
        pytest.param(HEADER + layer("a", "ReLU", "include { phase: TRAIN }") + convolution(), id="TRAIN layer first"),
    ],
)
def test_inputs_that_the_board_takes(text: str) -> None:
    assert look(read(text), RULES) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            'input: "data"\ninput: "info"\n' + convolution(),
            "the header has 2 inputs (data, info), the board takes 1",
            id="header",
        ),
        pytest.param(
            INPUT.replace("input_param", 'top: "info" input_param'),
            "the Input layer has 2 tops, the board takes 1",
            id="tops",
        ),
        pytest.param(
            convolution() + INPUT,
            "the first layer is conv (Convolution), Input layer data stands in line 2; the board wants an Input layer "
            "at the top",
            id="Input layer behind",
        ),
        pytest.param(
            DATA.replace("top:", "include { phase: TRAIN } top:", 1) + DATA,
            "the first layer is photos (Data); the board wants an Input layer at the top",
            id="data of both phases",
        ),
        pytest.param(
            'layer { name: "a" }',
            "the first layer is a (without a type); the board wants an Input layer at the top",
            id="no type",
        ),
    ],
)
def test_one_cause_is_one_finding(text: str, message: str) -> None:
    assert [finding.message for finding in look(read(text), RULES)] == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('input: "data"\n' + convolution(), "the input data has no shape", id="header"),
        pytest.param('layer { name: "data" type: "Input" top: "data" }', "the input data has no shape", id="layer"),
        pytest.param(
            HEADER.replace("input_dim: 7", "") + convolution(),
            "input_dim has 3 dims (1, 6, 9), the board wants 4: 1, channels, height, width",
            id="input_dim",
        ),
        pytest.param(
            f'input: "data" {SHAPE}'.replace("dim: 7", "") + convolution(),
            "input_shape has 3 dims (1, 6, 9), the board wants 4: 1, channels, height, width",
            id="input_shape",
        ),
    ],
)
def test_input_shape(text: str, message: str) -> None:
    assert [finding.message for finding in look(read(text), RULES)] == [message]


def test_old_layers_beside_new_ones() -> None:
    text = net(convolution()) + 'layers { name: "b" type: RELU bottom: "conv" top: "b" }'
    assert messages(NAMED["v1-layers"], text) == [
        "1 layers { } of the old format are not looked at beside the layer { } of line 1"
    ]


def test_a_solver_is_reported_by_its_fields() -> None:
    assert messages(NAMED["no-layers"], 'net: "a.prototxt"') == []
