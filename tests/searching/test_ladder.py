"""The search on made-up scores: what is tried, what is chosen, and that the way back ends."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xportdnn.searching.ladder import Attempt, back_off, descend, joined
from xportdnn.searching.metric import Judge, Metric, Score
from xportdnn.searching.widths import FLOAT, RUNGS, Part, Widths, raised

BASELINE = Score(90.0, None, 100.0, float("inf"))
JUDGE = Judge(Metric.TOP1, 1.0, BASELINE)
SCORES = st.integers(0, 180).map(lambda half: half / 2)


def scored(top1: float) -> Score:
    return Score(top1, None, top1, top1)


def of_bits(scores: Mapping[int, float]) -> Attempt:
    """A network whose score follows the width of its activations."""
    return lambda widths: scored(scores[widths.activations])


@pytest.mark.parametrize(
    ("scores", "tried", "chosen"),
    [
        ({16: 90, 8: 89.5, 4: 89, 2: 80}, [16, 8, 4, 2], 4),
        ({16: 88}, [16], FLOAT),
        ({16: 90, 8: 90, 4: 91, 2: 90, 1: 89}, [16, 8, 4, 2, 1], 1),
        ({16: 90, 8: 80}, [16, 8], 16),
    ],
    ids=["in the middle", "not even the widest", "all the way down", "the second fails"],
)
def test_the_last_rung_before_the_first_that_fails(scores: dict[int, float], tried: list[int], chosen: int) -> None:
    ladder = descend((Part.ACTIVATIONS,), RUNGS, of_bits(scores), JUDGE)
    assert [rung.bits for rung in ladder.rungs] == tried
    assert ladder.chosen == chosen


@given(st.fixed_dictionaries(dict.fromkeys(RUNGS, SCORES)))
def test_bookkeeping_of_a_ladder(scores: dict[int, float]) -> None:
    ladder = descend((Part.ACTIVATIONS,), RUNGS, of_bits(scores), JUDGE)
    bits = [rung.bits for rung in ladder.rungs]
    assert bits == list(RUNGS[: len(bits)])
    assert all(rung.within for rung in ladder.rungs[:-1])
    assert ladder.rungs[-1].within == (len(bits) == len(RUNGS) and scores[RUNGS[-1]] >= 89)
    assert ladder.chosen == min((each for each in bits if scores[each] >= 89), default=FLOAT)


def test_only_the_part_itself_is_narrow() -> None:
    seen: list[Widths] = []

    def attempt(widths: Widths) -> Score:
        seen.append(widths)
        return BASELINE

    descend((Part.CONV,), (16, 8), attempt, JUDGE)
    descend((Part.CONV, Part.FC), (4,), attempt, JUDGE)
    assert seen == [Widths(conv_weights=16), Widths(conv_weights=8), Widths(4, 4)]


def test_what_was_chosen_together() -> None:
    ladders = [descend((part,), RUNGS[:depth], lambda _: BASELINE, JUDGE) for depth, part in enumerate(Part, 1)]
    assert joined(ladders) == Widths(16, 8, 4)


def test_the_raise_that_helps_most() -> None:
    """And of equal ones that with the smaller error."""
    gains = {Part.CONV: 0.5, Part.FC: 2.0, Part.ACTIVATIONS: 1.0}

    def attempt(widths: Widths) -> Score:
        steps = {part: (widths.of(part) > 4) + (widths.of(part) > 8) for part in Part}
        return scored(86.0 + sum(gains[part] * steps[part] for part in Part))

    first, second, third = back_off(Widths(4, 4, 4), tuple(Part), attempt, JUDGE)
    assert (first.raised, first.within) == (None, False)
    assert (second.raised, second.widths) == (Part.FC, Widths(4, 8, 4))
    assert dict(second.rejected) == {Part.CONV: scored(86.5), Part.ACTIVATIONS: scored(87.0)}
    assert (third.raised, third.widths, third.within) == (Part.FC, Widths(4, 16, 4), True)


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(RUNGS), min_size=3, max_size=3).map(lambda bits: Widths(*bits)),
    st.dictionaries(st.tuples(*[st.sampled_from((FLOAT, *RUNGS))] * 3), SCORES),
)
def test_the_way_back_ends(start: Widths, scores: dict[tuple[int, ...], float]) -> None:
    """Whatever the scores are: one part is a step wider each time, and float is good enough."""

    def attempt(widths: Widths) -> Score:
        return BASELINE if widths == Widths() else scored(scores.get(tuple(widths), 0.0))

    steps = back_off(start, tuple(Part), attempt, JUDGE)
    assert steps[0].widths == start
    assert [step.within for step in steps] == [False] * (len(steps) - 1) + [True]
    for before, after in pairwise(steps):
        assert after.raised is not None
        assert after.widths == before.widths.at((after.raised,), raised(before.widths.of(after.raised)))
        others = {part for part in Part if part is not after.raised and before.widths.of(part) < FLOAT}
        assert {part for part, _ in after.rejected} == others


def test_parts_that_the_network_does_not_have_are_not_raised() -> None:
    steps = back_off(Widths(8, FLOAT, 16), (Part.CONV, Part.ACTIVATIONS), lambda _: scored(0.0), JUDGE)
    assert steps[-1].widths == Widths()
    assert not steps[-1].within
    assert len(steps) == 1 + 2 + 1


@pytest.mark.parametrize(("bits", "wider"), [(1, 2), (2, 4), (4, 8), (6, 8), (8, 16), (16, FLOAT), (FLOAT, FLOAT)])
def test_the_next_width(bits: int, wider: int) -> None:
    assert raised(bits) == wider
