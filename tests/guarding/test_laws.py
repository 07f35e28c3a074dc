"""The guards of all scale classes together, as laws."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.guarding.nets import BLOBS, CHAIN, vector
from tests.small_nets import by_name, value
from xportdnn.choices import Triple
from xportdnn.guards.bounds import Numbers
from xportdnn.guards.marks import Guard, sentences
from xportdnn.guards.xilinx import Site, all_bounds, guarded
from xportdnn.journal import Level
from xportdnn.network import Value

BITS = Triple(8, 8, 8)
CLASSES = [value(CHAIN, blob) for blob in BLOBS[:5]]
positive = st.floats(2.0**-20, 2.0**20, width=32)


@st.composite
def site_lists(draw: st.DrawFn) -> list[Site]:
    """Convolutions between any two of five scale classes."""
    count = draw(st.integers(1, 5))
    found = []
    for index in range(count):
        channels = draw(st.integers(1, 4))
        numbers = Numbers(
            draw(positive),
            np.array(
                draw(st.lists(st.floats(-1000, 1000, width=32), min_size=channels, max_size=channels)), np.float32
            ),
            np.array(draw(st.lists(positive, min_size=channels, max_size=channels)), np.float32),
            BITS,
        )
        reads, writes = draw(st.sampled_from(CLASSES)), draw(st.sampled_from(CLASSES))
        found.append(Site(by_name(CHAIN, f"c{index}"), draw(st.booleans()), reads, writes, numbers))
    return found


all_thresholds = st.tuples(*(positive for _ in CLASSES)).map(lambda numbers: dict(zip(CLASSES, numbers, strict=True)))
laws = settings(max_examples=80, deadline=None)


@laws
@given(site_lists(), all_thresholds)
def test_thresholds_only_rise_and_only_where_a_convolution_writes(
    sites: list[Site], thresholds: dict[Value, float]
) -> None:
    found = guarded(sites, thresholds).thresholds
    assert list(found) == list(thresholds)
    for each, threshold in thresholds.items():
        assert found[each] >= threshold
        if each not in {site.writes for site in sites}:
            assert found[each] == threshold


@laws
@given(site_lists(), all_thresholds)
def test_every_bound_holds_or_is_told_to_be_out_of_reach(sites: list[Site], thresholds: dict[Value, float]) -> None:
    found, marks = guarded(sites, thresholds)
    stuck = {mark.layers[0].index for mark in marks if mark.guard is Guard.STUCK}
    for bound in all_bounds(sites, found):
        is_stuck = bound.guard is Guard.FACTOR and bound.site.writer.index in stuck
        assert bound.least <= found[bound.site.writes] or is_stuck
    assert all(found[site.writes].is_integer() for site in sites if site.whole)


@laws
@given(site_lists(), all_thresholds)
def test_a_second_time_changes_nothing(sites: list[Site], thresholds: dict[Value, float]) -> None:
    found = guarded(sites, thresholds).thresholds
    assert guarded(sites, found).thresholds == found


@laws
@given(site_lists(), all_thresholds, st.randoms(use_true_random=False))
def test_the_order_of_layers_does_not_matter(sites: list[Site], thresholds: dict[Value, float], random: Any) -> None:
    found = guarded(sites, thresholds)
    shuffled = random.sample(sites, len(sites))
    other = guarded(shuffled, thresholds)
    assert other.thresholds == found.thresholds
    raising = {Guard.WRAP, Guard.BIAS, Guard.FACTOR}
    assert {mark for mark in other.marks if mark.guard in raising} == {
        mark for mark in found.marks if mark.guard in raising
    }


@laws
@given(site_lists(), all_thresholds)
def test_marks_lead_from_the_old_threshold_to_the_new(sites: list[Site], thresholds: dict[Value, float]) -> None:
    found, marks = guarded(sites, thresholds)
    writes = {site.writer.index: site.writes for site in sites}
    reached = dict(thresholds)
    for mark in marks:
        if mark.guard in (Guard.WRAP, Guard.BIAS, Guard.FACTOR, Guard.WHOLE):
            root = writes[mark.layers[0].index]
            assert mark.fits is not None
            assert reached[root] == mark.was < mark.fits
            reached[root] = mark.fits
    assert reached == found


def test_a_threshold_that_was_asked_for_stays_and_is_warned_of() -> None:
    numbers = Numbers(10.0, vector(5, 6), vector(1, 1), BITS)
    site = Site(by_name(CHAIN, "c0"), False, CLASSES[0], CLASSES[1], numbers)
    thresholds = dict.fromkeys(CLASSES, 1.0)
    found, marks = guarded([site], thresholds, {CLASSES[1]})
    assert found == thresholds
    assert [(mark.guard, mark.was, mark.fits) for mark in marks] == [(Guard.GIVEN, 1.0, 6.0)]


def test_a_factor_that_follows_its_own_threshold_is_stuck() -> None:
    """An Eltwise ties what the Convolution reads and writes; its weights need more than four times the threshold."""
    numbers = Numbers(1.0, vector(0), vector(600), BITS)
    site = Site(by_name(CHAIN, "c0"), False, CLASSES[1], CLASSES[1], numbers)
    found, marks = guarded([site], dict.fromkeys(CLASSES, 1.0))
    assert found[CLASSES[1]] == 1.0
    assert [mark.guard for mark in marks] == [Guard.STUCK]
    assert [remark.level for remark in sentences(marks)] == [Level.WARNING]
