"""Reshape: other axes for the same values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, opencv, shapes, top
from xportdnn.errors import LayerError
from xportdnn.layers import Shape
from xportdnn.layers.reshape import KIND


def body(dims: tuple[int, ...], rest: str = "") -> str:
    return f'type: "Reshape" reshape_param {{ shape {{ {" ".join(f"dim: {dim}" for dim in dims)} }} {rest} }}'


@pytest.mark.parametrize(
    ("dims", "rest", "shape"),
    [
        pytest.param((6, 20), "", (6, 20), id="given"),
        pytest.param((-1, 8), "", (15, 8), id="inferred"),
        pytest.param((0, -1), "", (2, 60), id="copied"),
        pytest.param((0, 0, -1), "", (2, 3, 20), id="two-copied"),
        pytest.param((-1,), "axis: 1", (2, 60), id="axis"),
        pytest.param((0, -1), "axis: 1", (2, 3, 20), id="copied-counts-from-axis"),
        pytest.param((12,), "axis: 1 num_axes: 2", (2, 12, 5), id="num-axes"),
        pytest.param((1,), "axis: 1 num_axes: 0", (2, 1, 3, 4, 5), id="inserted"),
        pytest.param((1, 1), "axis: -1", (2, 3, 4, 5, 1, 1), id="appended"),
        pytest.param((-1,), "axis: -3", (2, 3, 20), id="negative-axis"),
    ],
)
def test_values_keep_their_order(dims: tuple[int, ...], rest: str, shape: Shape) -> None:
    x = blob(2, 3, 4, 5)
    np.testing.assert_array_equal(top(body(dims, rest), x), x.reshape(shape))


def test_agrees_with_opencv() -> None:
    x = blob(2, 3, 4, 5)
    np.testing.assert_array_equal(top(body((0, -1, 2)), x), opencv(body((0, -1, 2)), x))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple), st.data())
def test_any_one_dim_can_be_inferred(shape: tuple[int, ...], data: st.DataObject) -> None:
    hidden = data.draw(st.integers(0, len(shape) - 1))
    dims = tuple(-1 if index == hidden else dim for index, dim in enumerate(shape))
    assert shapes(body(dims), (int(np.prod(shape)),)) == (shape,)


def test_not_in_place() -> None:
    assert not KIND.in_place


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"


@pytest.mark.parametrize(
    ("dims", "rest", "message"),
    [
        pytest.param((-1, -1), "", "has 2 dims of -1", id="two-inferred"),
        pytest.param((5, 5), "", "dims 5x5 do not hold the 120 values of the bottom", id="other-count"),
        pytest.param((7, -1), "", "dims 7x-1 do not hold the 120 values", id="not-divisible"),
        pytest.param((-2, 60), "", "dim -2 is not a size", id="negative-dim"),
        pytest.param((2, 3, 4, 5, 0), "", "dim 0 would copy axis 4", id="nothing-to-copy"),
        pytest.param((1,), "axis: 5", "axis 5 is out of range; use -5 to 4", id="axis-too-large"),
        pytest.param((1,), "axis: -6", "axis -6 is out of range", id="axis-too-small"),
        pytest.param((1,), "axis: 2 num_axes: 3", "num_axes 3 from axis 2 is out of range", id="num-axes-too-large"),
        pytest.param((1,), "num_axes: -2", "num_axes -2 from axis 0 is out of range", id="num-axes-negative"),
        pytest.param((), "", "do not hold the 120 values", id="no-shape"),
    ],
)
def test_refused(dims: tuple[int, ...], rest: str, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(body(dims, rest), (2, 3, 4, 5))
