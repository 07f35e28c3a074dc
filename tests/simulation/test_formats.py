"""Trimming in place: the same numbers and counts as trimming a copy, whatever the size and order of the array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xportdnn.arithmetic.rounding import stochastic
from xportdnn.errors import LayerError
from xportdnn.layers import Array
from xportdnn.simulation.formats import Fixed, Format, Minifloat, Threshold, bring

LONG = (1, 3, 151, 163)  # more than a stretch, and no multiple of one
FORMATS: dict[str, Format] = {
    "Threshold": Threshold(1.5, 8),
    "Threshold of zero": Threshold(0.0, 8),
    "wide Threshold": Threshold(9.0, 16),
    "Fixed": Fixed(5, 8),
    "wide Fixed": Fixed(10, 16),
    "Minifloat": Minifloat(3, 4),
}
each_format = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)


def random(shape: tuple[int, ...], seed: int = 0) -> Array:
    return (2 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


@each_format
@pytest.mark.parametrize("rectified", [False, True], ids=["", "rectified"])
def test_long_arrays(form: Format, rectified: bool) -> None:
    x = random(LONG)
    lost, expected = form.clipped(x, rectified), form.trim(x)
    assert bring(form, x, rectified) == lost
    assert x.tobytes() == expected.tobytes()


@each_format
@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.floats(-4, 4, width=32), st.integers(-300, 300).map(lambda n: n / 64)), max_size=9))
def test_short_arrays(form: Format, values: list[float]) -> None:
    x = np.array(values, np.float32)
    lost, expected = form.clipped(x, False), form.trim(x)
    assert bring(form, x) == lost
    assert x.tobytes() == expected.tobytes()


@each_format
def test_channels_last(form: Format) -> None:
    x = random((1, 5, 7, 3)).transpose(0, 3, 1, 2)
    expected = form.trim(x)
    bring(form, x)
    np.testing.assert_array_equal(x, expected)


def test_random_numbers_are_drawn_as_for_the_whole() -> None:
    once, again = (Fixed(4, 8, stochastic(np.random.default_rng(7))) for _ in range(2))
    x = random(LONG)
    expected = once.trim(x)
    bring(again, x)
    np.testing.assert_array_equal(x, expected)


@each_format
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf], ids=str)
def test_what_is_no_number_is_counted_in_the_whole_array(form: Format, wrong: float) -> None:
    x = random(LONG)
    x[0, 2, 140:142, 5] = wrong
    with pytest.raises(LayerError, match=f"2 values of {x.size} are NaN or infinite"):
        bring(form, x)
