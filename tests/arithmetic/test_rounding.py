"""Rounding against exact fractions, and stochastic rounding by its distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.arithmetic.arrays import f32
from xportdnn.arithmetic import rounding
from xportdnn.arithmetic.rounding import Rounding

HALF = Fraction(1, 2)


def away(x: Fraction) -> int:
    return int(math.copysign(math.floor(abs(x) + HALF), x))


RULES: dict[str, tuple[Rounding, Callable[[Fraction], int]]] = {
    "half_away": (rounding.half_away, away),
    "half_even": (rounding.half_even, round),
    "half_up": (rounding.half_up, lambda x: math.floor(x + HALF)),
    "toward_zero": (rounding.toward_zero, math.trunc),
}
each_rule = pytest.mark.parametrize(("rule", "exact"), RULES.values(), ids=RULES)


@each_rule
@settings(max_examples=150, deadline=None)
@given(x=st.one_of(st.floats(-300, 300, width=32), st.integers(-600, 600).map(lambda n: n / 2)))
@example(x=0.5 - 2.0**-25)
@example(x=-(0.5 - 2.0**-25))
@example(x=2.0**22 + 0.5)
@example(x=2.0**23 + 1)
@example(x=-(2.0**-149))
def test_float32(rule: Rounding, exact: Callable[[Fraction], int], x: float) -> None:
    result = rule(f32([x]))
    assert result.dtype == np.float32
    assert result[0] == exact(Fraction(x))


@each_rule
@settings(max_examples=150, deadline=None)
@given(x=st.floats(-1e6, 1e6))
@example(x=0.5 - 2.0**-54)
@example(x=-(0.5 - 2.0**-54))
@example(x=2.0**52 + 1)
def test_float64(rule: Rounding, exact: Callable[[Fraction], int], x: float) -> None:
    result = rule(np.array([x]))
    assert result.dtype == np.float64
    assert result[0] == exact(Fraction(x))


@each_rule
def test_the_argument_stays(rule: Rounding, exact: Callable[[Fraction], int]) -> None:
    values = f32([[0.25, -1.5, 2.5]])
    rule(values)
    np.testing.assert_array_equal(values, f32([[0.25, -1.5, 2.5]]))


def stochastic(values: list[float], seed: int = 5) -> list[float]:
    rounded: list[float] = rounding.stochastic(np.random.default_rng(seed))(f32(values)).tolist()
    return rounded


def test_a_seed_repeats_the_draws() -> None:
    values = [index / 7 for index in range(200)]
    assert stochastic(values) == stochastic(values) != stochastic(values, seed=6)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(-300, 300, width=32), min_size=1), seed=st.integers(0, 99))
def test_a_draw_gives_a_neighbour(values: list[float], seed: int) -> None:
    for x, rounded in zip(values, stochastic(values, seed), strict=True):
        assert rounded in (math.floor(x), math.ceil(x))


@pytest.mark.parametrize("x", [0.125, -0.75, 100.5], ids=str)
def test_draws_keep_the_mean(x: float) -> None:
    count = 20_000
    mean = sum(stochastic([x] * count)) / count
    assert abs(mean - x) < 5 * 0.5 / math.sqrt(count)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.floats(-300, 300, width=32), st.integers(-600, 600).map(lambda n: n / 2)), min_size=1))
def test_in_place_the_same_bits(values: list[float]) -> None:
    x = f32(values)
    expected = rounding.half_away(x)
    rounding.half_away_over(x, np.full_like(x, np.nan))
    assert x.tobytes() == expected.tobytes()
