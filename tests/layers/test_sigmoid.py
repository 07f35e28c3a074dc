"""Sigmoid: into [0, 1], without overflow."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, opencv, top, values


def test_worked_by_hand() -> None:
    np.testing.assert_allclose(top('type: "Sigmoid"', values(0, math.log(3), -math.log(3))), [0.5, 0.75, 0.25], 1e-6)


def test_extreme_values_saturate_without_warning() -> None:
    result = top('type: "Sigmoid" sigmoid_param { engine: CAFFE }', values(-3e38, -100, 100, 3e38, np.inf, -np.inf))
    np.testing.assert_allclose(result, [0, 0, 1, 1, 1, 0], atol=1e-40)


def test_agrees_with_opencv() -> None:
    x = 4 * blob(2, 3, 4, 5)
    np.testing.assert_allclose(top('type: "Sigmoid"', x), opencv('type: "Sigmoid"', x), atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.floats(-90, 90, width=32))
def test_point_symmetry(x: float) -> None:
    there, back = top('type: "Sigmoid"', values(x, -x))
    assert math.isclose(there + back, 1, rel_tol=1e-6)
