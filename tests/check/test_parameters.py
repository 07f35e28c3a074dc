"""What a layer computes."""

from __future__ import annotations

import pytest

from tests.check.cases import Case
from tests.check.nets import layer, messages, net
from xportdnn.check.rules.parameters import RULES


def one(kind: str, text: str = "") -> str:
    """A network of one layer."""
    return net(layer("a", kind, text))


TWO = 'bottom: "data" '
CASES = {
    "relu-slope": Case(
        failing=one("ReLU", "\nrelu_param { negative_slope: 0.1 }"),
        passing=one("ReLU", "relu_param { negative_slope: 0 }"),
        says="negative_slope is 0.1; the board computes 0",
        line=3,
    ),
    "eltwise-operation": Case(
        failing=one("Eltwise", TWO + "\neltwise_param { operation: MAX }"),
        passing=one("Eltwise", TWO + "eltwise_param { operation: SUM }"),
        says="operation is MAX",
        line=3,
    ),
    "eltwise-product": Case(
        failing=one("Eltwise", TWO + "\neltwise_param { operation: PROD }"),
        passing=one("Eltwise", TWO),
        says="operation is PROD; the board adds",
        line=3,
    ),
    "eltwise-coeff": Case(
        failing=one("Eltwise", TWO + "eltwise_param { coeff: 1\ncoeff: -1 }"),
        passing=one("Eltwise", TWO + "eltwise_param { }"),
        says="coeff is 1, -1",
        line=3,
    ),
    "normalize-across-spatial": Case(
        failing=one("Normalize", "\nnorm_param { across_spatial: true }"),
        passing=one("Normalize", "norm_param { across_spatial: false }"),
        says="across_spatial is true",
        line=3,
    ),
    "normalize-default": Case(
        failing=one("Normalize", "norm_param { channel_shared: false }"),
        passing=one("Normalize", "norm_param { across_spatial: false }"),
        says="across_spatial is not given: true in Caffe, false on the board",
        line=2,
    ),
    "batch-norm-statistics": Case(
        failing=one("BatchNorm", "\nbatch_norm_param { use_global_stats: false }"),
        passing=one("BatchNorm", "batch_norm_param { eps: 0.001 }"),
        says="use_global_stats is false",
        line=3,
    ),
    "power-values": Case(
        failing=one("Power", "\npower_param { scale: 0.5 }"),
        passing=one("Power", "power_param { scale: -1 }"),
        says="power 1, scale 0.5, shift 0 instead of 1, -1, 0",
        line=3,
    ),
    "pooling-method": Case(
        failing=one("Pooling", "pooling_param { kernel_size: 3\npool: STOCHASTIC }"),
        passing=one("Pooling", "pooling_param { kernel_size: 3 pool: AVE }"),
        says="pool is STOCHASTIC",
        line=3,
    ),
}
NAMED = {rule.id: rule for rule in RULES}


@pytest.mark.parametrize(
    ("rule", "kind", "text", "found"),
    [
        ("eltwise-operation", "Eltwise", "eltwise_param { operation: 2 }", ["operation is MAX"]),
        (
            "eltwise-product",
            "EltwiseRistretto",
            "eltwise_param { operation: 0 }",
            ["operation is PROD; the board adds"],
        ),
        (
            "normalize-default",
            "NormalizeRistretto",
            "",
            ["across_spatial is not given: true in Caffe, false on the board"],
        ),
        (
            "power-values",
            "Power",
            "",
            ["power 1, scale 1, shift 0 instead of 1, -1, 0; it does nothing and can be deleted"],
        ),
        ("relu-slope", "ReLU", "relu_param { negative_slope: steep }", []),
        ("relu-slope", "ReLU", "user_defined_layer: true relu_param { negative_slope: 0.1 }", []),
    ],
)
def test_found(rule: str, kind: str, text: str, found: list[str]) -> None:
    assert messages(NAMED[rule], one(kind, text)) == found
