"""The rule of Xilinx's quantizer, written again from its formula with plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xportdnn import klj
from xportdnn.layers import Array


def plain_divergences(cumulative: NDArray[np.float64], steps: int) -> dict[int, float]:
    """d_i for every candidate i, without any sum that candidates share."""
    bins = cumulative.size
    found = {}
    for i in range(steps + 1, bins + 1):
        clipped = cumulative.copy()
        clipped[i - 1 :] = 1.0
        squeezed = np.interp(np.linspace(0, 1, steps), np.linspace(0, 1, i), clipped[:i])
        quantized = np.concatenate(
            (np.interp(np.linspace(0, 1, i), np.linspace(0, 1, steps), squeezed), np.ones(bins - i))
        )
        found[i] = math.fsum(
            (p - q) * math.log2(p / q) for p, q in zip(cumulative.tolist(), quantized.tolist(), strict=True)
        )
    return found


def cumulative_of(values: Array, bins: int) -> NDArray[np.float64]:
    """The share of values up to the end of each bin on [0, max|x|], edges in float64."""
    magnitude = np.abs(values).astype(np.float64)
    counts, _ = np.histogram(magnitude, bins, (0.0, magnitude.max()))
    shares: NDArray[np.float64] = np.cumsum(counts / counts.sum())
    return shares


def bell(seed: int, size: int = 3000, rectified: bool = False) -> Array:
    values = np.random.default_rng(seed).standard_t(4, size).astype(np.float32)
    return np.maximum(values, 0) if rectified else values


@pytest.mark.parametrize("bits", [3, 4, 5, 6])
@pytest.mark.parametrize("seed", range(4))
def test_the_index_is_that_of_the_plain_loop(bits: int, seed: int) -> None:
    values = bell(seed, rectified=seed % 2 == 1)
    found = klj.threshold([values], bits)
    assert found.bins == math.ceil(math.sqrt(values.size))
    divergences = plain_divergences(cumulative_of(values, found.bins), 2 ** (bits - 1))
    assert found.candidate == min(divergences, key=lambda i: divergences[i])
    assert found.max_abs == float(np.abs(values).max())
    assert found.threshold == (found.candidate + 0.5) * (found.max_abs / found.bins)


def test_the_index_at_8_bits() -> None:
    values = bell(9, 150 * 150 - 1)
    found = klj.threshold([values], 8)
    divergences = plain_divergences(cumulative_of(values, 150), 128)
    assert found.bins == 150
    assert found.candidate == min(divergences, key=lambda i: divergences[i])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=5, max_size=40), st.sampled_from([2, 4]))
def test_best_index_of_any_histogram(counts: list[int], steps: int) -> None:
    counts[0] += 1
    cumulative = np.cumsum(np.array(counts, np.float64) / sum(counts))
    divergences = plain_divergences(cumulative, steps)
    found = klj.best_index(cumulative, steps)
    assert found is not None
    # minima are flat: another order of summation may take a neighbour that is equal but for rounding
    assert divergences[found] <= min(divergences.values()) + 1e-12


def test_best_index_is_undefined_where_nothing_is_in_the_first_bin() -> None:
    assert klj.best_index(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), 2) is None


def test_of_equal_candidates_the_first_counts() -> None:
    # everything in the first bin: no candidate loses anything
    assert klj.best_index(np.ones(20), 4) == 5


def test_the_last_candidate_exceeds_the_maximum_by_half_a_bin() -> None:
    values = np.linspace(0, 2, 400, dtype=np.float32)  # uniform: clipping only hurts
    found = klj.threshold([values], 4)
    assert found.candidate == found.bins
    assert found.threshold == pytest.approx(2 * (found.bins + 0.5) / found.bins)


# ---- the number of bins


@pytest.mark.parametrize("side", [3, 10, 57, 112])
@pytest.mark.parametrize("seed", range(4))
def test_bins_are_numpys_sqrt_rule(side: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for size in (side * side, side * side + 1, side * side - 1):
        values = rng.uniform(1e-3 * (seed % 2), 1, size).astype(np.float32)
        peak = values.max()
        edges = np.histogram_bin_edges(values, "sqrt", (0.0, peak))
        assert klj.bin_count(peak, values.min(), size) == edges.size - 1


@pytest.mark.parametrize(
    ("peak", "least", "count", "bins"),
    [
        pytest.param(1.0, 0.0, 100, 10, id="square of 10"),
        pytest.param(1.0, 0.0, 101, 11, id="no square"),
        pytest.param(1.0, 1e-6, 100, 11, id="square, but no value is 0"),
        pytest.param(22.238928, 1e-5, 1792**2, 1793, id="conv1 of GoogLeNet"),
        pytest.param(1.0, 0.5, 100, 20, id="all far from 0"),
        pytest.param(1.0, 1.0, 100, 1, id="constant"),
        pytest.param(0.0, 0.0, 100, 1, id="zeros"),
    ],
)
def test_bin_count(peak: float, least: float, count: int, bins: int) -> None:
    assert klj.bin_count(np.float32(peak), np.float32(least), count) == bins


# ---- where the maximum is taken


@pytest.mark.parametrize(
    ("values", "bits", "bins"),
    [
        pytest.param(bell(0, 99, rectified=True), 5, 10, id="10 bins for 16 levels"),
        pytest.param(bell(0, 255, rectified=True), 5, 16, id="as many bins as levels"),
        pytest.param(bell(0), 16, 55, id="16 bits"),
        pytest.param(np.full(1000, -3.0, np.float32), 4, 1, id="constant"),
        pytest.param(np.zeros(1000, np.float32), 4, 1, id="zeros"),
        pytest.param(np.linspace(0.5, 1, 1000, dtype=np.float32), 4, 64, id="nothing in the first bin"),
    ],
)
def test_the_maximum(values: Array, bits: int, bins: int) -> None:
    peak = float(np.abs(values).max())
    assert klj.threshold([values], bits) == klj.Found(peak, peak, bins, None)


def test_one_bin_more_than_levels_is_searched() -> None:
    values = bell(0, 17 * 17 - 1)
    assert klj.threshold([values], 5).candidate == 17


def test_values_of_nearly_one_size_need_no_memory() -> None:
    # the rule asks for 10 billion bins here, all but the last few empty
    values = np.ones(10**6, np.float32)
    values[0] = np.nextafter(np.float32(1), np.float32(0))
    found = klj.threshold([values], 8)
    assert found.bins > 10**10
    assert (found.threshold, found.candidate) == (1.0, None)


# ---- edges


@pytest.mark.parametrize(("step", "side"), [(0.7, 40), (0.1, 60), (0.013, 50)])
def test_edges_are_float64(step: float, side: int) -> None:
    """Quantized values lie on edges; edges in float32 move to the other side of them, and the choice with them."""
    level = np.abs(np.random.default_rng(1).standard_normal(side * side) * 7.5).round().clip(max=30)
    level[0] = 30
    values = level.astype(np.float32) * np.float32(step)
    found = klj.threshold([values], 4)
    exact = plain_divergences(cumulative_of(values, side), 8)
    assert (found.bins, found.candidate) == (side, min(exact, key=lambda i: exact[i]))
    counts, edges = np.histogram(values, np.linspace(0, values.max(), side + 1, dtype=np.float32))
    moved = plain_divergences(np.cumsum(counts / counts.sum()), 8)
    assert edges.dtype == np.float32
    assert min(moved, key=lambda i: moved[i]) != found.candidate, "these values do not show the difference"


# ---- one set of values, in however many images


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, 999), max_size=4))
def test_images_are_one_set_of_values(seed: int, cuts: list[int]) -> None:
    values = bell(seed, 1000)
    parts = np.split(values, sorted(set(cuts)))
    assert klj.threshold(parts, 4) == klj.threshold([values], 4)
    assert klj.threshold([part.reshape(1, -1, 1) for part in reversed(parts)], 4) == klj.threshold([values], 4)


def test_the_values_are_not_changed() -> None:
    values = bell(3)
    values.flags.writeable = False
    assert klj.threshold([values], 5) == klj.threshold([-values], 5)
