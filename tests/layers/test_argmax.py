"""ArgMax: where the largest values stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, shapes, top, values
from xportdnn.errors import LayerError
from xportdnn.layers import Shape


def body(block: str) -> str:
    return f'type: "ArgMax" argmax_param {{ {block} }}'


def test_worked_by_hand() -> None:
    x = np.array([[3, 9, 1, 7], [8, 2, 6, 4]], np.float32)
    np.testing.assert_array_equal(top(body(""), x), [[[1]], [[0]]])
    np.testing.assert_array_equal(top(body("top_k: 2"), x), [[[1, 3]], [[0, 2]]])


def test_values_follow_the_places() -> None:
    x = np.array([[3, 9, 1, 7], [8, 2, 6, 4]], np.float32)
    np.testing.assert_array_equal(top(body("top_k: 2 out_max_val: true"), x), [[[1, 3], [9, 7]], [[0, 2], [8, 6]]])


def test_with_axis_the_values_replace_the_places() -> None:
    x = np.array([[3, 9, 1, 7], [8, 2, 6, 4]], np.float32)
    np.testing.assert_array_equal(top(body("axis: 0"), x), [[1, 0, 1, 0]])
    np.testing.assert_array_equal(top(body("axis: 0 out_max_val: true"), x), [[8, 9, 6, 7]])


def test_of_equal_values_the_later_one_wins() -> None:
    np.testing.assert_array_equal(top(body("axis: 0 top_k: 3"), values(5, 7, 7, 7, 5)), [3, 2, 1])


@pytest.mark.parametrize(
    ("block", "bottom", "shape"),
    [
        pytest.param("top_k: 2", (2, 3, 4, 5), (2, 1, 2, 1), id="4-axes"),
        pytest.param("top_k: 2 out_max_val: true", (2, 3, 4, 5), (2, 2, 2, 1), id="4-axes-with-values"),
        pytest.param("top_k: 2", (2, 3), (2, 1, 2), id="never-below-3-axes"),
        pytest.param("top_k: 2 axis: -3", (2, 3, 4, 5), (2, 2, 4, 5), id="axis"),
    ],
)
def test_shape(block: str, bottom: Shape, shape: Shape) -> None:
    assert top(body(block), blob(*bottom)).shape == shape


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3), st.integers(0, 1000))
def test_the_largest_value_is_numpys(axis: int, seed: int) -> None:
    x = blob(2, 3, 4, 5, seed=seed)
    np.testing.assert_array_equal(top(body(f"axis: {axis}"), x), np.argmax(x, axis, keepdims=True))


@pytest.mark.parametrize(
    ("block", "bottom", "message"),
    [
        pytest.param("top_k: 6", (1, 5), "top_k is 6 for a bottom of 1x5; use 1 to 5", id="top-k-too-large"),
        pytest.param("top_k: 4 axis: 1", (2, 3, 9), "top_k is 4 .* use 1 to 3", id="top-k-too-large-for-axis"),
        pytest.param("top_k: 0", (2, 3), "top_k is 0", id="top-k-0"),
        pytest.param("axis: 2", (2, 3), "axis 2 is out of range", id="no-such-axis"),
        pytest.param("", (), "a bottom with axes", id="no-axes"),
    ],
)
def test_refused(block: str, bottom: Shape, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(body(block), bottom)
