"""6 or 8 bits per layer, on made-up scores."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.small_nets import PLAIN, by_name, net_of
from xportdnn.precision import Precision
from xportdnn.searching.metric import Judge, Metric, Score
from xportdnn.searching.mixed import Blocks, Mix, Sensitivity, Step, choose, merged, overrides, widened

WEIGHTS = {1: 100, 3: 10, 4: 1000}
BY_WIDTH = {
    bits: {
        index: Precision("DynamicFixed", bits, bits, bits, fl_layer_in=bits, fl_layer_out=bits, fl_params=bits + 10)
        for index in (0, *WEIGHTS)
    }
    for bits in (6, 8)
}
JUDGE = Judge(Metric.SQNR, 20.0, Score(None, None, None, math.inf))


def by_noise(noise: dict[int, float], activations: float = 0.0) -> Score:
    return Score(None, None, None, -10 * math.log10(sum(noise.values()) + activations + 1e-9))


class Bench:
    """Adds up the noise of narrow layers and narrow activations."""

    def __init__(self, noise: dict[int, float], activations: float) -> None:
        self.noise, self.activations, self.tried = noise, activations, 0

    def attempt(self, blocks: Blocks) -> Score:
        self.tried += 1
        narrow = {index: self.noise[index] for index, block in blocks if index in self.noise and block.bw_params == 6}
        (width,) = {block.bw_layer_out for _, block in blocks}
        return by_noise(narrow, self.activations if width == 6 else 0.0)


def test_all_of_it() -> None:
    bench = Bench(dict.fromkeys(WEIGHTS, 0.001), 0.001)
    found = choose(BY_WIDTH, WEIGHTS, bench.attempt, JUDGE)
    assert (found.activations, found.narrow, found.tried) == (6, frozenset(WEIGHTS), ())
    assert bench.tried == 2


def test_nothing_is_good_enough() -> None:
    found = choose(BY_WIDTH, WEIGHTS, lambda _: by_noise({0: 1.0}), JUDGE)
    assert (found.activations, found.narrow) == (8, frozenset())


def test_the_least_noise_for_a_weight_first() -> None:
    """Layer 4 adds more than 3 does, but saves a hundred times as many weights; for both together there is no room."""
    found = choose(BY_WIDTH, WEIGHTS, Bench({1: 0.009, 3: 0.004, 4: 0.008}, 1.0).attempt, JUDGE)
    assert found.activations == 8
    assert found.narrow == {4}
    assert [each.layer for each in found.tried] == [1, 3, 4]


@settings(max_examples=40)
@given(st.fixed_dictionaries(dict.fromkeys(WEIGHTS, st.floats(0, 0.02))), st.floats(0, 0.02))
def test_it_stays_within_the_margin(noise: dict[int, float], activations: float) -> None:
    bench = Bench(noise, activations)
    found = choose(BY_WIDTH, WEIGHTS, bench.attempt, JUDGE)
    assert JUDGE.within(found.score)
    assert found.score == bench.attempt(merged(BY_WIDTH, found.activations, found.narrow))
    # no other layer could be narrow as well
    for index in WEIGHTS.keys() - found.narrow:
        assert not JUDGE.within(bench.attempt(merged(BY_WIDTH, found.activations, found.narrow | {index})))


# ---- the conversion is another network than the one that was chosen

GOOD, BAD = by_noise({}), by_noise({0: 1.0})


def alone(layers: int) -> tuple[Sensitivity, ...]:
    """Layer 0 costs least, the last one most."""
    return tuple(Sensitivity(index, 10, by_noise({index: 0.001 * (index + 1)})) for index in range(layers))


def converted(activations: int, layers: int, good: set[tuple[int, int]]) -> list[Step]:
    """Of a network in which all of `layers` layers could be narrow.

    Args:
        good: activations and how many layers are narrow.
    """
    mix = Mix(activations, None, GOOD, frozenset(range(layers)), GOOD, alone(layers))
    return list(widened(mix, lambda bits, narrow: GOOD if (bits, len(narrow)) in good else BAD, JUDGE))


def test_the_costliest_layers_are_wide_again() -> None:
    steps = converted(8, 5, {(8, 3)})
    assert [(step.activations, step.narrow, step.within) for step in steps] == [
        (8, frozenset({0, 1, 2, 3}), False),
        (8, frozenset({0, 1, 2}), True),
    ]


def test_at_last_everything_is_wide() -> None:
    steps = converted(8, 5, set())
    assert [len(step.narrow) for step in steps] == [4, 3, 1, 0]
    assert not steps[-1].within


def test_wide_activations_after_all_weights() -> None:
    steps = converted(6, 2, {(8, 2)})
    assert [(step.activations, len(step.narrow)) for step in steps] == [(6, 1), (6, 0), (8, 2)]


@settings(max_examples=40)
@given(st.sampled_from([6, 8]), st.integers(0, 70), st.sets(st.tuples(st.sampled_from([6, 8]), st.integers(0, 70))))
def test_conversions_are_few_and_the_last_is_good_or_wide(
    activations: int, layers: int, good: set[tuple[int, int]]
) -> None:
    steps = converted(activations, layers, good)
    assert len(steps) <= 2 * (math.log2(max(layers, 1)) + 3)
    assert [step.within for step in steps[:-1]] == [False] * len(steps[:-1])
    if steps and not steps[-1].within:
        assert (steps[-1].activations, steps[-1].narrow) == (8, frozenset())


def test_blocks_of_two_widths() -> None:
    blocks = dict(merged(BY_WIDTH, 8, frozenset({3})))
    assert blocks[1] == BY_WIDTH[8][1]
    assert (blocks[3].bw_layer_in, blocks[3].fl_layer_out, blocks[3].bw_params, blocks[3].fl_params) == (8, 8, 6, 16)


def test_overrides_name_what_is_narrow() -> None:
    net = net_of(PLAIN)
    found = overrides(net, frozenset({by_name(net, "conv2").index, by_name(net, "fc").index}))
    assert found == {"conv2": {"params_bits": 6}, "fc": {"params_bits": 6}}
