"""TanH."""

from __future__ import annotations

import math

import numpy as np

from tests.layers.one_layer import blob, opencv, top, values


def test_worked_by_hand() -> None:
    np.testing.assert_allclose(top('type: "TanH"', values(0, math.log(2), -math.log(2))), [0, 0.6, -0.6], rtol=1e-6)


def test_extreme_values_saturate_without_warning() -> None:
    np.testing.assert_array_equal(top('type: "TanH"', values(-3e38, 3e38)), [-1, 1])


def test_agrees_with_opencv() -> None:
    x = blob(2, 3, 4, 5)
    np.testing.assert_allclose(top('type: "TanH"', x), opencv('type: "TanH"', x), rtol=1e-5, atol=1e-7)
