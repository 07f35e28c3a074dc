"""The factors of equalization: channels that use their blob's range alike, without harm to weights or to the guards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.folding.nets import Weights, floats, fold_text
from tests.folding.test_patterns import relu
from tests.small_nets import conv, data, layer, value
from xportdnn import execute
from xportdnn.folding.equalize import RULES, Rule, Spread, factors, scaled, spread
from xportdnn.folding.extents import Extents, extents
from xportdnn.folding.folded import Folded
from xportdnn.folding.reweighted import reweighted
from xportdnn.folding.strands import strands
from xportdnn.layers import Array, Arrays
from xportdnn.network import Value

FULL, BALANCED, HALF = RULES
SIZES = floats(1, 1 / 3, 1 / 9, 1 / 27)
NET = (
    data(1, 6, 8, 9)
    + conv("one", "data", "one", 4, "kernel_size: 3 pad: 1")
    + relu("one", "x")
    + conv("last", "x", "last", 5, "kernel_size: 2")
)


def unequal() -> Weights:
    """Channels of "x" that differ by a factor of 27, which "last" makes up for."""
    rng = np.random.default_rng(2)
    first = rng.standard_normal((4, 6, 3, 3)).astype(np.float32) * SIZES.reshape(4, 1, 1, 1)
    last = rng.standard_normal((5, 4, 2, 2)).astype(np.float32) / SIZES.reshape(1, 4, 1, 1)
    return {"one": (first, floats(0.1, 0.05, -0.01, 0)), "last": (last, floats(0, 1, 2, 3, 4))}


def weights_of(folded: Folded) -> dict[int, Arrays]:
    return execute.load(folded.net.layers, folded.opened.weights)


def pictures(folded: Folded, count: int = 5) -> list[dict[Value, Array]]:
    rng = np.random.default_rng(8)
    (target,) = folded.opened.inputs
    shape = folded.opened.inputs[target]
    return [{target: rng.normal(0.2, 1, shape).astype(np.float32)} for _ in range(count)]


def seen(folded: Folded, workers: int = 1) -> dict[Value, Extents]:
    """The extents of all values that have strands."""
    return extents(folded.opened, weights_of(folded), pictures(folded), tuple(strands(folded.opened).of), workers)


def spread_of(folded: Folded, bits: int = 8) -> Spread:
    return spread(folded.opened, weights_of(folded), strands(folded.opened), seen(folded), bits)


def equalized(folded: Folded, rule: Rule) -> Folded:
    weights, found = weights_of(folded), strands(folded.opened)
    return reweighted(folded, scaled(folded.opened, weights, found, factors(spread_of(folded), weights, rule)))


def peaks(folded: Folded, blob: str = "x", writer: str = "relu") -> list[float]:
    return [float(peak) for peak in seen(folded)[value(folded.net, blob, writer)].peaks]


def test_extents_are_those_of_the_reference_forward(tmp_path: Path) -> None:
    folded = fold_text(tmp_path, NET, unequal())
    wanted = value(folded.net, "one")
    tops = [
        step.tops[0]
        for feeds in pictures(folded)
        for step in execute.run(folded.net, weights_of(folded), feeds)
        if step.layer.name == "one"
    ]
    found = seen(folded)[wanted]
    np.testing.assert_allclose(found.peaks, np.abs(tops).max(axis=(0, 1, 3, 4)), rtol=1e-5)
    np.testing.assert_allclose(found.squares, np.square(tops).mean(axis=(0, 1, 3, 4)), rtol=1e-5)


def test_workers_change_no_extent(tmp_path: Path) -> None:
    folded = fold_text(tmp_path, NET, unequal())
    alone, together = seen(folded), seen(folded, workers=3)
    assert all(np.array_equal(alone[each].squares, together[each].squares) for each in alone)


def test_channels_fill_the_range_of_the_largest(tmp_path: Path) -> None:
    folded = fold_text(tmp_path, NET, unequal())
    before, after = peaks(folded), peaks(equalized(folded, FULL))
    assert min(before) < max(before) / 15
    assert after == pytest.approx([max(before)] * 4, rel=1e-5)


def test_half_goes_half_of_the_way(tmp_path: Path) -> None:
    folded = fold_text(tmp_path, NET, unequal())
    before, after = np.array(peaks(folded)), np.array(peaks(equalized(folded, HALF)))
    np.testing.assert_allclose(after, np.sqrt(before * before.max()), rtol=1e-5)


def test_columns_of_small_weights_take_less_of_the_range(tmp_path: Path) -> None:
    """The fourth column, a thousandth of the others, may lose range; the largest column may not."""
    rng = np.random.default_rng(4)
    last = rng.uniform(0.5, 1, (5, 4, 2, 2)).astype(np.float32) * floats(1, 1, 1, 1e-3).reshape(1, 4, 1, 1)
    first = rng.standard_normal((4, 6, 3, 3)).astype(np.float32)
    folded = fold_text(tmp_path, NET, {"one": (first, floats(0, 0, 0, 0)), "last": (last, floats(0, 0, 0, 0, 0))})
    full, balanced = peaks(equalized(folded, FULL)), peaks(equalized(folded, BALANCED))
    assert balanced[3] < full[3] / 5
    assert balanced[:3] == pytest.approx(full[:3], rel=0.3)


def test_depthwise_weights_cost_nothing(tmp_path: Path) -> None:
    """Every channel has its own th_params there, so that nothing holds a channel back from the full range."""
    text = NET.replace("num_output: 5 kernel_size: 2", "num_output: 4 kernel_size: 3 group: 4")
    folded = fold_text(tmp_path, text + conv("end", "last", "end", 3))
    assert peaks(equalized(folded, BALANCED)) == pytest.approx([max(peaks(folded))] * 4, rel=1e-5)


def test_the_largest_channel_of_a_scale_class_counts(tmp_path: Path) -> None:
    """What Concat joins has one threshold: the branch of small channels grows, the other stays."""
    text = (
        data(1, 6, 8, 9)
        + conv("one", "data", "one", 2)
        + conv("two", "data", "two", 3)
        + layer("join", "Concat", "one two", "x")
        + conv("last", "x", "last", 5)
    )
    small = np.full((3, 6, 1, 1), 3e-2, np.float32)
    folded = fold_text(tmp_path, text, {"two": (small, floats(0, 0, 0))})
    before, after = (peaks(each, "x", "join") for each in (folded, equalized(folded, FULL)))
    assert after == pytest.approx([max(before)] * 5, rel=1e-5)


class TestWhatElseTakesRoom:
    """A channel that is small behind its ReLU may not grow where the board would wrap around or clip."""

    def test_sums_far_below_zero(self, tmp_path: Path) -> None:
        first = np.ones((4, 6, 3, 3), np.float32)
        bias = floats(0, 0, 0, 0)
        first[3] *= -20
        first[3, 0, 0, 0] = 1e-3
        folded = fold_text(tmp_path, NET, {"one": (first, bias)})
        made = equalized(folded, FULL)
        lowest = seen(made)[value(made.net, "one")].peaks[3]
        assert lowest <= 4.05 * max(peaks(folded))

    def test_a_large_bias(self, tmp_path: Path) -> None:
        folded = fold_text(tmp_path, NET, {"one": (np.full((4, 6, 3, 3), 1e-2, np.float32), floats(5, 5, 5, -5))})
        made = equalized(folded, FULL)
        assert np.abs(weights_of(made)[1][1]).max() <= 1.00001 * max(*peaks(folded), 5)


def test_a_silent_channel_keeps_room(tmp_path: Path) -> None:
    weights = dict(unequal())
    first, bias = weights["one"]
    first[3] = 0
    folded = fold_text(tmp_path, NET, weights)
    assert peaks(folded)[3] == 0
    grown = weights_of(equalized(folded, FULL))[3][0][:, 3] / weights_of(folded)[3][0][:, 3]
    assert grown == pytest.approx(np.full_like(grown, 1 / 64), rel=1e-5)
    assert bias[3] == 0


def test_a_network_of_zeros_stays(tmp_path: Path) -> None:
    zeros: Array = np.zeros((4, 6, 3, 3), np.float32)
    folded = fold_text(tmp_path, NET, {"one": (zeros, floats(0, 0, 0, 0))})
    for rule in RULES:
        assert np.isfinite(factors(spread_of(folded), weights_of(folded), rule)).all()
