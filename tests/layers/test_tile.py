"""Tile: copies along one axis."""

from __future__ import annotations

import numpy as np
import pytest

from tests.layers.one_layer import blob, counting, shapes, top
from xportdnn.errors import LayerError
from xportdnn.layers.tile import KIND


def test_worked_by_hand() -> None:
    result = top('type: "Tile" tile_param { tiles: 2 }', counting(2, 3))
    np.testing.assert_array_equal(result, [[0, 1, 2, 0, 1, 2], [3, 4, 5, 3, 4, 5]])


@pytest.mark.parametrize(
    ("block", "copies"),
    [
        pytest.param("tiles: 3", (1, 3, 1, 1), id="channels-by-default"),
        pytest.param("tiles: 2 axis: 0", (2, 1, 1, 1), id="axis"),
        pytest.param("tiles: 2 axis: -1", (1, 1, 1, 2), id="negative-axis"),
        pytest.param("tiles: 1", (1, 1, 1, 1), id="one"),
    ],
)
def test_agrees_with_numpy(block: str, copies: tuple[int, ...]) -> None:
    x = blob(2, 3, 4, 5)
    np.testing.assert_array_equal(top(f'type: "Tile" tile_param {{ {block} }}', x), np.tile(x, copies))


def test_not_in_place() -> None:
    assert not KIND.in_place


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("", "tiles is 0; give how many copies", id="no-tiles"),
        pytest.param("tiles: -2", "tiles is -2", id="negative"),
        pytest.param("tiles: 2 axis: 4", "axis 4 is out of range", id="no-such-axis"),
    ],
)
def test_refused(block: str, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(f'type: "Tile" tile_param {{ {block} }}', (2, 3, 4, 5))
