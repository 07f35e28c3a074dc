"""Types that the board does not know, and the user's own."""

from __future__ import annotations

import pytest

from tests.check.cases import Case
from tests.check.nets import INPUT, layer, messages, net
from xportdnn.check.rules.types import RULES

CASES = {
    "unregistered-type": Case(
        failing=net(layer("a", "ReLU"), layer("b", "PReLU").replace("type:", "\ntype:")),
        passing=net(layer("b", "ReLU")),
        says="the board knows no type PReLU; train again with ReLU",
        line=4,
    ),
    "custom-layer": Case(
        failing=net(layer("a", "Gemm", "\nuser_defined_layer: true")),
        passing=net(layer("a", "Gemm", "user_defined_layer: true xcustom_param { top_dim: 1 top_dim: 10 }")),
        says="the user's layer has no top_dim above 0 in its xcustom_param",
        line=3,
    ),
}
NAMED = {rule.id: rule for rule in RULES}


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("DepthwiseConvolution", "write Convolution with group: num_output; the weights stay as they are"),
        ("Split", "xportdnn fold drops it"),
        ("LRN", "leaving it out without training costs the accuracy"),
        ("Slice", "write one Convolution for each part"),
        ("NMS", "write DetectionOutput"),
        ("EuclideanLoss", "delete it, a deploy network ends before it"),
        ("SoftmaxWithLoss", "write Softmax where the application wants probabilities"),
        ("Data", "delete it, the network has its input already"),
        ("Sigmoid", "run it behind the board, or as the user's own layer"),
        ("Relu", "ReLU? Otherwise run it behind the board"),
        ("ROIPooling", "; run it behind the board"),
    ],
)
def test_remedies(kind: str, remedy: str) -> None:
    (message,) = messages(NAMED["unregistered-type"], net(layer("a", kind)))
    assert message.startswith(f"the board knows no type {kind}; ")
    assert remedy in message


@pytest.mark.parametrize(
    "kind",
    [
        "BatchNormRistretto", "ConvolutionRistretto", "DeconvolutionRistretto", "EltwiseRistretto", "FcRistretto",
        "NormalizeRistretto", "ScaleRistretto",
    ],
)  # fmt: skip
def test_names_of_ristretto(kind: str) -> None:
    assert messages(NAMED["unregistered-type"], net(layer("a", kind))) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(INPUT + layer("a", "Accuracy", "include { phase: TRAIN }"), 0, id="skipped"),
        pytest.param(INPUT + layer("a", "Accuracy", "include { phase: TEST }"), 1, id="TEST"),
        pytest.param('layer { name: "a" type: "Data" top: "a" }', 0, id="data without an input"),
        pytest.param(INPUT + "layer { name: 'a' type: RELU bottom: 'data' top: 'a' }", 0, id="type without quotes"),
    ],
)
def test_unregistered_type(text: str, found: int) -> None:
    assert len(messages(NAMED["unregistered-type"], text)) == found


def test_what_caffe_leaves_out_is_said() -> None:
    assert messages(NAMED["unregistered-type"], net(layer("a", "Accuracy", "exclude { phase: TEST }"))) == [
        "the board knows no type Accuracy; Caffe leaves it out (excluded from TEST), the board does not see that: "
        "delete it"
    ]


def test_no_type() -> None:
    (message,) = messages(NAMED["unregistered-type"], INPUT + 'layer { name: "a" bottom: "data" top: "a" }')
    assert message.startswith("the layer has no type; ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (layer("a", "ReLU", "user_defined_layer: true xcustom_param { top_dim: 1 }"),
         "ReLU is a type of the board's own; the user's layer needs another name for its type"),
        (layer("a", "Gemm", "user_defined_layer: true xcustom_param { top_dim: 1 }", top="data"),
         "the user's layer works in place on data; its top must be another blob"),
        (layer("a", "Gemm", 'top: "b" user_defined_layer: true xcustom_param { top_dim: 1 }'),
         "the user's layer has 1 bottom and 2 tops; it needs bottoms and 1 top"),
        (layer("a", "Gemm", "user_defined_layer: true xcustom_param { top_dim: 1 top_dim: 0 }"),
         "the user's layer has no top_dim above 0 in its xcustom_param; the board cannot know the shape of its top"),
    ],
    ids=["type", "in place", "tops", "dim 0"],
)  # fmt: skip
def test_custom_layers(text: str, message: str) -> None:
    assert messages(NAMED["custom-layer"], net(text)) == [message]
