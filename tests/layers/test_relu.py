"""ReLU: with and without a slope below zero."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, opencv, top, values
from xportdnn.layers.relu import KIND


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param("", [0, 0, 3], id="no-slope"),
        pytest.param("negative_slope: 0.5", [-1, 0, 3], id="leaky"),
        pytest.param("negative_slope: 2", [-4, 0, 3], id="slope-above-1"),
        pytest.param("negative_slope: -1", [2, 0, 3], id="slope-below-0"),
    ],
)
def test_worked_by_hand(block: str, expected: list[float]) -> None:
    np.testing.assert_array_equal(top(f'type: "ReLU" relu_param {{ {block} }}', values(-2, 0, 3)), expected)


def test_agrees_with_opencv() -> None:
    body = 'type: "ReLU" relu_param { negative_slope: 0.1 }'
    x = blob(2, 3, 4, 5)
    np.testing.assert_allclose(top(body, x), opencv(body, x), rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    # far from the subnormal numbers, where a product has fewer digits
    st.floats(-(2.0**100), 2.0**100, width=32).filter(lambda x: not 0 < abs(x) < 2.0**-100),
    st.floats(0, 4, width=32).filter(lambda slope: not 0 < slope < 2.0**-20),
)
def test_positive_factors_can_be_drawn_out(x: float, slope: float) -> None:
    body = f'type: "ReLU" relu_param {{ negative_slope: {slope!r} }}'
    np.testing.assert_array_equal(top(body, values(4 * x)), 4 * top(body, values(x)))


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"
