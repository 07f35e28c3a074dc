"""Exp: base ^ (shift + scale * x)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.layers.one_layer import blob, opencv, shapes, top, values
from xportdnn.errors import LayerError


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param("", [1 / math.e, 1, math.e], id="e"),
        pytest.param("base: 2", [0.5, 1, 2], id="base"),
        pytest.param("base: 2 scale: 3 shift: 1", [0.25, 2, 16], id="scale-and-shift"),
        pytest.param("base: 1", [1, 1, 1], id="base-1"),
    ],
)
def test_worked_by_hand(block: str, expected: list[float]) -> None:
    np.testing.assert_allclose(top(f'type: "Exp" exp_param {{ {block} }}', values(-1, 0, 1)), expected, rtol=1e-6)


def test_overflow_gives_infinity_without_warning() -> None:
    np.testing.assert_array_equal(top('type: "Exp"', values(1e4, -1e4)), [math.inf, 0])


def test_agrees_with_opencv() -> None:
    body = 'type: "Exp" exp_param { base: 2 scale: 0.5 shift: 1 }'
    x = blob(2, 3, 4, 5)
    np.testing.assert_allclose(top(body, x), opencv(body, x), rtol=1e-5)


@pytest.mark.parametrize("base", ["0", "-2", "inf", "nan"])
def test_a_base_without_logarithm_is_refused(base: str) -> None:
    with pytest.raises(LayerError, match=f"exp_param base is {base}; give a positive number"):
        shapes(f'type: "Exp" exp_param {{ base: {base} }}', (2, 3))
