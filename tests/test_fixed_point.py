"""Quantization by threshold as calibration uses it: literal examples, and what must hold for every value and width."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from xportdnn.arithmetic.rounding import half_even
from xportdnn.arithmetic.threshold import trim
from xportdnn.layers import Array

NUMBERS = st.floats(-1e6, 1e6, width=32)
BLOBS = st.lists(NUMBERS, min_size=1, max_size=20).map(lambda numbers: np.array(numbers, np.float32))
THRESHOLDS = st.floats(2.0**-20, 2.0**20, width=32)
BITS = st.integers(2, 16)


def by_threshold(values: Array, thresholds: ArrayLike, bits: int) -> Array:
    return trim(values, thresholds, bits, half_even)


def quantized(values: list[float], threshold: float, bits: int) -> list[float]:
    result = by_threshold(np.array(values, np.float32), np.float32(threshold), bits)
    assert result.dtype == np.float32
    return [float(value) for value in result]


@pytest.mark.parametrize(
    ("values", "threshold", "bits", "expected"),
    [
        pytest.param([0.0, 1.0, -1.0, 2.4, 2.6, -3.0], 3.0, 3, [0.0, 1.0, -1.0, 2.0, 3.0, -3.0], id="steps of 1"),
        pytest.param([3.1, 1e9, -1e9], 3.0, 3, [3.0, 3.0, -3.0], id="clipped at both ends alike"),
        pytest.param([0.5, 1.5, 2.5, -0.5, -1.5], 7.0, 4, [0.0, 2.0, 2.0, 0.0, -2.0], id="halves to the even level"),
        pytest.param([0.24, 0.26, 62.0], 15.5, 6, [0.0, 0.5, 15.5], id="31 levels of 0.5"),
        pytest.param([0.9, 1.1], 127.0, 8, [1.0, 1.0], id="127 levels of 1"),
        pytest.param([0.9, -5.0], 1.0, 2, [1.0, -1.0], id="one level"),
        pytest.param([0.0, 5.0, -5.0], 0.0, 8, [0.0, 0.0, 0.0], id="threshold 0"),
    ],
)
def test_by_threshold(values: list[float], threshold: float, bits: int, expected: list[float]) -> None:
    assert quantized(values, threshold, bits) == expected


@settings(max_examples=100, deadline=None)
@given(BLOBS, THRESHOLDS, BITS)
def test_every_result_is_a_level(values: Array, threshold: float, bits: int) -> None:
    steps = 2 ** (bits - 1) - 1
    level = by_threshold(values, np.float32(threshold), bits).astype(np.float64) / threshold * steps
    np.testing.assert_allclose(level, np.rint(level), atol=1e-6 * steps)
    assert np.abs(np.rint(level)).max() <= steps


@settings(max_examples=100, deadline=None)
@given(BLOBS, THRESHOLDS, BITS)
def test_the_error_is_half_a_step_at_most(values: Array, threshold: float, bits: int) -> None:
    step = threshold / (2 ** (bits - 1) - 1)
    kept = np.clip(values, -threshold, threshold).astype(np.float64)
    error = np.abs(by_threshold(values, np.float32(threshold), bits) - kept)
    assert error.max() <= step / 2 + threshold * 2.0**-22


@settings(max_examples=100, deadline=None)
@given(BLOBS, THRESHOLDS, BITS)
def test_quantizing_twice_is_quantizing_once(values: Array, threshold: float, bits: int) -> None:
    once = by_threshold(values, np.float32(threshold), bits)
    np.testing.assert_array_equal(by_threshold(once, np.float32(threshold), bits), once)


@settings(max_examples=60, deadline=None)
@given(BLOBS, THRESHOLDS, BITS)
def test_the_sign_is_kept(values: Array, threshold: float, bits: int) -> None:
    positive = by_threshold(values, np.float32(threshold), bits)
    np.testing.assert_array_equal(by_threshold(-values, np.float32(threshold), bits), -positive)
    assert (positive * values >= 0).all()


def test_one_threshold_for_each_channel() -> None:
    weights = np.array([[3.0, 1.4], [30.0, 14.0], [7.0, -7.0]], np.float32)
    peaks = np.array([[3.0], [30.0], [0.0]], np.float32)
    assert by_threshold(weights, peaks, 3).tolist() == [[3.0, 1.0], [30.0, 10.0], [0.0, 0.0]]


def test_the_argument_is_not_changed() -> None:
    values = np.array([1.4], np.float32)
    values.flags.writeable = False
    assert by_threshold(values, np.float32(3), 3).tolist() == [1.0]
