"""Eltwise: product, weighted sum, maximum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, opencv, shapes, top, values
from xportdnn.errors import LayerError
from xportdnn.layers.eltwise import KIND


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param("", [9, -6], id="sum-is-default"),
        pytest.param("operation: PROD stable_prod_grad: false", [24, 10], id="product"),
        pytest.param("operation: MAX", [4, 1], id="maximum"),
        pytest.param("operation: SUM coeff: 1 coeff: -2 coeff: 0.5", [-2, 2.5], id="weighted-sum"),
        pytest.param("operation: 0", [24, 10], id="operation-by-number"),
        pytest.param("operation: MAX coeff: 9 coeff: 9 coeff: 9", [4, 1], id="maximum-ignores-coeff"),
    ],
)
def test_worked_by_hand(block: str, expected: list[float]) -> None:
    bottoms = values(2, 1), values(3, -2), values(4, -5)
    np.testing.assert_array_equal(top(f'type: "Eltwise" eltwise_param {{ {block} }}', *bottoms), expected)


@pytest.mark.parametrize("operation", ["PROD", "SUM", "MAX"])
def test_agrees_with_opencv(operation: str) -> None:
    body = f'type: "Eltwise" eltwise_param {{ operation: {operation} }}'
    bottoms = blob(2, 3, 4, 5), blob(2, 3, 4, 5, seed=1), blob(2, 3, 4, 5, seed=2)
    np.testing.assert_allclose(top(body, *bottoms), opencv(body, *bottoms), rtol=1e-5, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.permutations([0, 1, 2]), st.sampled_from(["PROD", "SUM", "MAX"]))
def test_the_order_of_the_bottoms_does_not_matter(order: list[int], operation: str) -> None:
    body = f'type: "Eltwise" eltwise_param {{ operation: {operation} }}'
    bottoms = [blob(2, 3, 4, seed=seed) for seed in range(3)]
    exchanged = top(body, *(bottoms[index] for index in order))
    np.testing.assert_allclose(exchanged, top(body, *bottoms), rtol=1e-5, atol=1e-6)


def test_the_same_blob_twice() -> None:
    x = values(1, -2)
    np.testing.assert_array_equal(top('type: "Eltwise"', x, x), [2, -4])


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"


@pytest.mark.parametrize(
    ("block", "other", "message"),
    [
        pytest.param("", (2, 3, 4, 6), "bottom 1 is 2x3x4x6 but bottom 0 is 2x3x4x5", id="other-size"),
        pytest.param("", (2, 3, 1, 1), "bottom 1 is 2x3x1x1 .* needs equal shapes", id="no-broadcasting"),
        pytest.param("coeff: 1", (2, 3, 4, 5), "1 coeff entries for 2 bottoms", id="coeff-count"),
        pytest.param("operation: PROD coeff: 2 coeff: 3", (2, 3, 4, 5), "coeff 2 .* PROD", id="coeff-of-a-product"),
    ],
)
def test_refused(block: str, other: tuple[int, ...], message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(f'type: "Eltwise" eltwise_param {{ {block} }}', (2, 3, 4, 5), other)
