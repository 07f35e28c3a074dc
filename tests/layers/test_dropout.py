"""Dropout: the identity in the TEST phase."""

from __future__ import annotations

import numpy as np

from tests.layers.one_layer import counting, top
from xportdnn.layers.dropout import KIND


def test_nothing_changes_whatever_the_ratio() -> None:
    x = counting(2, 3, 4, 5)
    np.testing.assert_array_equal(top('type: "Dropout" dropout_param { dropout_ratio: 0.9 }', x), x)


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"
