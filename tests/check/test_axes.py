"""Axes, orders and offsets."""

from __future__ import annotations

import pytest

from tests.check.cases import Case
from tests.check.nets import layer, messages, net
from xportdnn.check.rules.axes import RULES


def one(kind: str, text: str = "") -> str:
    """A network of one layer."""
    return net(layer("a", kind, text))


TWO = 'bottom: "data" '
CASES = {
    "flatten-end": Case(
        failing=one("Flatten", "\nflatten_param { axis: 1 end_axis: 2 }"),
        passing=one("Flatten", "flatten_param { axis: 1 end_axis: -1 }"),
        says="end_axis is 2 instead of -1",
        line=3,
    ),
    "permute-order": Case(
        failing=one("Permute", "permute_param { order: 0 order: 2 order: 1\norder: 3 }"),
        passing=one("Permute", "permute_param { order: [0, 2, 3, 1] }"),
        says="order is 0, 2, 1, 3 instead of 0, 2, 3, 1",
        line=3,
    ),
    "scale-axis": Case(
        failing=one("Scale", "\nscale_param { axis: 1 num_axes: 2 }"),
        passing=one("Scale", "scale_param { axis: 1 bias_term: true }"),
        says="num_axes is 2 instead of 1",
        line=3,
    ),
    "reshape-shape": Case(
        failing=one("Reshape", "reshape_param { shape { dim: 2 dim: 21 }\nnum_axes: 1 }"),
        passing=one("Reshape", "reshape_param { shape { dim: 0 dim: -1 } }"),
        says="num_axes is 1 instead of -1",
        line=3,
    ),
    "reshape-axis": Case(
        failing=one("Reshape", "reshape_param { shape { dim: 42 }\naxis: 2 }"),
        passing=one("Reshape", "reshape_param { shape { dim: 0 dim: 0 dim: 42 } axis: 0 }"),
        says="axis is 2; the board counts the dims from axis 0",
        line=3,
    ),
    "crop-values": Case(
        failing=one("Crop", TWO + "crop_param { axis: 2 }"),
        passing=one("Crop", TWO + "crop_param { offset: 0 }"),
        says="offset is not given; Caffe's default is 0",
        line=2,
    ),
    "negative-axis": Case(
        failing=one("Softmax", "\nsoftmax_param { axis: -1 }"),
        passing=one("Softmax", "softmax_param { axis: 3 }"),
        says="axis is -1; the board counts from the front only",
        line=3,
    ),
    "concat-dim": Case(
        failing=one("Concat", "\nconcat_param { concat_dim: 2 }"),
        passing=one("Concat", "concat_param { concat_dim: 1 }"),
        says="concat_dim is 2; the board joins along axis 1",
        line=3,
    ),
    "inner-product-layout": Case(
        failing=one("InnerProduct", "inner_product_param { num_output: 5\ntranspose: true }"),
        passing=one("InnerProduct", "inner_product_param { num_output: 5 transpose: false axis: 1 }"),
        says="transpose is true; the board takes the weights as they are",
        line=3,
    ),
}
NAMED = {rule.id: rule for rule in RULES}


@pytest.mark.parametrize(
    ("rule", "kind", "text", "found"),
    [
        ("permute-order", "Permute", "", ["order is not given instead of 0, 2, 3, 1"]),
        ("permute-order", "Permute", "permute_param { order: [0, 2] }", ["order is 0, 2 instead of 0, 2, 3, 1"]),
        ("scale-axis", "Scale", "scale_param { axis: 0 }", ["axis is 0 instead of 1"]),
        ("reshape-shape", "Reshape", "reshape_param { shape { } }", ["there is no shape with dims"]),
        ("crop-values", "Crop", "crop_param { axis: 1 offset: 0 }", ["axis is 1 instead of 2"]),
        (
            "negative-axis",
            "Flatten",
            "flatten_param { axis: -3 }",
            ["axis is -3; the board counts from the front only"],
        ),
        ("negative-axis", "ArgMax", "argmax_param { axis: -1 }", ["axis is -1; the board counts from the front only"]),
        ("concat-dim", "Concat", "concat_param { concat_dim: 2 axis: 2 }", []),
        (
            "inner-product-layout",
            "FcRistretto",
            "inner_product_param { num_output: 5 axis: 2 }",
            ["axis is 2; the board joins all axes of the bottom"],
        ),
    ],
)
def test_found(rule: str, kind: str, text: str, found: list[str]) -> None:
    assert messages(NAMED[rule], one(kind, text)) == found
