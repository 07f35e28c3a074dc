"""The searches on prefix sums against plain loops over bins and levels, and what every threshold must obey."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xportdnn.arithmetic.threshold import levels
from xportdnn.layers import Array
from xportdnn.statistics import Statistics, of
from xportdnn.thresholds import METHODS, kl, kl_divergences, maximum, mse, percentile, squared_errors

BITS = (4, 5, 6, 7, 8)
by_method = pytest.mark.parametrize("method", sorted(METHODS))
by_bits = pytest.mark.parametrize("bits", BITS)


def blob(seed: int, size: int = 4000) -> Array:
    """Values of one of several shapes: a bell with long tails, ReLU's, uniform ones, a few outliers."""
    rng = np.random.default_rng(seed)
    shapes = (
        rng.standard_t(3, size),
        np.maximum(rng.standard_normal(size), 0),
        rng.uniform(-3, 2, size),
        np.concatenate((rng.standard_normal(size), [40.0, -35.0])),
        rng.laplace(0, 1, size) * 1e-3,
    )
    return shapes[seed % len(shapes)].astype(np.float32)


def histogram(seed: int, size: int) -> NDArray[np.int64]:
    """Random counts, many of them 0, the last one not."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.exponential(20, size)) * (rng.random(size) < rng.uniform(0.3, 1))
    counts[-1] = 1 + counts[-1]
    return counts.astype(np.int64)


@pytest.mark.parametrize(("bits", "expected"), [(2, 1), (6, 31), (8, 127), (16, 32767)])
def test_levels(bits: int, expected: int) -> None:
    assert levels(bits) == expected


# ---- mse


def plain_squared_error(counts: NDArray[np.int64], width: float, threshold: float, steps: int) -> float:
    """The squared error of round(clip(x, -t, t) / s) * s, summed bin by bin; a value half way goes up."""
    step = threshold / steps
    total = 0.0
    for index, count in enumerate(counts.tolist()):
        centre = (index + 0.5) * width
        level = min(math.floor(centre / step + 0.5), steps)
        total += count * (centre - level * step) ** 2
    return total


@by_bits
def test_squared_errors(bits: int) -> None:
    for seed in range(3):
        counts = histogram(seed, 150)
        candidates = np.linspace(0.05, 1.0, 23) * 150 * 0.25
        found = squared_errors(counts, 0.25, candidates, levels(bits))
        plain = [plain_squared_error(counts, 0.25, float(threshold), levels(bits)) for threshold in candidates]
        # the search leaves out the sum of c**2, the same for all candidates
        common = float((counts * ((np.arange(150) + 0.5) * 0.25) ** 2).sum())
        np.testing.assert_allclose(found + common, plain, rtol=1e-9, atol=common * 1e-12)
        assert int(np.argmin(found)) == int(np.argmin(plain))


def vector_squared_error(counts: NDArray[np.int64], width: float, threshold: float, steps: int) -> float:
    """`plain_squared_error` for many bins."""
    centres = (np.arange(counts.size) + 0.5) * width
    step = threshold / steps
    level = np.minimum(np.floor(centres / step + 0.5), steps)
    return float((counts * (centres - level * step) ** 2).sum())


@by_bits
@pytest.mark.parametrize("seed", range(5))
def test_mse_finds_the_least_of_512(bits: int, seed: int) -> None:
    statistics = of(blob(seed))
    candidates = [statistics.peak * (i + 1) / 512 for i in range(512)]
    errors = [vector_squared_error(statistics.counts, statistics.width, t, levels(bits)) for t in candidates]
    assert mse(statistics, bits) == pytest.approx(candidates[int(np.argmin(errors))], rel=1e-12)


# ---- kl


def plain_kl(counts: list[int], size: int, steps: int) -> float:
    """Migacz's divergence of one candidate, bin by bin."""
    reference = [float(count) for count in counts[:size]]
    reference[-1] += sum(counts[size:])
    quantized = [0.0] * size
    for stretch in range(steps):
        start, end = stretch * size // steps, (stretch + 1) * size // steps
        filled = [index for index in range(start, end) if counts[index]]
        for index in filled:
            quantized[index] = sum(counts[start:end]) / len(filled)
    total_reference, total_quantized = sum(reference), sum(quantized)
    divergence = 0.0
    for p, q in zip(reference, quantized, strict=True):
        if p and not q:
            return math.inf
        if p:
            divergence += p / total_reference * math.log((p / total_reference) / (q / total_quantized))
    return divergence


@by_bits
def test_kl_divergences(bits: int) -> None:
    steps = 2 ** (bits - 1)
    for seed in range(3):
        counts = histogram(seed, steps + 60)
        plain = [plain_kl(counts.tolist(), size, steps) for size in range(steps + 1, counts.size + 1)]
        found = kl_divergences(counts, steps)
        np.testing.assert_allclose(found, plain, rtol=1e-9, atol=1e-12)
        assert int(np.argmin(found)) == int(np.argmin(plain))


@pytest.mark.parametrize("seed", range(3))
def test_kl_searches_pairs_of_bins_without_the_zeros(seed: int) -> None:
    values = np.concatenate((blob(seed, 500), np.zeros(300, np.float32)))
    statistics = of(values)
    pairs = statistics.counts.reshape(-1, 2).sum(axis=1)
    pairs = pairs[: int(np.flatnonzero(pairs)[-1]) + 1]
    pairs[0] = pairs[1]
    steps = 8
    # every third candidate is enough: the least of all cannot be above the least of these
    divergences = {size: plain_kl(pairs.tolist(), size, steps) for size in range(steps + 1, pairs.size + 1, 37)}
    found = kl(statistics, 4)
    chosen = pairs.size if found == statistics.peak else round(found / (2 * statistics.width))
    assert plain_kl(pairs.tolist(), chosen, steps) <= min(divergences.values()) + 1e-12


def test_kl_of_few_bins_is_the_largest() -> None:
    # only 100 of the 4096 bins reach up to the peak: 50 pairs, fewer than the 128 levels of 8 bits
    statistics = Statistics(-0.5, 0.5, 5, np.bincount(np.arange(64) % 63, minlength=4096))
    assert kl(statistics, 8) == 0.5
    assert mse(statistics, 8) == 0.5


# ---- percentile and max


@pytest.mark.parametrize(("bits", "share"), [(4, 0.999), (6, 0.999), (7, 0.999), (8, 0.9999), (16, 0.9999)])
def test_percentile_is_the_edge_above_that_share(bits: int, share: float) -> None:
    values = blob(0, 30_000)
    statistics = of(values)
    found = percentile(statistics, bits)
    magnitude = np.sort(np.abs(values))
    wanted = float(magnitude[math.ceil(share * values.size) - 1])
    assert wanted <= found <= wanted + statistics.width
    assert (magnitude <= found).mean() >= share


@by_bits
def test_max_is_the_largest(bits: int) -> None:
    assert maximum(of(np.array([-3.5, 2.0], np.float32)), bits) == 3.5


# ---- what holds for every method


@by_method
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), bits=st.sampled_from(BITS), power=st.integers(-20, 20))
def test_thresholds_scale_with_the_values(method: str, seed: int, bits: int, power: int) -> None:
    values = blob(seed, 300)
    scaled = of(values * np.float32(2.0**power))
    assert METHODS[method](scaled, bits) == METHODS[method](of(values), bits) * 2.0**power


@by_method
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), bits=st.sampled_from(BITS))
def test_thresholds_are_positive_and_clip_nothing_that_is_not_there(method: str, seed: int, bits: int) -> None:
    values = blob(seed, 200)
    assert 0 < METHODS[method](of(values), bits) <= np.abs(values).max()


@by_method
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), bits=st.sampled_from(BITS))
def test_signs_do_not_matter(method: str, seed: int, bits: int) -> None:
    values = blob(seed, 200)
    assert METHODS[method](of(values), bits) == METHODS[method](of(-values), bits)


@by_method
@by_bits
@pytest.mark.parametrize("constant", [1.0, -3.7, 1e-30, 2.0**-140, 3e38, 0.1])
def test_a_constant_blob_keeps_its_value(method: str, bits: int, constant: float) -> None:
    values = np.full(11, constant, np.float32)
    assert METHODS[method](of(values), bits) == pytest.approx(abs(float(values[0])), rel=1 / 256)


@by_method
@by_bits
def test_a_blob_of_zeros_has_no_threshold(method: str, bits: int) -> None:
    assert METHODS[method](of(np.zeros(5, np.float32)), bits) == 0.0


@by_bits
def test_mse_errs_no_more_than_max(bits: int) -> None:
    for seed in range(5):
        values = blob(seed).astype(np.float64)
        errors = []
        for threshold in (mse(of(blob(seed)), bits), float(np.abs(values).max())):
            step = threshold / levels(bits)
            errors.append(((values - np.rint(np.clip(values, -threshold, threshold) / step) * step) ** 2).sum())
        assert errors[0] <= errors[1] * 1.01
