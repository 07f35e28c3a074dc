"""Q.F numbers: against exact fractions, and their laws."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.arithmetic.arrays import f32
from xportdnn.arithmetic import qformat
from xportdnn.arithmetic.rounding import Rounding, half_away, half_even, half_up, stochastic
from xportdnn.layers import Array

VALUES = st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=20)
WIDTHS = st.integers(1, 32)
# float32 has all integers of these widths
NARROW = st.integers(1, 25)
FRACTIONS = st.integers(-40, 60)


def around(values: list[float], bits: int, fl: int) -> Array:
    """Values of the format's size, some beyond it."""
    return np.ldexp(f32(values), bits - 1 - fl)


@settings(max_examples=150, deadline=None)
@given(values=VALUES, bits=WIDTHS, fl=FRACTIONS)
def test_quantize_is_exact(values: list[float], bits: int, fl: int) -> None:
    x = around(values, bits, fl)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    for value, integer in zip(x.tolist(), qformat.quantize(x, bits, fl).tolist(), strict=True):
        exact = Fraction(value) * Fraction(2) ** fl
        nearest = int(math.copysign(math.floor(abs(exact) + Fraction(1, 2)), exact))
        assert integer == max(low, min(high, nearest))


@settings(max_examples=100, deadline=None)
@given(values=VALUES, bits=NARROW, fl=FRACTIONS)
def test_trim_is_quantize_and_back(values: list[float], bits: int, fl: int) -> None:
    x = around(values, bits, fl)
    back = qformat.dequantize(qformat.quantize(x, bits, fl), fl)
    np.testing.assert_array_equal(qformat.trim(x, bits, fl), back)


@pytest.mark.parametrize("rule", [half_away, half_even, half_up], ids=lambda rule: rule.__name__)
@settings(max_examples=60, deadline=None)
@given(values=VALUES, bits=WIDTHS, fl=FRACTIONS)
def test_trimming_again_changes_nothing(rule: Rounding, values: list[float], bits: int, fl: int) -> None:
    once = qformat.trim(around(values, bits, fl), bits, fl, rule)
    np.testing.assert_array_equal(qformat.trim(once, bits, fl, rule), once)


@settings(max_examples=100, deadline=None)
@given(values=VALUES, bits=WIDTHS, fl=FRACTIONS)
def test_larger_values_give_no_smaller_integers(values: list[float], bits: int, fl: int) -> None:
    assert (np.diff(qformat.quantize(np.sort(around(values, bits, fl)), bits, fl)) >= 0).all()


@settings(max_examples=100, deadline=None)
@given(values=VALUES, bits=st.integers(2, 32), fl=FRACTIONS)
def test_inside_the_range_the_error_is_half_a_step_at_most(values: list[float], bits: int, fl: int) -> None:
    x = around(values, bits, fl)
    x = x[~qformat.saturates(x, bits, fl)]
    error = np.abs(qformat.trim(x, bits, fl).astype(np.float64) - x)
    assert (error <= math.ldexp(0.5, -fl)).all()


@settings(max_examples=60, deadline=None)
@given(values=VALUES, bits=NARROW, fl=FRACTIONS)
def test_inside_the_range_the_negative_gives_the_negative(values: list[float], bits: int, fl: int) -> None:
    x = around(values, bits, fl)
    x = x[~qformat.saturates(np.abs(x), bits, fl)]
    np.testing.assert_array_equal(qformat.quantize(-x, bits, fl), -qformat.quantize(x, bits, fl))


@pytest.mark.parametrize(
    ("bits", "fl", "least", "greatest"),
    [(8, 5, -4.0, 3.96875), (8, -3, -1024.0, 1016.0), (1, 0, -1.0, 0.0), (6, 10, -0.03125, 0.0302734375)],
)
def test_the_ends_of_the_range(bits: int, fl: int, least: float, greatest: float) -> None:
    assert qformat.trim(f32([-1e30, 1e30]), bits, fl).tolist() == [least, greatest]


@pytest.mark.parametrize("fl", [-149, 150], ids=["coarser than float32", "finer than float32"])
def test_an_fl_beyond_float32(fl: int) -> None:
    assert qformat.quantize(f32([-1, 0, 1]), 8, fl).tolist() == ([0, 0, 0] if fl < 0 else [-128, 0, 127])


def test_saturates() -> None:
    values = f32([-4.0001, -4, 0, 3.96875, 3.97])
    assert qformat.saturates(values, 8, 5).tolist() == [True, False, False, False, True]


def test_stochastic_rounding_stays_in_the_range() -> None:
    values = np.full(1000, 3.98, np.float32)
    integers = qformat.quantize(values, 8, 5, stochastic(np.random.default_rng(3)))
    assert set(integers.tolist()) == {127}


def test_stochastic_rounding_takes_both_neighbours() -> None:
    values = np.full(1000, 1.01, np.float32)
    integers = qformat.quantize(values, 8, 5, stochastic(np.random.default_rng(3)))
    assert set(integers.tolist()) == {32, 33}


@settings(max_examples=100, deadline=None)
@given(values=VALUES, bits=WIDTHS, fl=st.integers(-300, 300))
def test_one_number_is_quantized_as_an_array_is(values: list[float], bits: int, fl: int) -> None:
    for x in (f32(values), around(values, bits, max(-40, min(fl, 60)))):
        alone = [qformat.quantized(value, bits, fl) for value in x.tolist()]
        assert alone == qformat.quantize(x, bits, fl).tolist()
