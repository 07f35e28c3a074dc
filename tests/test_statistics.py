"""The laws of merging, and the histogram against NumPy's."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xportdnn.layers import Array
from xportdnn.statistics import BINS, Statistics, merge, of

# all of float32: zeros, denormals, and powers of two, which lie on the edges of bins
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, 2.0**-149, -(2.0**-140), 2.0**-126, 0.25, 0.5, 1.0, -1.0, 2.0, 1024.0, 2.0**127, -(2.0**128 - 2.0**104)]
)
BLOBS = st.lists(NUMBERS, min_size=1, max_size=20).map(lambda numbers: np.array(numbers, np.float32))


def values(statistics: Statistics) -> tuple[Any, ...]:
    """Everything, comparable."""
    return statistics.minimum, statistics.maximum, statistics.exponent, statistics.counts.tolist()


@settings(max_examples=150, deadline=None)
@given(BLOBS, BLOBS)
def test_merging_parts_is_looking_at_the_whole(first: Array, second: Array) -> None:
    assert values(merge(of(first), of(second))) == values(of(np.concatenate((first, second))))


@settings(max_examples=60, deadline=None)
@given(BLOBS, BLOBS, BLOBS)
def test_merging_is_commutative_and_associative(first: Array, second: Array, third: Array) -> None:
    a, b, c = of(first), of(second), of(third)
    assert values(merge(a, b)) == values(merge(b, a))
    assert values(merge(merge(a, b), c)) == values(merge(a, merge(b, c)))


@settings(max_examples=60, deadline=None)
@given(st.lists(BLOBS, min_size=1, max_size=5).flatmap(lambda parts: st.tuples(st.just(parts), st.permutations(parts))))
def test_order_and_grouping_do_not_matter(case: tuple[list[Array], list[Array]]) -> None:
    parts, shuffled = case
    whole = values(of(np.concatenate(parts)))
    assert values(reduce(merge, map(of, parts))) == whole
    assert values(reduce(merge, map(of, shuffled))) == whole
    assert values(reduce(lambda right, left: merge(left, right), map(of, reversed(shuffled)))) == whole


@settings(max_examples=150, deadline=None)
@given(BLOBS)
def test_the_bins_are_numpys(blob: Array) -> None:
    found = of(blob)
    magnitude = np.abs(blob.astype(np.float64))
    # the edges are multiples of a power of two, hence exact
    expected, edges = np.histogram(magnitude, BINS, (0.0, math.ldexp(1.0, found.exponent)))
    np.testing.assert_array_equal(found.counts, expected)
    assert edges[1] == found.width
    assert found.count == blob.size
    assert (found.minimum, found.maximum) == (float(blob.min()), float(blob.max()))
    assert found.peak == magnitude.max()


@settings(max_examples=100, deadline=None)
@given(BLOBS)
def test_the_range_is_the_power_of_two_just_above_the_largest(blob: Array) -> None:
    found = of(blob)
    assert found.peak < math.ldexp(1.0, found.exponent)
    assert found.exponent == -148 or found.peak >= math.ldexp(1.0, found.exponent - 1)


def test_after_many_small_values_a_huge_one() -> None:
    tiny, huge = of(np.full(7, 2.0**-149, np.float32)), of(np.array([-(2.0**127)], np.float32))
    found = merge(tiny, huge)
    assert (found.exponent, found.count, found.peak) == (128, 8, 2.0**127)
    assert found.counts[[0, BINS // 2]].tolist() == [7, 1]


@pytest.mark.parametrize("zeros", [[0.0], [-0.0, 0.0, 0.0]], ids=["one", "three"])
def test_zeros_change_nothing_but_the_counts(zeros: list[float]) -> None:
    blob, empty = np.array([-3.0, 0.125, 2.0], np.float32), np.array(zeros, np.float32)
    found = merge(of(empty), of(blob))
    assert (found.minimum, found.maximum, found.exponent) == (-3.0, 2.0, 2)
    assert found.counts[0] == len(zeros)
    assert of(empty).peak == 0.0


def test_any_layout_of_memory() -> None:
    blob = np.random.default_rng(0).standard_normal((2, 3, 5, 7)).astype(np.float32)
    expected = values(of(blob))
    assert values(of(blob.transpose(3, 1, 0, 2))) == expected
    blob.flags.writeable = False
    assert values(of(blob)) == expected


def test_the_argument_is_not_changed() -> None:
    blob = np.array([-1.0, 2.0], np.float32)
    of(blob)
    assert blob.tolist() == [-1.0, 2.0]


def test_merging_leaves_its_arguments_alone() -> None:
    first, second = of(np.array([1.0], np.float32)), of(np.array([100.0], np.float32))
    before = values(first), values(second)
    merge(first, second)
    assert (values(first), values(second)) == before
