"""Slice: one blob into several."""

from __future__ import annotations

import numpy as np
import pytest

from tests.layers.one_layer import counting, forward, shapes
from xportdnn.errors import LayerError
from xportdnn.layers.slice import KIND


def test_worked_by_hand() -> None:
    first, second = forward('type: "Slice" slice_param { slice_point: 1 }', counting(2, 3), tops=2)
    np.testing.assert_array_equal(first, [[0], [3]])
    np.testing.assert_array_equal(second, [[1, 2], [4, 5]])


@pytest.mark.parametrize(
    ("block", "axis", "points"),
    [
        pytest.param("", 1, [2, 4], id="equal-parts"),
        pytest.param("slice_point: 1 slice_point: 5", 1, [1, 5], id="points"),
        pytest.param("axis: 0", 0, [1, 2], id="axis"),
        pytest.param("axis: -1 slice_point: 1 slice_point: 2", 3, [1, 2], id="negative-axis"),
        pytest.param("slice_dim: 0", 0, [1, 2], id="legacy-field"),
    ],
)
def test_agrees_with_numpy(block: str, axis: int, points: list[int]) -> None:
    x = counting(3, 6, 4, 5)
    results = forward(f'type: "Slice" slice_param {{ {block} }}', x, tops=3)
    for result, part in zip(results, np.split(x, points, axis), strict=True):
        np.testing.assert_array_equal(result, part)


def test_one_top_is_the_whole() -> None:
    x = counting(2, 3, 4, 5)
    (result,) = forward('type: "Slice"', x)
    np.testing.assert_array_equal(result, x)


def test_not_in_place() -> None:
    assert not KIND.in_place


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("slice_point: 1 slice_point: 2", "2 slice_point entries for 2 tops", id="too-many-points"),
        pytest.param("", "3 cannot be cut into 2 equal tops; give 1 slice_point", id="no-equal-parts"),
        pytest.param("slice_point: 0", "slice_point 0 must rise and stay between 1 and 2", id="empty-first-part"),
        pytest.param("slice_point: 3", "slice_point 3 must rise and stay between 1 and 2", id="empty-last-part"),
        pytest.param("axis: -5", "axis -5 is out of range", id="no-such-axis"),
        pytest.param("axis: 1 slice_dim: 1", "axis 1 and slice_dim 1 are both given", id="both-fields"),
    ],
)
def test_refused(block: str, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(f'type: "Slice" slice_param {{ {block} }}', (2, 3, 4, 5), tops=2)


def test_falling_points_are_refused() -> None:
    with pytest.raises(LayerError, match="slice_point 2, 1 must rise"):
        shapes('type: "Slice" slice_param { slice_point: 2 slice_point: 1 }', (2, 6, 4, 5), tops=3)
