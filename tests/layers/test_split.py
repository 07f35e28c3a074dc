"""Split: the same values on every top."""

from __future__ import annotations

import numpy as np
import pytest

from tests.layers.one_layer import counting, forward
from xportdnn.layers.split import KIND


@pytest.mark.parametrize("tops", [1, 3])
def test_every_top_is_the_bottom(tops: int) -> None:
    x = counting(2, 3, 4, 5)
    results = forward('type: "Split"', x, tops=tops)
    assert len(results) == tops
    for result in results:
        np.testing.assert_array_equal(result, x)


def test_not_in_place() -> None:
    assert not KIND.in_place


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"
