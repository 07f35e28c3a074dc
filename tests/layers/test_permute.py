"""Permute: the axes in another order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.layers.one_layer import blob, counting, opencv, shapes, top
from xportdnn.errors import LayerError
from xportdnn.layers.permute import KIND


def body(*order: int) -> str:
    return f'type: "Permute" permute_param {{ {" ".join(f"order: {axis}" for axis in order)} }}'


def test_worked_by_hand() -> None:
    np.testing.assert_array_equal(top(body(1, 0), counting(2, 3)), [[0, 3], [1, 4], [2, 5]])


def test_every_value_moves_with_its_index() -> None:
    x = counting(2, 3, 4, 5)
    result = top(body(0, 2, 3, 1), x)
    for n, c, h, w in np.ndindex(2, 3, 4, 5):
        assert result[n, h, w, c] == x[n, c, h, w]


def test_axes_not_named_follow_in_order() -> None:
    assert shapes(body(2), (2, 3, 4, 5)) == ((4, 2, 3, 5),)


def test_no_order_changes_nothing() -> None:
    x = counting(2, 3, 4, 5)
    np.testing.assert_array_equal(top('type: "Permute"', x), x)


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 3, 2)], ids=str)
def test_agrees_with_opencv(order: tuple[int, ...]) -> None:
    x = blob(2, 3, 4, 5)
    np.testing.assert_array_equal(top(body(*order), x), opencv(body(*order), x))


def test_the_inverse_order_undoes_it() -> None:
    x = counting(2, 3, 4)
    for order in itertools.permutations(range(3)):
        there = np.array(top(body(*order), x))
        np.testing.assert_array_equal(top(body(*map(int, np.argsort(order))), there), x)


def test_not_in_place() -> None:
    assert not KIND.in_place


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"


@pytest.mark.parametrize(
    ("order", "message"),
    [
        pytest.param((0, 4), "order 4 is not an axis of a bottom of 2x3x4x5; use 0 to 3", id="no-such-axis"),
        pytest.param((0, 2, 2), "order 2 is given more than once", id="twice"),
    ],
)
def test_refused(order: tuple[int, ...], message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(body(*order), (2, 3, 4, 5))
