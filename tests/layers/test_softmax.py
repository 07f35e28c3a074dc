"""Softmax: along one axis."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, opencv, shapes, top, values
from xportdnn.errors import LayerError


def test_worked_by_hand() -> None:
    result = top('type: "Softmax" softmax_param { axis: 0 }', values(0, math.log(3), math.log(4)))
    np.testing.assert_allclose(result, [1 / 8, 3 / 8, 4 / 8], rtol=1e-6)


@pytest.mark.parametrize(
    ("block", "axis"),
    [
        pytest.param("", 1, id="channels-by-default"),
        pytest.param("axis: 2 engine: CAFFE", 2, id="axis"),
        pytest.param("axis: -1", 3, id="negative-axis"),
    ],
)
def test_the_axis_sums_to_one(block: str, axis: int) -> None:
    result = top(f'type: "Softmax" softmax_param {{ {block} }}', blob(2, 3, 4, 5))
    np.testing.assert_allclose(result.sum(axis), 1, rtol=1e-6)


def test_agrees_with_opencv() -> None:
    body = 'type: "Softmax" softmax_param { axis: 2 }'
    x = blob(2, 3, 4, 5)
    np.testing.assert_allclose(top(body, x), opencv(body, x), rtol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(-10000, 10000))
def test_a_common_summand_changes_nothing(summand: int) -> None:
    x = np.array([[0, 1, -2, 3]], np.float32)
    np.testing.assert_array_equal(top('type: "Softmax"', x + np.float32(summand)), top('type: "Softmax"', x))


def test_a_missing_axis_is_refused() -> None:
    with pytest.raises(LayerError, match="axis 4 is out of range for a bottom of 2x3x4x5; use -4 to 3"):
        shapes('type: "Softmax" softmax_param { axis: 4 }', (2, 3, 4, 5))
