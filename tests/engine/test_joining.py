"""Eltwise and Concat against the reference rules."""

from __future__ import annotations

import pytest

from tests.engine.networks import assert_like_the_reference, assert_program_like_the_reference, network, one_layer
from tests.small_nets import data, layer
from xportdnn.layers import Shape

SHAPES = [
    pytest.param((1, 5, 7, 6), id="image"),
    pytest.param((1, 11), id="vector"),
    pytest.param((2, 3, 4), id="plain"),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("operation", ["PROD", "SUM", "MAX"])
def test_eltwise(operation: str, count: int, shape: Shape) -> None:
    block = f"eltwise_param {{ operation: {operation} }}"
    assert_like_the_reference(one_layer("Eltwise", block, *(shape,) * count))


def test_eltwise_with_coefficients() -> None:
    block = "eltwise_param { coeff: 0.5 coeff: -2 coeff: 3 }"
    assert_like_the_reference(one_layer("Eltwise", block, *((1, 5, 7, 6),) * 3))


def test_eltwise_of_one_blob_twice() -> None:
    text = data(1, 3, 4, 5) + layer("it", "Eltwise", "data data", "it", "eltwise_param { coeff: 2 coeff: -0.5 }")
    assert_program_like_the_reference(network(text))


@pytest.mark.parametrize(
    ("axis", "bottoms"),
    [
        pytest.param(1, ((1, 2, 5, 4), (1, 7, 5, 4), (1, 1, 5, 4)), id="channels"),
        pytest.param(2, ((1, 2, 5, 4), (1, 2, 3, 4)), id="height"),
        pytest.param(-1, ((1, 2, 5, 4), (1, 2, 5, 3)), id="width"),
        pytest.param(1, ((1, 6), (1, 5)), id="vectors"),
        pytest.param(1, ((1, 2, 3), (1, 4, 3)), id="plain"),
    ],
)
def test_concat(axis: int, bottoms: tuple[Shape, ...]) -> None:
    assert_like_the_reference(one_layer("Concat", f"concat_param {{ axis: {axis} }}", *bottoms))
