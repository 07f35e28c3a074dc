"""Buffers that are needed at the same time lie apart, others share their place."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from xportdnn.engine.memory import LINE, Span, place

spans = st.builds(
    lambda first, length, size: Span(first, first + length, size),
    st.integers(0, 12), st.integers(0, 5), st.integers(0, 100),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(spans, max_size=14))
def test_spans_that_meet_do_not_overlap(given: list[Span]) -> None:
    offsets, total = place(given)
    for (one, at), (other, there) in combinations(zip(given, offsets, strict=True), 2):
        if one.first <= other.last and other.first <= one.last:
            assert at + one.size <= there or there + other.size <= at or not one.size or not other.size
    assert all(offset % LINE == 0 for offset in offsets)
    assert total == max((offset + span.size for span, offset in zip(given, offsets, strict=True)), default=0)


def test_a_chain_needs_room_for_two() -> None:
    chain = [Span(step, step + 1, 1600) for step in range(10)]
    assert place(chain)[1] == 3200
