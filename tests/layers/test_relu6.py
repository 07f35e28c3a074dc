"""ReLU6: x between 0 and 6."""

from __future__ import annotations

import numpy as np

from tests.layers.one_layer import blob, opencv, top, values
from xportdnn.layers.relu6 import KIND


def test_worked_by_hand() -> None:
    np.testing.assert_array_equal(top('type: "ReLU6"', values(-1, 0, 5.5, 6, 7)), [0, 0, 5.5, 6, 6])


def test_agrees_with_opencv() -> None:
    x = 5 * blob(2, 3, 4, 5)
    np.testing.assert_array_equal(top('type: "ReLU6"', x), opencv('type: "ReLU6"', x))


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"
