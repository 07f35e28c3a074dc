"""ELU: exponential below zero."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, opencv, top, values


def test_worked_by_hand() -> None:
    result = top('type: "ELU" elu_param { alpha: 2 }', values(-1, 0, 3))
    np.testing.assert_allclose(result, [2 * (1 / math.e - 1), 0, 3], rtol=1e-6)


def test_agrees_with_opencv() -> None:
    x = blob(2, 3, 4, 5)
    np.testing.assert_allclose(top('type: "ELU"', x), opencv('type: "ELU"', x), rtol=1e-5, atol=1e-7)


@settings(max_examples=50, deadline=None)
@given(st.floats(-(2.0**100), 2.0**100, width=32), st.floats(0.125, 8, width=32))
def test_never_below_minus_alpha(x: float, alpha: float) -> None:
    assert top(f'type: "ELU" elu_param {{ alpha: {alpha!r} }}', values(x))[0] >= -np.float32(alpha)


@pytest.mark.parametrize("x", [0.0, 1e-20, 3.5, 1e38])
def test_positive_values_pass(x: float) -> None:
    assert top('type: "ELU"', values(x))[0] == np.float32(x)
