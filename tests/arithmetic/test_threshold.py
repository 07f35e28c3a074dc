"""Quantization by threshold: against exact arithmetic, and its laws."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.arithmetic.arrays import f32
from xportdnn.arithmetic import threshold
from xportdnn.arithmetic.rounding import Rounding, half_away, half_even, half_up
from xportdnn.kernels import along
from xportdnn.layers import Array

THRESHOLDS = st.floats(2.0**-20, 2.0**20, width=32)
VALUES = st.lists(st.floats(-1.5, 1.5, width=32), min_size=1, max_size=20)
# wider integers are beyond float32, see the module
EXACT_WIDTHS = st.integers(2, 22)
ALL_WIDTHS = st.integers(2, 32)


def scaled(values: list[float], th: float) -> Array:
    """Values around a threshold, some beyond it."""
    return f32(values) * f32(th)


def share(value: float, th: float) -> Fraction:
    """value / th within -1..1."""
    return max(Fraction(-1), min(Fraction(1), Fraction(value) / Fraction(th)))


@pytest.mark.parametrize(("bits", "expected"), [(2, 1), (6, 31), (8, 127), (18, 131071), (32, 2147483647)])
def test_levels(bits: int, expected: int) -> None:
    assert threshold.levels(bits) == expected


@settings(max_examples=100, deadline=None)
@given(th=THRESHOLDS, bits=ALL_WIDTHS)
def test_the_step_is_rounded_once(th: float, bits: int) -> None:
    step = threshold.step(th, bits)
    assert step.dtype == np.float32
    exact = Fraction(th) / threshold.levels(bits)
    assert step == f32(float(exact))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [(half_away, [-3, -2, -1, 1, 2, 3]), (half_even, [-2, -2, 0, 0, 2, 2]), (half_up, [-2, -1, 0, 1, 2, 3])],
    ids=["half_away", "half_even", "half_up"],
)
def test_ties(rule: Rounding, expected: list[int]) -> None:
    ties = f32([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    assert threshold.quantize(ties, 127, 8, rule).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(values=VALUES, th=THRESHOLDS, bits=EXACT_WIDTHS)
def test_quantize_is_exact_but_for_two_roundings(values: list[float], th: float, bits: int) -> None:
    x = scaled(values, th)
    top = threshold.levels(bits)
    for value, integer in zip(x.tolist(), threshold.quantize(x, th, bits).tolist(), strict=True):
        exact = share(value, th) * top
        assert abs(exact - integer) <= Fraction(1, 2) + abs(exact) * Fraction(1, 2**23)


@settings(max_examples=100, deadline=None)
@given(values=VALUES, th=THRESHOLDS, bits=EXACT_WIDTHS)
def test_trim_is_quantize_and_back(values: list[float], th: float, bits: int) -> None:
    x = scaled(values, th)
    back = threshold.dequantize(threshold.quantize(x, th, bits), th, bits)
    np.testing.assert_array_equal(threshold.trim(x, th, bits), back)


@pytest.mark.parametrize("rule", [half_away, half_even, half_up], ids=lambda rule: rule.__name__)
@settings(max_examples=60, deadline=None)
@given(values=VALUES, th=THRESHOLDS, bits=EXACT_WIDTHS)
def test_trimming_again_changes_nothing(rule: Rounding, values: list[float], th: float, bits: int) -> None:
    once = threshold.trim(scaled(values, th), th, bits, rule)
    np.testing.assert_array_equal(threshold.trim(once, th, bits, rule), once)


@pytest.mark.parametrize("rule", [half_away, half_even], ids=lambda rule: rule.__name__)
@settings(max_examples=60, deadline=None)
@given(values=VALUES, th=THRESHOLDS, bits=ALL_WIDTHS)
def test_the_negative_gives_the_negative(rule: Rounding, values: list[float], th: float, bits: int) -> None:
    x = scaled(values, th)
    np.testing.assert_array_equal(threshold.quantize(-x, th, bits, rule), -threshold.quantize(x, th, bits, rule))


@settings(max_examples=100, deadline=None)
@given(values=VALUES, th=THRESHOLDS, bits=ALL_WIDTHS)
def test_larger_values_give_no_smaller_integers(values: list[float], th: float, bits: int) -> None:
    integers = threshold.quantize(np.sort(scaled(values, th)), th, bits)
    assert (np.diff(integers) >= 0).all()


@settings(max_examples=100, deadline=None)
@given(th=THRESHOLDS, bits=EXACT_WIDTHS)
def test_the_threshold_and_all_beyond_give_the_largest_integer(th: float, bits: int) -> None:
    ends = f32([-1e30, -th, th, 1e30])
    top = threshold.levels(bits)
    assert threshold.quantize(ends, th, bits).tolist() == [-top, -top, top, top]


@settings(max_examples=60, deadline=None)
@given(values=VALUES, th=THRESHOLDS, bits=st.integers(23, 32))
def test_wide_integers_are_as_near_as_float32_can_tell(values: list[float], th: float, bits: int) -> None:
    x = scaled(values, th)
    for value, integer in zip(x.tolist(), threshold.quantize(x, th, bits).tolist(), strict=True):
        exact = share(value, th) * threshold.levels(bits)
        assert abs(exact - integer) <= 1 + abs(exact) * Fraction(1, 2**23)


@settings(max_examples=60, deadline=None)
@given(th=THRESHOLDS, bits=ALL_WIDTHS)
def test_no_integer_is_beyond_the_largest(th: float, bits: int) -> None:
    integers = threshold.quantize(f32([-th, th]), th, bits)
    assert np.abs(integers).max() <= threshold.levels(bits)


def test_a_threshold_for_each_output_channel() -> None:
    weight = np.full((3, 2, 1, 1), 5, np.float32)
    th_params = along(f32([5, 10, 0]), 0, 4)
    assert threshold.quantize(weight, th_params, 8).reshape(3, 2).tolist() == [[127, 127], [64, 64], [0, 0]]


@pytest.mark.parametrize("th", [0.0, 1e-44], ids=["zero", "step below float32"])
def test_without_a_step_all_is_zero(th: float) -> None:
    assert threshold.trim(f32([-3, 0, 2]), th, 8).tolist() == pytest.approx([0, 0, 0])


def test_clips() -> None:
    assert threshold.clips(f32([-2.5, -2, 0, 2, math.inf]), 2).tolist() == [True, False, False, False, True]


def test_the_argument_stays() -> None:
    values = f32([7, -0.3])
    threshold.trim(values, 1, 8)
    assert values.tolist() == f32([7, -0.3]).tolist()
