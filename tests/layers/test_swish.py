"""Swish: x times its own gate."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, opencv, top, values


def test_worked_by_hand() -> None:
    result = top('type: "Swish" swish_param { beta: 2 }', values(0, math.log(3) / 2, -math.log(3) / 2))
    np.testing.assert_allclose(result, [0, 0.75 * math.log(3) / 2, -0.25 * math.log(3) / 2], rtol=1e-6)


def test_agrees_with_opencv() -> None:
    x = blob(2, 3, 4, 5)
    np.testing.assert_allclose(top('type: "Swish"', x), opencv('type: "Swish"', x), rtol=1e-5, atol=1e-7)


@settings(max_examples=50, deadline=None)
@given(st.floats(-(2.0**100), 2.0**100, width=32))
def test_differs_from_its_mirror_by_x(x: float) -> None:
    there, back = top('type: "Swish"', values(x, -x))
    assert math.isclose(there - back, x, rel_tol=1e-5, abs_tol=1e-30)
