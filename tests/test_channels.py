"""One threshold per output channel: the largest |w|, or the one of least squared error, and what dead channels get."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.small_nets import by_name, conv, data, net_of
from xportdnn import channels
from xportdnn.arithmetic.threshold import trim
from xportdnn.layers import Array

BITS = (4, 6, 8)


def rows_of(seed: int, count: int, size: int) -> Array:
    """Rows of several sizes, some with a weight far out."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, size)) * rng.lognormal(0, 2, (count, 1))
    rows[::2, 0] *= 5
    return rows.astype(np.float32)


def squared_error(row: Array, threshold: float, bits: int) -> float:
    return float(np.square(trim(row, np.float32(threshold), bits).astype(np.float64) - row).sum())


@given(st.integers(0, 2**32 - 1), st.sampled_from(BITS))
@settings(max_examples=30, deadline=None)
def test_no_candidate_has_a_smaller_squared_error(seed: int, bits: int) -> None:
    rows = rows_of(seed, 3, 50)
    found = channels.least_squares(rows, channels.peak(rows), bits)
    for row, threshold in zip(rows, found, strict=True):
        peak = np.abs(row).max()
        others = [squared_error(row, peak * part, bits) for part in np.linspace(0.3, 1, 64)]
        # the candidates are rounded another way here; an error may differ in its last digits
        assert squared_error(row, float(threshold), bits) <= min(others) * (1 + 1e-3)


@given(st.integers(0, 2**32 - 1), st.sampled_from(BITS))
@settings(max_examples=30, deadline=None)
def test_least_squares_lie_within_the_largest_weight(seed: int, bits: int) -> None:
    rows = rows_of(seed, 4, 30)
    peaks = channels.peak(rows)
    found = channels.least_squares(rows, peaks, bits)
    assert ((found > 0) & (found <= peaks)).all()


def test_a_power_of_two_factor_changes_nothing_but_the_scale() -> None:
    rows = rows_of(3, 5, 40)
    double = channels.least_squares(rows * 8, channels.peak(rows * 8), 6)
    assert (double == 8 * channels.least_squares(rows, channels.peak(rows), 6)).all()


@pytest.mark.parametrize("method", ["max", "mse"])
def test_dead_channels_get_the_largest_threshold(method: str) -> None:
    net = net_of(data(1, 3, 5, 6) + conv("c", "data", "c", 4))
    layer = by_name(net, "c")
    weight = np.zeros((4, 3, 1, 1), np.float32)
    weight[1], weight[3] = 2, -3
    found = channels.params([layer], {layer.index: (weight,)}, method, lambda layer: 8)
    assert found.dead == {layer.index: 2}
    assert found.thresholds[layer.index] == (3.0, 2.0, 3.0, 3.0)


def test_a_layer_of_zeros_gets_a_positive_threshold() -> None:
    net = net_of(data(1, 3, 5, 6) + conv("c", "data", "c", 2))
    layer = by_name(net, "c")
    found = channels.params([layer], {layer.index: (np.zeros((2, 3, 1, 1), np.float32),)}, "mse", lambda layer: 6)
    assert found.thresholds[layer.index] == (1.0, 1.0)


def test_the_width_is_the_layers_own() -> None:
    net = net_of(data(1, 3, 5, 6) + conv("a", "data", "a", 4) + conv("b", "a", "b", 5))
    layers = [by_name(net, "a"), by_name(net, "b")]
    weights = {layers[0].index: (rows_of(1, 4, 3),), layers[1].index: (rows_of(1, 5, 4),)}
    widths = {layers[0].index: 4, layers[1].index: 8}
    found = channels.params(layers, weights, "mse", lambda layer: widths[layer.index]).thresholds
    for layer in layers:
        alone = channels.params([layer], weights, "mse", lambda layer: widths[layer.index]).thresholds
        other = channels.params([layer], weights, "mse", lambda layer: 12 - widths[layer.index]).thresholds
        assert found[layer.index] == alone[layer.index] != other[layer.index]
