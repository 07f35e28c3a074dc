"""Measures against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from xportdnn.evaluation.metrics import (
    Energy,
    Look,
    cosine,
    divergence,
    energy,
    look,
    mean,
    per_cent,
    psnr_db,
    rank,
    softmax,
    sqnr_db,
)
from xportdnn.layers import Array


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


def test_energy() -> None:
    # squares 9 + 16, differences -1 and 2, quantized 4 + 36
    assert energy(floats(3, 4), floats(2, 6)) == Energy(25.0, 5.0, 40.0)


def test_sqnr() -> None:
    assert sqnr_db(Energy(25.0, 5.0, 40.0)) == pytest.approx(10 * math.log10(5))
    assert sqnr_db(Energy(1.0, 100.0, 1.0)) == pytest.approx(-20)


@pytest.mark.parametrize("sums", [Energy(4.0, 0.0, 4.0), Energy(0.0, 3.0, 3.0), Energy(0.0, 0.0, 0.0)])
def test_no_sqnr_without_signal_or_noise(sums: Energy) -> None:
    assert sqnr_db(sums) is None


def test_cosine() -> None:
    # (3, 4) and (2, 6): 30 / (5 * sqrt 40)
    assert cosine(Energy(25.0, 5.0, 40.0)) == pytest.approx(30 / (5 * math.sqrt(40)))
    assert cosine(energy(floats(1, 0), floats(0, 2))) == pytest.approx(0)
    assert cosine(energy(floats(1, 2), floats(-2, -4))) == pytest.approx(-1)


def test_no_cosine_of_zeros() -> None:
    assert cosine(Energy(1.0, 1.0, 0.0)) is None
    assert cosine(Energy(0.0, 1.0, 1.0)) is None


def test_psnr() -> None:
    # differences of 0.1 in each of 50 values, extent 2: 20 log10(2 / 0.1)
    assert psnr_db(Energy(1.0, 50 * 0.01, 1.0), 50, 2.0) == pytest.approx(20 * math.log10(20))
    assert psnr_db(Energy(1.0, 0.0, 1.0), 50, 2.0) is None
    assert psnr_db(Energy(1.0, 1.0, 1.0), 50, 0.0) is None


@settings(deadline=None, max_examples=30)
@given(
    npst.arrays(np.float32, (2, 3, 5), elements=st.floats(-(2.0**50), 2.0**50, width=32)),
    npst.arrays(np.float32, (2, 3, 5), elements=st.floats(-(2.0**50), 2.0**50, width=32)),
)
def test_energy_agrees_with_float64(first: Array, second: Array) -> None:
    found = energy(first, second)
    x, y = first.astype(np.float64), second.astype(np.float64)
    expected = (x**2).sum(), ((x - y) ** 2).sum(), (y**2).sum()
    # the difference of float32 numbers is rounded to float32
    assert found == pytest.approx(expected, rel=1e-5)


def test_energy_of_more_than_a_block() -> None:
    rng = np.random.default_rng(3)
    first = rng.standard_normal(40001).astype(np.float32)
    second = first + rng.standard_normal(40001).astype(np.float32) / np.float32(64)
    x, y = first.astype(np.float64), second.astype(np.float64)
    expected = (x**2).sum(), ((x - y) ** 2).sum(), (y**2).sum()
    assert energy(first, second) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e30], ids=["squares below float32", "squares above float32"])
def test_energy_where_squares_leave_float32(scale: float) -> None:
    assert energy(floats(3 * scale), floats(2 * scale)) == pytest.approx(
        (9 * scale**2, scale**2, 4 * scale**2), rel=1e-5
    )


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_found(wrong: float) -> None:
    assert not energy(floats(1, wrong), floats(1, 2)).finite
    assert not energy(floats(1, 2), floats(wrong, 2)).finite
    assert energy(floats(3e38, 2), floats(3e38, 2)).finite


def scores(*values: float) -> NDArray[np.float64]:
    return np.array(values, np.float64)


@pytest.mark.parametrize(
    ("label", "expected"), [(0, 3), (1, 0), (2, 1), (3, 2)], ids=["worst", "best", "tie, first", "tie, second"]
)
def test_rank(label: int, expected: int) -> None:
    assert rank(scores(0.1, 0.5, 0.2, 0.2), label) == expected


@settings(deadline=None, max_examples=50)
@given(npst.arrays(np.float64, 7, elements=st.integers(0, 3)))
def test_rank_orders_as_argmax(found: NDArray[np.float64]) -> None:
    ranks = [rank(found, label) for label in range(7)]
    assert sorted(ranks) == list(range(7))
    assert ranks[int(found.argmax())] == 0


def test_per_cent() -> None:
    assert per_cent([True, False, True, True]) == 75.0
    assert per_cent([]) is None


def test_mean_of_what_is_known() -> None:
    assert mean([1.0, None, 4.0]) == 2.5
    assert mean([None]) is None


def test_softmax() -> None:
    assert softmax(scores(math.log(1), math.log(3))) == pytest.approx([0.25, 0.75])
    assert softmax(scores(-1000.0, 1000.0)) == pytest.approx([0, 1])


def test_divergence() -> None:
    # 0.5 log(0.5 / 0.25) + 0.5 log(0.5 / 0.75)
    expected = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert divergence(scores(0.5, 0.5), scores(0.25, 0.75)) == pytest.approx(expected)
    assert divergence(scores(0.5, 0.5), scores(0.5, 0.5)) == 0


def test_divergence_from_a_probability_of_zero_is_finite() -> None:
    found = divergence(scores(0.5, 0.5), scores(0.0, 1.0))
    assert found == pytest.approx(0.5 * math.log(0.5 / 1.1754944e-38) + 0.5 * math.log(0.5))


def test_look() -> None:
    found = look(floats(0, -3, 4, 0), floats(1, -2, 6, 0))
    assert found == Look(Energy(25.0, 6.0, 41.0), size=4, nonzero=2, minimum=-3.0, maximum=4.0)


def channels_last(array: Array) -> Array:
    """The same values, the second axis last in memory."""
    found: Array = np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return found


@pytest.mark.parametrize("first", [np.copy, channels_last], ids=["plain", "channels last"])
@pytest.mark.parametrize("second", [np.copy, channels_last], ids=["plain", "channels last"])
def test_elements_are_paired_however_they_lie_in_memory(
    first: Callable[[Array], Array], second: Callable[[Array], Array]
) -> None:
    signal, quantized = np.random.default_rng(3).integers(-9, 10, (2, 1, 5, 131, 127)).astype(np.float32)
    assert look(first(signal), second(quantized)) == look(signal, quantized)


def test_looks_add_up() -> None:
    signal, quantized = np.random.default_rng(3).integers(-9, 10, (2, 7, 11)).astype(np.float32)
    assert look(signal[:3], quantized[:3]).plus(look(signal[3:], quantized[3:])) == look(signal, quantized)
