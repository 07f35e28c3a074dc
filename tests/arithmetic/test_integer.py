"""Layers in wide integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers import naive
from xportdnn.arithmetic import integer, qformat, threshold
from xportdnn.arithmetic.integer import Shift, shift_half_away, shift_half_up, shift_truncating
from xportdnn.arithmetic.twos_complement import saturate
from xportdnn.errors import LayerError
from xportdnn.kernels import Windows, along
from xportdnn.layers import Array


def half_away(x: Fraction) -> int:
    nearest = math.floor(abs(x) + Fraction(1, 2))
    return nearest if x >= 0 else -nearest


SHIFTS: dict[str, tuple[Shift, Callable[[Fraction], int]]] = {
    "half_away": (shift_half_away, half_away),
    "half_up": (shift_half_up, lambda x: math.floor(x + Fraction(1, 2))),
    "truncating": (shift_truncating, math.floor),
}


@pytest.mark.parametrize(("shift", "exact"), SHIFTS.values(), ids=SHIFTS)
@settings(max_examples=150, deadline=None)
@given(value=st.one_of(st.integers(-40, 40), st.integers(-(2**62) + 1, 2**62 - 1)), places=st.integers(0, 70))
def test_shift_right(shift: Shift, exact: Callable[[Fraction], int], value: int, places: int) -> None:
    assert shift(np.array([value]), places).tolist() == [exact(Fraction(value, 2**places))]


@pytest.mark.parametrize("shift", [shift for shift, _ in SHIFTS.values()], ids=SHIFTS)
def test_negative_places_multiply(shift: Shift) -> None:
    assert shift(np.array([-3, 0, 5]), -4).tolist() == [-48, 0, 80]


@pytest.mark.parametrize("shift", [shift for shift, _ in SHIFTS.values()], ids=SHIFTS)
@pytest.mark.parametrize(
    ("value", "places"), [(5, -60), (1, -(2**31)), (-(2**62), 3)], ids=["left", "far left", "right"]
)
def test_what_62_bits_cannot_hold_is_refused(shift: Shift, value: int, places: int) -> None:
    with pytest.raises(LayerError, match=r"does not fit into 62 bits; use fewer bits"):
        shift(np.array([value]), places)


@pytest.mark.parametrize("bits", [8, 13, 28], ids=["float32", "float64", "int64"])
@pytest.mark.parametrize("group", [1, 2])
def test_convolution(bits: int, group: int) -> None:
    rng = np.random.default_rng(bits)
    images = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (2, 4, 6, 5))
    weight = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (6, 4 // group, 3, 3))
    steps = naive.Steps((3, 3), (2, 1), (1, 2), (1, 2))
    size = naive.convolved_size(steps, (6, 5))
    expected = np.zeros((2, 6, *size), object)
    for m, c, y, x in np.ndindex(weight.shape):  # one tap after the other, in Python's integers
        tap = np.zeros((1, 1, 3, 3), np.float32)
        tap[0, 0, y, x] = 1
        source = images[:, [m // (6 // group) * (4 // group) + c]]
        high, low = source >> 14, source & 0x3FFF  # halves that float32 holds
        moved = [
            naive.convolution(part.astype(np.float32), tap, np.zeros(1, np.float32), steps, 1) for part in (high, low)
        ]
        expected[:, m] += (moved[0].astype(np.int64) * 2**14 + moved[1].astype(np.int64))[:, 0] * int(
            weight[m, c, y, x]
        )
    found = integer.convolution(images, weight, Windows(*steps_of(steps)), tuple(size), group)
    assert found.dtype == np.int64
    assert found.tolist() == expected.tolist()


def steps_of(steps: naive.Steps) -> tuple[tuple[int, int], ...]:
    return steps.kernel, steps.stride, steps.pad, steps.dilation


@pytest.mark.parametrize("bits", [8, 14, 30], ids=["float32", "float64", "int64"])
def test_inner_product(bits: int) -> None:
    rng = np.random.default_rng(bits)
    vectors = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (2, 3, 7))
    matrix = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (5, 7))
    found = integer.inner_product(vectors, matrix)
    assert found.dtype == np.int64
    assert found.tolist() == (vectors.astype(object) @ matrix.T).tolist()


@settings(max_examples=100, deadline=None)
@given(ratio=st.floats(1e-5, 4), bias=st.floats(-100, 100), sums=st.lists(st.integers(-(2**25), 2**25), min_size=1))
def test_rescale_comes_within_a_multiplier_of_the_real_quotient(ratio: float, bias: float, sums: list[int]) -> None:
    array = np.array(sums).reshape(1, 1, -1)
    found = integer.rescale(array, integer.factors([ratio]), integer.factors([bias]))
    for total, result in zip(sums, found.ravel().tolist(), strict=True):
        assert abs(total * ratio + bias - result) <= 0.5 + (abs(total) + 1) * 2.0**-23


def test_rescale_scales_each_output_channel() -> None:
    sums = np.array([[[8, -8], [8, -8]]])
    found = integer.rescale(sums, integer.factors([0.5, 0.25]), integer.factors([1, -1]))
    assert found.tolist() == [[[5, -3], [1, -3]]]


def test_rescale_refuses_what_62_bits_cannot_hold() -> None:
    one = np.array([1])
    with pytest.raises(LayerError, match=r"1\.15e\+18 times a factor of 1e\+03 does not fit"):
        integer.rescale(np.array([[2**60]]), one * 1000, one)


def test_thresholds_in_integers_come_within_one_step_of_floats() -> None:
    rng = np.random.default_rng(1)
    images, weight = (
        rng.normal(0, 1, (2, 3, 5, 4)).astype(np.float32),
        rng.normal(0, 1, (6, 3, 1, 1)).astype(np.float32),
    )
    bias, th_params = rng.normal(0, 1, 6).astype(np.float32), np.abs(weight).reshape(6, -1).max(axis=1)
    th_in, th_out, rows = 3.0, 4.0, along(th_params, 0, 4)
    windows = Windows((1, 1), (1, 1), (0, 0), (1, 1))
    codes, weights = threshold.quantize(images, th_in, 8), threshold.quantize(weight, rows, 8)
    step_in, step_params, step_out = (threshold.step(th, 8).astype(np.float64) for th in (th_in, th_params, th_out))
    factors, offsets = integer.factors(step_in * step_params / step_out), integer.factors(bias / step_out)
    sums = integer.convolution(codes, weights, windows, (5, 4))
    found = np.clip(integer.rescale(sums, factors, offsets), -127, 127)
    trimmed = (threshold.dequantize(codes, th_in, 8), threshold.dequantize(weights, rows, 8))
    floats = naive.convolution(*trimmed, bias, naive.Steps((1, 1)), 1).astype(np.float32)
    assert np.abs(found - threshold.quantize(floats, th_out, 8)).max() <= 1


# The first layer of the question "cannot reproduce results of Dynamic Fixed Point" on ristretto-users, 2016: 8 bits,
# fl_layer_in 0, fl_params 7, fl_layer_out -3, integers from -128 to 126 as input.
FL_IN, FL_PARAMS, FL_OUT = 0, 7, -3
WINDOWS = Windows((7, 7), (2, 2), (0, 0), (1, 1))


def first_layer() -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(2016)
    images = rng.integers(-128, 127, (1, 3, 31, 29)).astype(np.float32)
    weight = rng.uniform(-0.6, 0.6, (8, 3, 7, 7)).astype(np.float32)
    return images, weight, rng.uniform(-1, 1, 8).astype(np.float32)


def ristretto() -> Array:
    """Trimmed input, weights and bias, float arithmetic, trimmed output."""
    images, weight, bias = first_layer()
    trimmed = (qformat.trim(images, 8, FL_IN), qformat.trim(weight, 8, FL_PARAMS), qformat.trim(bias, 8, FL_PARAMS))
    top = naive.convolution(*trimmed, naive.Steps((7, 7), (2, 2)), 1)
    return qformat.trim(top.astype(np.float32), 8, FL_OUT)


def in_integers(shift: Shift) -> Array:
    """The same without a single float between input and output."""
    images, weight, bias = first_layer()
    codes, weights = qformat.quantize(images, 8, FL_IN), qformat.quantize(weight, 8, FL_PARAMS)
    sums = integer.convolution(codes, weights, WINDOWS, (13, 12))
    sums += along(qformat.quantize(bias, 8, FL_PARAMS) << FL_IN, 1, 4)
    return qformat.dequantize(saturate(shift(sums, FL_IN + FL_PARAMS - FL_OUT), 8), FL_OUT)


def test_rounding_shifts_reproduce_ristretto() -> None:
    np.testing.assert_array_equal(in_integers(shift_half_away), ristretto())


def test_truncating_shifts_miss_ristretto_by_one_step_half_of_the_time() -> None:
    difference = ristretto() - in_integers(shift_truncating)
    assert set(np.unique(difference).tolist()) == {0, 8}
    assert 0.4 < np.mean(difference == 8) < 0.6


def test_half_up_misses_ristretto_at_negative_ties_only() -> None:
    sums = np.arange(-4096, 4097)
    away, up = shift_half_away(sums, 10), shift_half_up(sums, 10)
    assert sums[away != up].tolist() == [-3584, -2560, -1536, -512]
