"""What is kept while pictures pass: the same whatever the order, and however it is split."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xportdnn.evaluation.metrics import Energy
from xportdnn.evaluation.tally import Answers, Channels, Sums, Tally
from xportdnn.layers import Array

energies = st.tuples(*(st.floats(0, 1e100) for _ in range(3))).map(lambda values: Energy(*values))


@settings(deadline=None, max_examples=50)
@given(st.lists(energies, min_size=1, max_size=12), st.integers(0, 12))
def test_sums_do_not_depend_on_order_or_share(parts: list[Energy], cut: int) -> None:
    whole = Sums()
    for part in parts:
        whole = whole.plus(part)
    shuffled = sorted(parts)
    first, second = Sums(), Sums()
    for part in shuffled[:cut]:
        first = first.plus(part)
    for part in shuffled[cut:]:
        second = second.plus(part)
    assert first.merged(second) == whole
    assert whole.energy == Energy(*(math.fsum(column) for column in zip(*parts, strict=True)))


def test_sums_keep_what_floats_would_lose() -> None:
    found = Sums()
    for value in (1e300, 5e-324, 5e-324, 1.0):
        found = found.plus(Energy(value, 0.0, 0.0))
    assert found.signal - Sums().plus(Energy(1e300, 0.0, 0.0)).signal == 2 + (1 << 1074)


def picture(*channels: tuple[float, ...]) -> Array:
    """(1, channels, 1, width)."""
    return np.array(channels, np.float32).reshape(1, len(channels), 1, -1)


def test_dead_channels() -> None:
    tally = Tally()
    # varies in both; constant in the quantized one only; constant in both; constant, but another value next time
    tally.watch(picture((1, 2), (1, 2), (3, 3), (1, 2)), picture((1, 2), (0, 0), (3, 3), (5, 5)))
    tally.watch(picture((1, 2), (1, 1), (3, 3), (1, 2)), picture((1, 1), (0, 0), (3, 3), (6, 6)))
    assert tally.channels is not None
    assert tally.channels.constant.tolist() == [False, True, True, False]
    assert tally.channels.dead == 1


def test_a_channel_that_varies_between_pictures_only() -> None:
    tally = Tally()
    tally.watch(picture((1, 1)), picture((0, 0)))
    assert tally.channels is not None
    assert tally.channels.dead == 0
    tally.watch(picture((2, 2)), picture((0, 0)))
    assert tally.channels.dead == 1


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_channels_merge_to_the_channels_of_all(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 6))
    values = st.lists(st.integers(0, 1), min_size=8, max_size=8)
    pairs = [tuple(np.array(data.draw(values), np.float32).reshape(4, 2) for _ in range(2)) for _ in range(count)]
    cut = data.draw(st.integers(1, count - 1))

    def over(part: list[tuple[Array, ...]]) -> Channels:
        found = Channels.of(part[0][0], part[0][1])
        for signal, quantized in part[1:]:
            found.add(signal, quantized)
        return found

    whole, merged = over(pairs), over(pairs[:cut]).merged(over(pairs[cut:]))
    assert merged.constant.tolist() == whole.constant.tolist()
    assert merged.dead == whole.dead


def tally_of(pictures: list[Array]) -> Tally:
    found = Tally()
    for array in pictures:
        found.add(array, np.round(array))
        found.watch(array, np.round(array))
        found.draw(array)
        found.saturated += 2
        found.wrapped += 3
    return found


def test_tallies_merge_to_the_tally_of_all() -> None:
    rng = np.random.default_rng(5)
    pictures = [rng.standard_normal((1, 3, 2, 5)).astype(np.float32) for _ in range(5)]
    whole, merged = tally_of(pictures), tally_of(pictures[3:]).merged(tally_of(pictures[:3]))
    for name in ("sums", "count", "nonzero", "minimum", "maximum", "saturated", "wrapped"):
        assert getattr(merged, name) == getattr(whole, name)
    assert merged.histogram is not None
    assert whole.histogram is not None
    assert merged.histogram.counts.tolist() == whole.histogram.counts.tolist()


def test_a_tally_counts() -> None:
    found = Tally()
    found.add(picture((0, -3), (2, 0)), picture((0, -3), (2, 0)))
    assert (found.count, found.nonzero, found.minimum, found.maximum) == (4, 2, -3, 2)


def test_what_is_not_finite_is_not_counted() -> None:
    found = Tally()
    assert not found.add(picture((np.nan,)), picture((1,))).finite
    assert found == Tally()


@pytest.mark.parametrize(("second", "expected"), [((1, 2), False), ((1, 3), True)], ids=["the same", "another"])
def test_answers_vary_if_any_differs(second: tuple[float, float], expected: bool) -> None:
    found = Answers(picture((1, 2)), picture((1, 2)))
    found.add(picture(second), picture((1, 2)))
    assert found.signal_varies is expected
    assert not found.quantized_varies


def test_answers_of_two_workers_differ_between_them() -> None:
    first, second = (Answers(picture((value,)), picture((value,))) for value in (1, 2))
    both = first.merged(second)
    assert both.signal_varies
    assert both.quantized_varies
    assert not first.merged(Answers(picture((1,)), picture((1,)))).quantized_varies
