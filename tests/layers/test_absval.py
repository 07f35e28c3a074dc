"""AbsVal."""

from __future__ import annotations

import numpy as np

from tests.layers.one_layer import blob, opencv, top, values
from xportdnn.layers.absval import KIND


def test_worked_by_hand() -> None:
    np.testing.assert_array_equal(top('type: "AbsVal"', values(-2.5, 0, 3)), [2.5, 0, 3])


def test_agrees_with_opencv() -> None:
    x = blob(2, 3, 4, 5)
    np.testing.assert_array_equal(top('type: "AbsVal"', x), opencv('type: "AbsVal"', x))


def test_not_in_place() -> None:
    assert not KIND.in_place
