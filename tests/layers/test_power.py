"""Power: (shift + scale * x) ^ power."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.layers.one_layer import blob, opencv, top, values


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param("", [-2, 0, 3], id="identity"),
        pytest.param("scale: -1", [2, 0, -3], id="scale"),
        pytest.param("shift: 1 scale: 2", [-3, 1, 7], id="shift-after-scale"),
        pytest.param("power: 2 shift: 1", [1, 1, 16], id="power-after-shift"),
        pytest.param("power: 0", [1, 1, 1], id="power-0-gives-1"),
        pytest.param("scale: 0 shift: 3 power: 2", [9, 9, 9], id="scale-0-gives-a-constant"),
        pytest.param("power: 3", [-8, 0, 27], id="negative-base-whole-power"),
    ],
)
def test_worked_by_hand(block: str, expected: list[float]) -> None:
    np.testing.assert_array_equal(top(f'type: "Power" power_param {{ {block} }}', values(-2, 0, 3)), expected)


@pytest.mark.parametrize(
    ("power", "x", "expected"),
    [
        pytest.param(0.5, -4.0, math.nan, id="root-of-a-negative"),
        pytest.param(-1, 0.0, math.inf, id="one-over-zero"),
        pytest.param(3, 1e30, math.inf, id="beyond-float32"),
    ],
)
def test_what_has_no_value_gives_no_warning(power: float, x: float, expected: float) -> None:
    np.testing.assert_array_equal(top(f'type: "Power" power_param {{ power: {power} }}', values(x)), [expected])


def test_agrees_with_opencv() -> None:
    body = 'type: "Power" power_param { power: 2 scale: 0.5 shift: 1 }'
    x = blob(2, 3, 4, 5)
    np.testing.assert_allclose(top(body, x), opencv(body, x), rtol=1e-5)
