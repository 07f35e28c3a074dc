"""Minifloats against a list of all numbers of the format."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.arithmetic.arrays import f32
from xportdnn.arithmetic import minifloat
from xportdnn.arithmetic.rounding import half_even, toward_zero

VALUES = st.lists(st.floats(-600, 600, width=32), min_size=1, max_size=20)


def magnitudes(mant_bits: int, exp_bits: int) -> list[Fraction]:
    """Every code is a normal number, that of exponent 0 and mantissa 0 included."""
    bias = 2 ** (exp_bits - 1) - 1
    return [
        (1 + Fraction(mantissa, 2**mant_bits)) * Fraction(2) ** (code - bias)
        for code in range(2**exp_bits)
        for mantissa in range(2**mant_bits)
    ]


def nearest(value: float, numbers: list[Fraction]) -> Fraction:
    """The nearest magnitude with the value's sign, the larger of two; 0 for what is below the smallest."""
    magnitude = abs(Fraction(value))
    if magnitude < numbers[0]:
        return Fraction(0)
    best = min(numbers, key=lambda number: (abs(number - magnitude), -number))
    return best if value > 0 else -best


@settings(max_examples=150, deadline=None)
@given(values=VALUES, mant_bits=st.integers(1, 4), exp_bits=st.integers(1, 4))
def test_the_nearest_number_of_the_format(values: list[float], mant_bits: int, exp_bits: int) -> None:
    numbers = magnitudes(mant_bits, exp_bits)
    trimmed = minifloat.trim(f32(values), mant_bits, exp_bits)
    assert trimmed.dtype == np.float32
    assert trimmed.tolist() == [float(nearest(value, numbers)) for value in values]


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_float32_itself_keeps_all_but_subnormals(values: list[float]) -> None:
    x = f32(values)
    expected = np.where(np.abs(x) < np.finfo(np.float32).smallest_normal, 0, x)
    np.testing.assert_array_equal(minifloat.trim(x, 23, 8), expected)


@settings(max_examples=50, deadline=None)
@given(values=VALUES, mant_bits=st.integers(1, 10), exp_bits=st.integers(1, 8))
def test_trimming_again_changes_nothing(values: list[float], mant_bits: int, exp_bits: int) -> None:
    once = minifloat.trim(f32(values), mant_bits, exp_bits)
    np.testing.assert_array_equal(minifloat.trim(once, mant_bits, exp_bits), once)


@pytest.mark.parametrize(("mant_bits", "exp_bits"), [(3, 4), (10, 5), (2, 8)])
def test_the_largest_number_is_where_values_are_cut_off(mant_bits: int, exp_bits: int) -> None:
    largest = minifloat.largest(mant_bits, exp_bits)
    beyond = f32([np.finfo(np.float32).max, -np.finfo(np.float32).max])
    assert minifloat.trim(beyond, mant_bits, exp_bits).tolist() == [largest, -largest]


def test_the_mantissa_is_rounded_as_asked() -> None:
    tie = f32([1.125, -1.375])
    assert minifloat.trim(tie, 2, 4).tolist() == [1.25, -1.5]
    assert minifloat.trim(tie, 2, 4, half_even).tolist() == [1.0, -1.5]
    assert minifloat.trim(tie, 2, 4, toward_zero).tolist() == [1.0, -1.25]


def test_ristretto_leaves_what_follows_a_zero() -> None:
    x = f32([[1.1, 0.0], [1.1, -1.1]])
    assert minifloat.trim(x, 2, 4, as_ristretto=True).tolist() == f32([[1.0, 0.0], [1.1, -1.1]]).tolist()


def test_ristretto_leaves_what_follows_an_underflow() -> None:
    x = f32([1.1, 1e-9, 1.1])
    assert minifloat.trim(x, 2, 4, as_ristretto=True).tolist() == f32([1.0, 0.0, 1.1]).tolist()


def test_ristretto_rounds_beyond_its_largest_number() -> None:
    x = f32([500, 10000])
    assert minifloat.trim(x, 2, 4, as_ristretto=True).tolist() == [512, 448]
    assert minifloat.trim(x, 2, 4).tolist() == [448, 448]


@pytest.mark.parametrize(("mant_bits", "exp_bits"), [(1, 1), (3, 4), (4, 2)])
def test_codes_are_ranks(mant_bits: int, exp_bits: int) -> None:
    """In the list of all numbers, 0 in front."""
    numbers = f32([0.0, *map(float, magnitudes(mant_bits, exp_bits))])
    ranks = np.arange(len(numbers))
    np.testing.assert_array_equal(minifloat.codes(numbers, mant_bits, exp_bits), ranks)
    np.testing.assert_array_equal(minifloat.codes(-numbers, mant_bits, exp_bits), -ranks)
    np.testing.assert_array_equal(minifloat.of_codes(ranks, mant_bits, exp_bits), numbers)
    np.testing.assert_array_equal(minifloat.of_codes(-ranks, mant_bits, exp_bits), -numbers)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_codes_of_float32_itself_give_it_back(values: list[float]) -> None:
    trimmed = minifloat.trim(f32(values), 23, 8)
    np.testing.assert_array_equal(minifloat.of_codes(minifloat.codes(trimmed, 23, 8), 23, 8), trimmed)
