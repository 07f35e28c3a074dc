"""Log: the logarithm of shift + scale * x."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import shapes, top, values
from xportdnn.errors import LayerError


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param("", [0, math.log(2), math.log(8)], id="e"),
        pytest.param("base: 2", [0, 1, 3], id="base"),
        pytest.param("base: 2 scale: 3 shift: 1", [2, math.log2(7), math.log2(25)], id="scale-and-shift"),
        pytest.param("base: 0.5", [0, -1, -3], id="base-below-1"),
    ],
)
def test_worked_by_hand(block: str, expected: list[float]) -> None:
    np.testing.assert_allclose(top(f'type: "Log" log_param {{ {block} }}', values(1, 2, 8)), expected, rtol=1e-6)


def test_zero_and_negative_give_no_warning() -> None:
    np.testing.assert_array_equal(top('type: "Log"', values(0, -1)), [-math.inf, math.nan])


@settings(max_examples=50, deadline=None)
@given(st.floats(-20, 20, width=32), st.floats(1.5, 10, width=32))
def test_undoes_exp(x: float, base: float) -> None:
    grown = top(f'type: "Exp" exp_param {{ base: {base!r} }}', values(x))
    back = top(f'type: "Log" log_param {{ base: {base!r} }}', grown)
    np.testing.assert_allclose(back, [x], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("base", ["0", "1", "-2", "inf", "nan"])
def test_a_base_without_logarithm_is_refused(base: str) -> None:
    with pytest.raises(LayerError, match=f"log_param base is {base}; give a positive number other than 1"):
        shapes(f'type: "Log" log_param {{ base: {base} }}', (2, 3))
