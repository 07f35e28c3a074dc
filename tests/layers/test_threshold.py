"""Threshold: 1 above, 0 elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from tests.layers.one_layer import top, values


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param("", [0, 0, 1, 1], id="default-0-is-strict"),
        pytest.param("threshold: 0.5", [0, 0, 0, 1], id="0.5-is-strict"),
        pytest.param("threshold: -2", [1, 1, 1, 1], id="below-all"),
    ],
)
def test_worked_by_hand(block: str, expected: list[float]) -> None:
    result = top(f'type: "Threshold" threshold_param {{ {block} }}', values(-1, 0, 0.5, 0.75))
    np.testing.assert_array_equal(result, expected)
