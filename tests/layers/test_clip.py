"""Clip: x between two limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import shapes, top, values
from xportdnn.errors import LayerError
from xportdnn.layers.clip import KIND


def test_worked_by_hand() -> None:
    result = top('type: "Clip" clip_param { min: -1 max: 2.5 }', values(-3, -1, 0.5, 2.5, 9))
    np.testing.assert_array_equal(result, [-1, -1, 0.5, 2.5, 2.5])


@settings(max_examples=50, deadline=None)
@given(st.floats(width=32, allow_nan=False))
def test_clipping_again_changes_nothing(x: float) -> None:
    body = 'type: "Clip" clip_param { min: -0.1 max: 0.7 }'
    once = top(body, values(x))
    np.testing.assert_array_equal(top(body, once.copy()), once)


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("max: 6", "has no min; give both", id="no-min"),
        pytest.param("min: 0", "has no max; give both", id="no-max"),
        pytest.param("min: 6 max: 0", "min 6 is above max 0", id="crossed"),
    ],
)
def test_refused(block: str, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(f'type: "Clip" clip_param {{ {block} }}', (2, 3))
