"""Power-of-two weights."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.arithmetic.arrays import f32
from xportdnn.arithmetic import power_of_two
from xportdnn.arithmetic.rounding import stochastic

EXPONENTS = st.tuples(st.integers(-12, 0), st.integers(0, 6))


@settings(max_examples=200, deadline=None)
@given(weight=st.floats(-300, 300, width=32), exponents=EXPONENTS)
def test_the_rounded_logarithm(weight: float, exponents: tuple[int, int]) -> None:
    low, high = exponents
    logarithm = math.log2(abs(weight)) if weight else -math.inf
    assume(math.isinf(logarithm) or abs(abs(logarithm) % 1 - 0.5) > 1e-6)
    exponent = low if math.isinf(logarithm) else max(low, min(high, round(logarithm)))
    assert power_of_two.trim(f32([weight]), low, high).tolist() == [math.copysign(2.0**exponent, weight or 1)]


@settings(max_examples=50, deadline=None)
@given(weights=st.lists(st.floats(-300, 300, width=32), min_size=1), exponents=EXPONENTS)
def test_trimming_again_changes_nothing(weights: list[float], exponents: tuple[int, int]) -> None:
    once = power_of_two.trim(f32(weights), *exponents)
    np.testing.assert_array_equal(power_of_two.trim(once, *exponents), once)


def test_zero_of_either_sign_becomes_the_smallest_positive() -> None:
    assert power_of_two.trim(f32([0.0, -0.0]), -8, -1).tolist() == [2.0**-8, 2.0**-8]


def test_the_dtype_stays() -> None:
    assert power_of_two.trim(f32([[0.3]]), -8, -1).dtype == np.float32


def test_stochastic_rounding_takes_both_neighbours() -> None:
    trimmed = power_of_two.trim(np.full(1000, 0.3, np.float32), -8, -1, stochastic(np.random.default_rng(0)))
    assert set(trimmed.tolist()) == {0.25, 0.5}
