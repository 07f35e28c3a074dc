"""Names, blobs and the order of the layers."""

from __future__ import annotations

import pytest

from tests.check.cases import Case
from tests.check.nets import INPUT, convolution, layer, messages, net, read
from xportdnn.check import look
from xportdnn.check.params import IN_PLACE
from xportdnn.check.rules.order import RULES

TRAIN = "include { phase: TRAIN }"
CASES = {
    "duplicate-name": Case(
        failing=net(convolution(), convolution(name="more"), layer("conv", "ReLU", bottom="more", top="c")),
        passing=net(convolution(), layer("conv", "ReLU", TRAIN, bottom="conv", top="other")),
        says="the name conv is taken, see line 2",
        line=4,
    ),
    "unknown-bottom": Case(
        failing=net(layer("relu", "ReLU", bottom="conv"), convolution()),
        passing=net(convolution(), layer("relu", "ReLU", bottom="conv")),
        says="bottom conv is made by layer conv of line 3, which has to stand before",
        line=2,
    ),
    "top-made-twice": Case(
        failing=net(convolution(), layer("again", "ReLU", top="conv")),
        passing=net(convolution(), layer("relu", "ReLU", bottom="conv", top="conv")),
        says="top conv is there already, made by layer conv of line 2",
        line=3,
    ),
    "blob-count": Case(
        failing=net(layer("sum", "Eltwise")),
        passing=net(layer("sum", "Eltwise", 'bottom: "data"')),
        says="Eltwise has 1 bottom, the board takes 2",
        line=2,
    ),
    "several-outputs": Case(
        failing=net(convolution(), convolution(name="more")),
        passing=net(convolution(), convolution(name="more", bottom="conv")),
        says="2 blobs are read by no layer: conv, more; the board has one output",
        line=2,
    ),
    "phase-rules": Case(
        failing=net(layer("drop", "Dropout", "\nexclude { phase: TEST }")),
        passing=net(layer("drop", "Dropout", "exclude { phase: TRAIN }")),
        says="Caffe leaves this layer out (excluded from TEST), the board runs it",
        line=3,
    ),
}
NAMED = {rule.id: rule for rule in RULES}


def test_layers_without_a_name() -> None:
    text = net(convolution(), layer("a", "ReLU", bottom="conv"), layer("b", "ReLU", bottom="a"))
    nameless = text.replace('name: "a"', "").replace('name: "b"', "")
    assert messages(NAMED["duplicate-name"], nameless) == ["a layer without a name is there already, see line 3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            net(convolution(bottom="datas")), "bottom datas is the top of no layer before; data?", id="spelling"
        ),
        pytest.param(net(convolution(bottom="x")), "bottom x is the top of no layer before", id="nothing near"),
        pytest.param(
            net(layer("x", "ReLU", bottom="x")), "bottom x is the top of no layer before", id="made by the layer itself"
        ),
        pytest.param(
            net(layer("a", "ReLU", TRAIN), layer("b", "ReLU", bottom="a")),
            "bottom a is made by layer a of line 2, which the board skips as TRAIN only",
            id="skipped",
        ),
        pytest.param(
            'input: "rois"' + net(layer("b", "ReLU", bottom="rois")),
            "bottom rois is an input of the header, which the board does not look at beside an Input layer",
            id="header beside Input layer",
        ),
    ],
)
def test_unknown_bottom(text: str, message: str) -> None:
    assert messages(NAMED["unknown-bottom"], text) == [message]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            'input: "data" input: "info"' + layer("a", "ReLU", bottom="info"), id="second input of the header"
        ),
        pytest.param(
            f'layer {{ name: "a" type: "Data" top: "data" {TRAIN} }}' + layer("b", "ReLU"), id="data that is skipped"
        ),
        pytest.param(net(layer("a", "Slice", 'top: "b"'), layer("c", "ReLU", bottom="b")), id="of an unknown type"),
    ],
)
def test_bottoms_that_other_rules_are_for(text: str) -> None:
    assert messages(NAMED["unknown-bottom"], text) == []


@pytest.mark.parametrize("kind", ["BatchNorm", "Concat", "Dropout", "Flatten", "Power", "ReLU", "Scale", "Softmax"])
def test_in_place(kind: str) -> None:
    text = net(convolution(), layer("a", kind, bottom="conv", top="conv"))
    allowed = "BatchNorm, Dropout, Power, ReLU, Scale"
    wrong = [] if kind in IN_PLACE else [f"{kind} works in place on conv; only {allowed} may"]
    assert messages(NAMED["top-made-twice"], text) == wrong


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param('input: "data"' + layer("a", "ReLU", bottom="b", top="data"), 1, id="input of the header"),
        pytest.param(net(layer("a", "PReLU", top="data")), 0, id="unknown type in place"),
        pytest.param(INPUT + INPUT, 0, id="second input"),
        pytest.param(net(layer("a", "PReLU"), layer("b", "ReLU", top="a")), 1, id="top of an unknown type"),
    ],
)
def test_top_made_twice(text: str, found: int) -> None:
    assert len(messages(NAMED["top-made-twice"], text)) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('layer { name: "a" type: "Concat" top: "a" }', "Concat has no bottom"),
        (layer("a", "Scale", 'bottom: "data"'), "Scale has 2 bottoms, the board takes 1; the board multiplies by the "
         "layer's own weights only"),
        (layer("a", "Eltwise", 'bottom: "data" bottom: "data"'), "Eltwise has 3 bottoms, the board takes 2; add them "
         "two at a time"),
        (layer("a", "DetectionOutput"), "DetectionOutput has 1 bottom, the board takes 3"),
        (layer("a", "Pooling", 'top: "mask"'), "Pooling has 2 tops, the board makes 1"),
        ('layer { name: "a" type: "ConvolutionRistretto" top: "a" }', "ConvolutionRistretto has 0 bottoms, the board "
         "takes 1"),
    ],
    ids=["no bottom", "factors", "sum of three", "too few", "tops", "Ristretto's name"],
)  # fmt: skip
def test_blob_count(text: str, message: str) -> None:
    assert messages(NAMED["blob-count"], net(text)) == [message]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(
            layer("acc", "Accuracy", bottom="conv") + layer("l", "SoftmaxWithLoss", bottom="conv"), 0, id="scores"
        ),
        pytest.param(layer("r", "ReLU", bottom="conv", top="conv"), 0, id="in place at the end"),
        pytest.param(layer("mine", "Mine", "user_defined_layer: true"), 1, id="the user's own"),
        pytest.param(layer("pool", "Pooling", 'top: "mask"', bottom="conv"), 0, id="second top"),
    ],
)
def test_outputs(text: str, found: int) -> None:
    assert len(messages(NAMED["several-outputs"], net(convolution(), text))) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(layer("a", "ReLU", TRAIN), [], id="TRAIN"),
        pytest.param(layer("a", "ReLU", "include { phase: TEST }"), [], id="TEST"),
        pytest.param(
            layer("a", "ReLU", f"{TRAIN} include {{ phase: TEST }}"),
            ["Caffe runs this layer in TEST too, the board skips it"],
            id="both",
        ),
        pytest.param(
            layer("a", "ReLU", 'include { stage: "deploy" }'),
            ["Caffe leaves this layer out (its include rules do not hold in TEST), the board runs it"],
            id="stage",
        ),
        pytest.param(layer("a", "Accuracy", "exclude { phase: TEST }"), [], id="unknown type"),
        pytest.param(layer("a", "ReLU", "include { min_level: high }"), [], id="unreadable"),
    ],
)
def test_phases(text: str, found: list[str]) -> None:
    assert messages(NAMED["phase-rules"], net(text)) == found


def test_a_plain_network_is_silent() -> None:
    text = net(convolution(), layer("relu", "ReLU", bottom="conv", top="conv"), layer("prob", "Softmax", bottom="conv"))
    assert look(read(text), RULES) == ()
