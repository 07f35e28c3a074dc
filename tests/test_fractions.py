"""Fractional lengths: Ristretto's recorded ones, exact fractions, the best of all lengths tried one by one."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.arithmetic.recorded import ristretto as recorded
from xportdnn import caffemodel, fractions
from xportdnn.arithmetic import qformat
from xportdnn.journal import Journal
from xportdnn.layers import Array
from xportdnn.opening import open_net
from xportdnn.precision import Ristretto, read
from xportdnn.statistics import BINS, Statistics, of

# What `ristretto quantize` logged for the small network of `quantize_tool`: the largest |x| that each layer read, wrote
# and multiplied with over ten batches, and the integer lengths that it made of them.
RANGES = {
    "conv1": (179.145157, 117.579407, 0.242774904),
    "conv2": (117.579407, 130.237595, 0.236752167),
    "ip1": (130.237595, 83.4343719, 0.209768757),
    "ip2": (83.4343719, 48.2056007, 0.431459874),
}
LENGTHS = {"conv1": (8, 7, -1), "conv2": (7, 8, -1), "ip1": (8, 7, -1), "ip2": (7, 6, 0)}
TOOL = Path(__file__).parents[2] / "shared" / "golden" / "ristretto" / "quantize_tool"

NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**60), max_value=2.0**60)
BLOBS = st.lists(NUMBERS, min_size=1, max_size=12).map(lambda numbers: np.array(numbers, np.float32))
WIDTHS = st.integers(2, 16)


def blob(seed: int, size: int = 4000) -> Array:
    """Values of one of several shapes: long tails, ReLU's, uniform ones, a few outliers, all below 0."""
    rng = np.random.default_rng(seed)
    shapes = (
        rng.standard_t(3, size),
        np.maximum(rng.standard_normal(size), 0) * 40,
        rng.uniform(-3, 2, size),
        np.concatenate((rng.standard_normal(size), [40.0, -35.0])),
        -np.abs(rng.laplace(0, 1e-3, size)),
    )
    return shapes[seed % len(shapes)].astype(np.float32)


def exact_error(values: Array, bits: int, fl: int) -> float:
    """The summed squared error of a format."""
    return float(np.square(qformat.trim(values, bits, fl).astype(np.float64) - values).sum())


# ---- Ristretto


class TestRistretto:
    @pytest.mark.parametrize("name", RANGES)
    def test_recorded_lengths(self, name: str) -> None:
        largest_in, largest_out, largest_params = RANGES[name]
        il_in, il_out, il_params = LENGTHS[name]
        for bits in (16, 8, 4, 2):
            assert fractions.ristretto(largest_in, bits) == bits - il_in
            assert fractions.ristretto(largest_out, bits) == bits - il_out
            assert fractions.ristretto_params(largest_params, bits) == bits - il_params

    @pytest.mark.parametrize("case", ["dynamic_fixed_point", "integer_power_of_2_weights"])
    def test_recorded_prototxt(self, tmp_path: Path, case: str) -> None:
        """What the tool wrote: 4-bit weights and 8-bit blobs in the first mode, 8-bit blobs in the second."""
        (files,) = {each.case: each.files for each in recorded() if each.case == f"quantize_tool_{case}"}.values()
        model, weights = files.write(tmp_path)
        net = open_net(model, Journal())
        written = {net.layers[index].name: block for index, block in read(net).items()}
        assert written.keys() == RANGES.keys()
        for name, (largest_in, largest_out, _) in RANGES.items():
            block = written[name]
            assert isinstance(block, Ristretto)
            assert block.fl_layer_in == fractions.ristretto(largest_in, block.bw_layer_in)
            assert block.fl_layer_out == fractions.ristretto(largest_out, block.bw_layer_out)
        assert weights is not None
        for layer in caffemodel.read(weights).layers:
            if layer.name in RANGES:
                peak = float(np.abs(layer.blobs[0].values()).max())
                assert peak == pytest.approx(RANGES[layer.name][2], rel=1e-7)
                block = written[layer.name]
                assert isinstance(block, Ristretto)
                if case == "dynamic_fixed_point":
                    assert block.fl_params == fractions.ristretto_params(peak, block.bw_params)

    @pytest.mark.skipif(not TOOL.exists(), reason="the recorded run lies in ../shared, which is absent")
    def test_the_table_is_what_was_recorded(self) -> None:
        found: dict[str, Any] = json.loads((TOOL / "ranges_train_10batches.json").read_text())
        assert {name: tuple(each.values()) for name, each in found.items()} == RANGES
        log = (TOOL / "quantize_dynamic_fixed_point.log").read_text()
        for name, (il_in, il_out, il_params) in LENGTHS.items():
            lengths = f"input={il_in}, integer length output={il_out}, integer length parameters={il_params}"
            assert f"Layer {name}, integer length {lengths}\n" in log

    def test_defect_no_room_for_the_sign(self) -> None:
        """Activations saturate from half of the power of two above their peak on."""
        fl = fractions.ristretto(6.0, 8)
        assert fl == 5
        assert fractions.limits(8, fl) == (-4.0, 3.96875)

    def test_defect_the_bias_is_not_asked(self) -> None:
        """It is trimmed in the format of the weights, whose lengths their own peak alone decides."""
        fl = fractions.ristretto_params(0.2, 8)
        assert fl == 9
        assert fractions.limits(8, fl)[1] < 0.25

    @pytest.mark.parametrize(
        ("peak", "il"),
        [
            (4.0, 2),
            (math.nextafter(4.0, 5.0), 3),
            (math.nextafter(4.0, 0.0), 2),
            (1.0, 0),
            (0.5, -1),
            (2.0**-140, -140),
        ],
        ids=["power of two", "just above", "just below", "one", "below one", "denormal"],
    )
    def test_exact_logarithm(self, peak: float, il: int) -> None:
        assert fractions.ristretto(peak, 8) == min(8 - il, 126)
        assert fractions.ristretto_params(peak, 8) == min(7 - il, 126)

    @given(peak=st.floats(1e-30, 1e30), bits=WIDTHS)
    def test_params_never_saturate_by_more_than_a_step(self, peak: float, bits: int) -> None:
        fl = fractions.ristretto_params(peak, bits)
        assert fractions.limits(bits, fl)[1] + math.ldexp(1.0, -fl) >= peak


# ---- overflow


def overflows(minimum: float, maximum: float, bits: int, fl: int) -> bool:
    """By more than half a step, in exact fractions."""
    low, high = Fraction(minimum) * Fraction(2) ** fl, Fraction(maximum) * Fraction(2) ** fl
    half = Fraction(1, 2)
    most = 2 ** (bits - 1)
    return bool(high > most - half or low < -most - half)


@settings(max_examples=200)
@given(ends=st.tuples(NUMBERS, NUMBERS), bits=WIDTHS)
def test_overflow_is_the_longest_that_holds(ends: tuple[float, float], bits: int) -> None:
    minimum, maximum = sorted(ends)
    assume(max(abs(minimum), abs(maximum)) > 2.0**-60)
    fl = fractions.overflow(minimum, maximum, bits)
    assert not overflows(minimum, maximum, bits, fl)
    assert overflows(minimum, maximum, bits, fl + 1)


@pytest.mark.parametrize(
    ("minimum", "maximum", "fl"),
    [(0.0, 127.5, 0), (0.0, 127.51, -1), (-128.5, 0.0, 0), (-128.51, 0.0, -1), (-128.0, 127.0, 0), (0.0, 1.0, 6)],
)
def test_overflow_at_the_edges(minimum: float, maximum: float, fl: int) -> None:
    assert fractions.overflow(minimum, maximum, 8) == fl


def test_lengths_stay_where_float32_has_normal_numbers() -> None:
    assert fractions.overflow(0.0, 2.0**-149, 8) == 126
    assert fractions.mse(of(np.array([2.0**-149], np.float32)), 8) == 126


# ---- squared error of blobs


def one_bin(index: int, exponent: int, sign: int) -> Statistics:
    """A thousand values in one bin."""
    counts = np.zeros(BINS, np.int64)
    counts[index] = 1000
    width = math.ldexp(1.0, exponent) / BINS
    ends = (index * width, (index + 1) * width) if sign > 0 else (-(index + 1) * width, -index * width)
    return Statistics(*ends, exponent, counts)


@pytest.mark.parametrize("sign", [1, -1], ids=["positive", "negative"])
@pytest.mark.parametrize("fl", [-3, -1, 0, 1, 4, 7, 12])
@pytest.mark.parametrize("index", [0, 1, 37, 2047, 2050, 4095])
def test_squared_error_of_an_evenly_filled_bin(index: int, fl: int, sign: int) -> None:
    statistics = one_bin(index, 5, sign)
    within = np.linspace(statistics.minimum, statistics.maximum, 40001)
    middles = ((within[:-1] + within[1:]) / 2).astype(np.float32)
    expected = exact_error(middles, 8, fl) / middles.size * 1000
    # where both ends could be reached the sign would not be known
    assert fractions.squared_error(statistics, 8, fl) == pytest.approx(expected, rel=2e-3, abs=1e-9)


@pytest.mark.parametrize("bits", [4, 6, 8, 10])
@pytest.mark.parametrize("seed", range(10))
def test_mse_is_as_good_as_the_best_length(seed: int, bits: int) -> None:
    values = blob(seed)
    errors = {fl: exact_error(values, bits, fl) for fl in range(-12, 30)}
    assert errors[fractions.mse(of(values), bits)] <= 1.02 * min(errors.values())


@pytest.mark.parametrize("seed", range(5))
def test_mse_at_16_bits_has_room_for_twice_the_largest(seed: int) -> None:
    found = of(blob(seed))
    assert fractions.mse(found, 16) <= fractions.overflow(2 * found.minimum, 2 * found.maximum, 16)


@pytest.mark.parametrize("bits", [12, 13, 14])
@pytest.mark.parametrize("seed", range(5))
def test_room_costs_nothing_that_shows(seed: int, bits: int) -> None:
    found = of(blob(seed))
    fl, without = fractions.mse(found, bits), fractions.overflow(found.minimum, found.maximum, bits)
    assert fl >= without or fractions.quality(found, bits, fl).sqnr_db >= 60


def test_scores_keep_what_least_squares_would_clip() -> None:
    """One number of a thousand a little above what one bit less of integer holds."""
    values = np.append(np.linspace(-1, 1, 999), 2.05).astype(np.float32)
    assert (fractions.mse(of(values), 8), fractions.whole(of(values), 8)) == (6, 5)


@settings(max_examples=100)
@given(values=BLOBS, bits=WIDTHS)
def test_mse_is_never_shorter_than_overflow(values: Array, bits: int) -> None:
    assume(bool(np.abs(values).max() > 2.0**-60))
    assert fractions.mse(of(values), bits) >= fractions.overflow(float(values.min()), float(values.max()), bits) - 2


@settings(max_examples=60)
@given(values=BLOBS, bits=WIDTHS, power=st.integers(-30, 30))
def test_mse_follows_a_power_of_two(values: Array, bits: int, power: int) -> None:
    assume(bool((np.abs(values) > 2.0**-40).all()))
    assert fractions.mse(of(np.ldexp(values, power)), bits) == fractions.mse(of(values), bits) - power


# ---- parameters


def least_squares(values: Array, bits: int) -> int:
    return fractions.least_cost(values, bits, partial(fractions.squared_distance, values))


def quality_of(values: Array, bits: int, fl: int) -> fractions.Quality:
    error = partial(fractions.squared_distance, values)
    return fractions.quality_of(values, bits, fl, error, error(0 * values))


@settings(max_examples=100)
@given(values=BLOBS, bits=st.integers(2, 8))
def test_least_squares_is_the_best_of_all_lengths(values: Array, bits: int) -> None:
    assume(bool(np.abs(values).max() > 2.0**-60))
    error = exact_error(values, bits, least_squares(values, bits))
    assert error <= min(exact_error(values, bits, fl) for fl in range(-62, 80))


def test_of_equal_costs_the_shortest_length_is_taken() -> None:
    assert least_squares(np.array([1.0, -3.0], np.float32), 8) == 5


def test_another_cost() -> None:
    values = np.array([100.0, 0.01], np.float32)
    only_the_small = fractions.least_cost(values, 8, lambda trimmed: float(abs(trimmed[1] - values[1])))
    assert only_the_small > least_squares(values, 8)


# ---- quality


@pytest.mark.parametrize("fl", [0, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("seed", range(5))
def test_quality_from_statistics(seed: int, fl: int) -> None:
    values = blob(seed) if seed != 4 else blob(seed) * 1000
    found = fractions.quality(of(values), 8, fl)
    exact = quality_of(values, 8, fl)
    assert found.saturated == pytest.approx(exact.saturated, abs=2e-3)
    assert found.sqnr_db == pytest.approx(exact.sqnr_db, abs=0.2)


def test_quality_of_parameters() -> None:
    values = np.array([1.0, 0.26, -2.5, 1.9], np.float32)
    saturated, sqnr_db = quality_of(values, 3, 1)  # multiples of 0.5 from -2 to 1.5
    assert saturated == 0.5
    power, error = 1 + 0.26**2 + 2.5**2 + 1.9**2, 0.24**2 + 0.5**2 + 0.4**2
    assert sqnr_db == pytest.approx(10 * math.log10(power / error), abs=1e-5)


@pytest.mark.parametrize("values", [[0.0], [1.0, -0.5]], ids=["zeros", "on the grid"])
def test_no_error_is_infinitely_good(values: list[float]) -> None:
    assert quality_of(np.array(values, np.float32), 8, 4) == (0.0, math.inf)


@settings(max_examples=100)
@given(values=BLOBS, bits=WIDTHS)
def test_nothing_saturates_where_the_range_holds_all(values: Array, bits: int) -> None:
    assume(bool(np.abs(values).max() > 2.0**-60))
    fl = fractions.overflow(float(values.min()), float(values.max()), bits) - 1
    assert fractions.quality(of(values), bits, fl).saturated == 0
