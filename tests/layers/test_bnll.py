"""BNLL: log(1 + e^x)."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, opencv, top, values


def test_worked_by_hand() -> None:
    result = top('type: "BNLL"', values(0, math.log(3), -math.log(3)))
    np.testing.assert_allclose(result, [math.log(2), math.log(4), math.log(4 / 3)], rtol=1e-6)


def test_extreme_values_do_not_overflow() -> None:
    np.testing.assert_array_equal(top('type: "BNLL"', values(-3e38, 3e38)), values(0, 3e38))


def test_agrees_with_opencv() -> None:
    x = blob(2, 3, 4, 5)
    np.testing.assert_allclose(top('type: "BNLL"', x), opencv('type: "BNLL"', x), rtol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.floats(-(2.0**100), 2.0**100, width=32))
def test_differs_from_its_mirror_by_x(x: float) -> None:
    there, back = top('type: "BNLL"', values(x, -x))
    assert math.isclose(there - back, x, rel_tol=1e-5, abs_tol=1e-6)
