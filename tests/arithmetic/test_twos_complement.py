"""Registers against Python's integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xportdnn.arithmetic.twos_complement import saturate, wrap

WORDS = st.lists(st.integers(-(2**62), 2**62), min_size=1)
BITS = st.integers(1, 62)


@settings(max_examples=100, deadline=None)
@given(values=WORDS, bits=BITS)
def test_wrap(values: list[int], bits: int) -> None:
    half = 2 ** (bits - 1)
    assert wrap(np.array(values), bits).tolist() == [(value + half) % (2 * half) - half for value in values]


@settings(max_examples=100, deadline=None)
@given(values=WORDS, bits=BITS)
def test_saturate(values: list[int], bits: int) -> None:
    half = 2 ** (bits - 1)
    assert saturate(np.array(values), bits).tolist() == [max(-half, min(half - 1, value)) for value in values]


def test_the_dtype_stays() -> None:
    values = np.array([-300, 77], np.int16)
    assert wrap(values, 8).dtype == saturate(values, 8).dtype == np.int16
