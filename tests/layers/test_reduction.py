"""Reduction: trailing axes to one number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, shapes, top
from xportdnn.errors import LayerError


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param("", 6, id="sum-of-all-by-default"),
        pytest.param("axis: 1", [0, 6], id="sum"),
        pytest.param("axis: -1 operation: ASUM", [6, 6], id="absolute-sum"),
        pytest.param("axis: 1 operation: SUMSQ", [14, 14], id="sum-of-squares"),
        pytest.param("axis: 1 operation: MEAN", [0, 2], id="mean"),
        pytest.param("axis: 1 operation: 4 coeff: 3", [0, 6], id="mean-by-number-with-coeff"),
    ],
)
def test_worked_by_hand(block: str, expected: float | list[float]) -> None:
    x = np.array([[-1, -2, 3], [1, 2, 3]], np.float32)
    np.testing.assert_allclose(top(f'type: "Reduction" reduction_param {{ {block} }}', x), expected, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3), st.integers(0, 1000))
def test_agrees_with_numpy(axis: int, seed: int) -> None:
    x = blob(2, 3, 4, 5, seed=seed)
    result = top(f'type: "Reduction" reduction_param {{ axis: {axis} operation: MEAN }}', x)
    np.testing.assert_allclose(result, x.mean(tuple(range(axis, 4)), np.float64), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("operation: 0", "operation 0 does not exist; use SUM, ASUM", id="operation-0"),
        pytest.param("axis: 4", "axis 4 is out of range", id="no-such-axis"),
    ],
)
def test_refused(block: str, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(f'type: "Reduction" reduction_param {{ {block} }}', (2, 3, 4, 5))
