"""Concat: along one axis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, counting, forward, opencv, shapes, top
from xportdnn.errors import LayerError
from xportdnn.layers.concat import KIND


def test_worked_by_hand() -> None:
    result = top('type: "Concat"', counting(2, 1), 10 + counting(2, 3))
    np.testing.assert_array_equal(result, [[0, 10, 11, 12], [1, 13, 14, 15]])


@pytest.mark.parametrize(
    ("block", "axis"),
    [
        pytest.param("", 1, id="channels-by-default"),
        pytest.param("axis: 2", 2, id="axis"),
        pytest.param("axis: -1", 3, id="negative-axis"),
        pytest.param("concat_dim: 0", 0, id="legacy-field"),
    ],
)
def test_agrees_with_numpy(block: str, axis: int) -> None:
    first = counting(2, 3, 4, 5)
    second = -np.take(first, [0, 1], axis)
    result = top(f'type: "Concat" concat_param {{ {block} }}', first, second)
    np.testing.assert_array_equal(result, np.concatenate([first, second], axis))


def test_agrees_with_opencv() -> None:
    body = 'type: "Concat" concat_param { axis: 2 }'
    bottoms = blob(2, 3, 4, 5), blob(2, 3, 1, 5), blob(2, 3, 6, 5)
    np.testing.assert_array_equal(top(body, *bottoms), opencv(body, *bottoms))


def test_one_bottom_passes() -> None:
    x = counting(2, 3, 4, 5)
    np.testing.assert_array_equal(top('type: "Concat"', x), x)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3), st.integers(1, 3), st.integers(1, 3))
def test_slice_undoes_it(axis: int, first: int, second: int) -> None:
    shape = [2, 3, 4, 5]
    parts = []
    for length in (first, second):
        shape[axis] = length
        parts.append(blob(*shape, seed=length))
    together = top(f'type: "Concat" concat_param {{ axis: {axis} }}', *parts)
    again = forward(f'type: "Slice" slice_param {{ axis: {axis} slice_point: {first} }}', together, tops=2)
    for part, result in zip(parts, again, strict=True):
        np.testing.assert_array_equal(result, part)


def test_not_in_place() -> None:
    assert not KIND.in_place


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"


@pytest.mark.parametrize(
    ("block", "other", "message"),
    [
        pytest.param("", (2, 3, 4, 7), "bottom 1 is 2x3x4x7 but bottom 0 is 2x3x4x5; .* axis 1 only", id="other-size"),
        pytest.param("", (2, 3, 4), "bottom 1 is 2x3x4 but", id="other-number-of-axes"),
        pytest.param("axis: 4", (2, 3, 4, 5), "axis 4 is out of range", id="no-such-axis"),
        pytest.param("concat_dim: 4", (2, 3, 4, 5), "concat_dim 4 is out of range", id="no-such-legacy-axis"),
        pytest.param("axis: 1 concat_dim: 0", (2, 3, 4, 5), "axis 1 and concat_dim 0 are both given", id="both-fields"),
    ],
)
def test_refused(block: str, other: tuple[int, ...], message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(f'type: "Concat" concat_param {{ {block} }}', (2, 3, 4, 5), other)
