"""Pairing of boxes, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from xportdnn.evaluation.detections import Matches, match
from xportdnn.layers import Array


def boxes(*rows: tuple[float, ...]) -> Array:
    """(1, 1, boxes, 7) from label, score, x0, y0, x1, y1."""
    return np.array([(0, *row) for row in rows], np.float32).reshape(1, 1, -1, 7)


ONE = (1, 0.9, 0.1, 0.1, 0.5, 0.5)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (ONE, Matches(1, 1, 1)),
        ((2, *ONE[1:]), Matches(1, 1, 0)),
        ((1, 0.4, *ONE[2:]), Matches(1, 0, 0)),
        # 0.4 x 0.4 and the same moved by 0.1: 0.12 in common of 0.2
        ((1, 0.9, 0.2, 0.1, 0.6, 0.5), Matches(1, 1, 1)),
        # moved by 0.2: 0.08 in common of 0.24
        ((1, 0.9, 0.3, 0.1, 0.7, 0.5), Matches(1, 1, 0)),
        ((1, 0.9, 0.1, 0.1, 0.1, 0.1), Matches(1, 1, 0)),
    ],
    ids=["same", "other label", "low score", "overlap 0.6", "overlap 0.33", "empty box"],
)
def test_one_box(second: tuple[float, ...], expected: Matches) -> None:
    assert match(boxes(ONE), boxes(second)) == expected


def test_a_box_is_taken_once_and_by_the_best() -> None:
    near = (1, 0.8, 0.1, 0.1, 0.5, 0.51)
    assert match(boxes(ONE, near), boxes(ONE)) == Matches(2, 1, 1)
    assert match(boxes(near, ONE), boxes(ONE, near)) == Matches(2, 2, 2)


def test_nothing_found() -> None:
    nothing = boxes((-1, -1, -1, -1, -1, -1))
    assert match(nothing, boxes(ONE)) == Matches(0, 1, 0)
    assert match(boxes(ONE), nothing) == Matches(1, 0, 0)


def test_matches_add_up() -> None:
    assert Matches(1, 2, 1).plus(Matches(3, 4, 2)) == Matches(4, 6, 3)
