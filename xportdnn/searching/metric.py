"""What is measured of a quantized network, and how much of it may be lost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import reduce
from typing import NamedTuple

from xportdnn.evaluation.metrics import Energy, per_cent, sqnr_db
from xportdnn.evaluation.outputs import Verdict
from xportdnn.evaluation.sensitivity import agreement, top
from xportdnn.evaluation.share import Probed
from xportdnn.evaluation.tally import Sums

_ROUNDING = 1e-9  # of percentages: 95.5 - 94.5 must not be more than 1


class Metric(str, Enum):
    """By what a quantized network is judged."""

    TOP1 = "top1"
    TOP5 = "top5"
    AGREEMENT = "agreement"
    SQNR = "sqnr"

    @property
    def words(self) -> str:
        named = {"top1": "top-1", "top5": "top-5", "agreement": "agreement of top-1", "sqnr": "output SQNR"}
        return named[self.value]

    @property
    def unit(self) -> str:
        return "dB" if self is Metric.SQNR else "%"

    @property
    def margin(self) -> float:
        """The margin that is meant if none is given: Ristretto's documentation's, or an error of a tenth."""
        return 20.0 if self is Metric.SQNR else 1.0

    def problem(self, margin: float | None) -> str | None:
        """What is wrong with a margin: nothing can lose 100 points of a percentage or more."""
        if margin is None or margin < 100 or self is Metric.SQNR:
            return None
        return f"--error_margin {margin:g}: no network can lose as many points of {self.words}; give less than 100"


class Score(NamedTuple):
    """How a network did; None where it has no classes or no labels.

    Attributes:
        top1, top5, agreement: in per cent.
        sqnr_db: of the output with the classes' scores, else the least of all outputs; infinite where nothing differs.
    """

    top1: float | None
    top5: float | None
    agreement: float | None
    sqnr_db: float

    def value(self, metric: Metric) -> float:
        """What the metric says; minus infinity where it has nothing to say."""
        found = self.sqnr_db if metric is Metric.SQNR else getattr(self, metric.value)
        return -math.inf if found is None else float(found)


def score(probed: Sequence[Probed], judged: Sequence[int]) -> Score:
    """Of what every picture gave.

    Args:
        judged: positions of the outputs that count.
    """
    verdicts = [each.verdict for each in probed if each.verdict is not None]
    energies = [_total(each.errors[position] for each in probed) for position in judged]
    # one good output does not make up for another that is ruined
    level = min(map(_level, energies), default=-math.inf)
    ranks = [verdict.second_rank for verdict in verdicts]
    return Score(top(ranks, 1), top(ranks, 5), agreement(verdicts), level)


def _level(energy: Energy) -> float:
    """In dB; infinite where nothing differs, minus infinity where there is noise alone."""
    if energy.noise == 0:
        return math.inf
    found = sqnr_db(energy)
    return -math.inf if found is None else found


def float_score(verdicts: Sequence[Verdict]) -> Score:
    """That of the float network itself."""
    ranks = [verdict.first_rank for verdict in verdicts]
    return Score(top(ranks, 1), top(ranks, 5), per_cent([True for _ in verdicts]), math.inf)


class Judge(NamedTuple):
    """How much may be lost.

    Attributes:
        margin: in points; of `Metric.SQNR` the least ratio in dB that must be left.
        baseline: the float network's score.
    """

    metric: Metric
    margin: float
    baseline: Score

    def within(self, score: Score) -> bool:
        """Whether a network is good enough."""
        found = score.value(self.metric)
        if self.metric is Metric.SQNR:
            return found >= self.margin
        return found + self.margin >= self.baseline.value(self.metric) - _ROUNDING

    def key(self, score: Score) -> tuple[float, float]:
        """Ascending from worst to best; of equal ones that with the smaller error is better."""
        return score.value(self.metric), score.sqnr_db


def _total(parts: Iterable[Energy]) -> Energy:
    return reduce(Sums.plus, parts, Sums()).energy
