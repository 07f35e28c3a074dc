"""Scores, and how much of them may be lost."""

from __future__ import annotations

import math

import pytest

from xportdnn.evaluation.metrics import Energy
from xportdnn.evaluation.outputs import Verdict
from xportdnn.evaluation.share import Probed
from xportdnn.searching.metric import Judge, Metric, Score, float_score, score

NOTHING = Energy(4.0, 0.0, 4.0)


def verdict(picture: int, first: int, second: int, ranks: tuple[int, int] | None = None) -> Verdict:
    before, after = ranks or (None, None)
    return Verdict(picture, first, second, before, after, tied=False, divergence=0.0)


def test_of_pictures() -> None:
    probed = [
        Probed((Energy(100.0, 1.0, 90.0),), verdict(0, 3, 3, (0, 0))),
        Probed((Energy(100.0, 1.0, 90.0),), verdict(1, 3, 4, (0, 5))),
        Probed((Energy(0.0, 0.0, 0.0),), verdict(2, 1, 1, (1, 4))),
    ]
    assert tuple(score(probed, [0])) == pytest.approx((100 / 3, 200 / 3, 200 / 3, 20.0))


def test_outputs_that_do_not_count() -> None:
    assert score([Probed((Energy(1.0, 1.0, 1.0), Energy(100.0, 1.0, 1.0)), None)], [1]).sqnr_db == pytest.approx(20)


def test_the_worst_output_decides() -> None:
    """What does not change at all, as the boxes of a PriorBox, says nothing of the others."""
    errors = (NOTHING, Energy(100.0, 1.0, 90.0), Energy(1000.0, 1.0, 900.0))
    assert score([Probed(errors, None)], [0, 1, 2]).sqnr_db == pytest.approx(20)


def test_as_in_float() -> None:
    assert score([Probed((NOTHING,), None)], [0]) == (None, None, None, math.inf)


def test_the_float_network() -> None:
    assert float_score([verdict(0, 2, 2, (0, 7)), verdict(1, 3, 3, (6, 0))]) == (50.0, 50.0, 100.0, math.inf)
    assert float_score([]) == (None, None, None, math.inf)


@pytest.mark.parametrize(
    ("metric", "margin", "good", "bad"),
    [
        (Metric.TOP1, 1.0, Score(94.5, 0.0, 0.0, 0.0), Score(94.25, 99.0, 100.0, 60.0)),
        (Metric.TOP5, 0.0, Score(0.0, 99.0, 0.0, 0.0), Score(100.0, 98.9, 100.0, 60.0)),
        (Metric.AGREEMENT, 2.0, Score(None, None, 98.0, 0.0), Score(None, None, 97.5, 60.0)),
        (Metric.SQNR, 20.0, Score(None, None, None, 20.0), Score(None, None, None, 19.9)),
    ],
    ids=lambda each: each.value if isinstance(each, Metric) else None,
)
def test_what_may_be_lost(metric: Metric, margin: float, good: Score, bad: Score) -> None:
    judge = Judge(metric, margin, Score(95.5, 99.0, 100.0, math.inf))
    assert judge.within(good)
    assert not judge.within(bad)
    assert judge.key(good) > judge.key(bad)


@pytest.mark.parametrize("count", [167, 400, 1000])
def test_a_margin_of_whole_pictures_is_kept_exactly(count: int) -> None:
    """Percentages are rounded; a loss of as many pictures as the margin allows must not be too much."""
    for lost in range(1, 30):
        judge = Judge(Metric.TOP1, 100 * lost / count, Score(100 * (count - 3) / count, None, None, math.inf))
        assert judge.within(Score(100 * (count - 3 - lost) / count, None, None, 0.0))
        assert not judge.within(Score(100 * (count - 4 - lost) / count, None, None, 0.0))


@pytest.mark.parametrize(("metric", "margin"), [(Metric.TOP1, 1.0), (Metric.AGREEMENT, 1.0), (Metric.SQNR, 20.0)])
def test_margins_if_none_is_given(metric: Metric, margin: float) -> None:
    assert metric.margin == margin
