"""Ristretto's search for widths, and the way back from it: pure functions of what a network scores.

Every part of the network descends its ladder alone while all others stay float, until a rung is not good enough; the
last one that was is chosen. What Ristretto does not look at is whether the parts together are good enough: if they are
not, the part whose next width helps most is raised, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from xportdnn.searching.metric import Judge, Score
from xportdnn.searching.widths import FLOAT, Part, Widths, raised

Attempt: TypeAlias = Callable[[Widths], Score]
"""Run the network with these widths."""


class Rung(NamedTuple):
    """A width that was tried."""

    bits: int
    score: Score
    within: bool


class Ladder(NamedTuple):
    """What a part did alone; parts that have one width are together.

    Attributes:
        rungs: in the order in which they were tried: no width is smaller than the one after it.
    """

    parts: tuple[Part, ...]
    rungs: tuple[Rung, ...]

    @property
    def chosen(self) -> int:
        """The smallest width before the first that was not good enough; `FLOAT` if none was."""
        return min((rung.bits for rung in self.rungs if rung.within), default=FLOAT)


class Joint(NamedTuple):
    """All parts together.

    Attributes:
        raised: what was raised to get here; None at first.
        rejected: the other raises that were tried, with their scores.
    """

    widths: Widths
    score: Score
    within: bool
    raised: Part | None = None
    rejected: tuple[tuple[Part, Score], ...] = ()


def descend(parts: tuple[Part, ...], rungs: Sequence[int], attempt: Attempt, judge: Judge) -> Ladder:
    """Try the widths in order, all other parts float, until one is not good enough."""
    found: list[Rung] = []
    for bits in rungs:
        score = attempt(Widths().at(parts, bits))
        found.append(Rung(bits, score, judge.within(score)))
        if not found[-1].within:
            break
    return Ladder(parts, tuple(found))


def joined(ladders: Sequence[Ladder]) -> Widths:
    """What every part chose."""
    widths = Widths()
    for ladder in ladders:
        widths = widths.at(ladder.parts, ladder.chosen)
    return widths


def back_off(start: Widths, parts: Sequence[Part], attempt: Attempt, judge: Judge) -> tuple[Joint, ...]:
    """From widths that may be too small together to some that are not, step by step; the first is the start.

    It ends at the latest where all parts are float.

    Args:
        parts: those that the network has.
    """
    score = attempt(start)
    steps = [Joint(start, score, judge.within(score))]
    while not steps[-1].within:
        now = steps[-1].widths
        tried = {
            part: (wider, attempt(wider))
            for part in parts
            if now.of(part) < FLOAT
            for wider in [now.at((part,), raised(now.of(part)))]
        }
        if not tried:
            break
        best = max(tried, key=lambda part: judge.key(tried[part][1]))
        widths, score = tried.pop(best)
        rejected = tuple((part, other) for part, (_, other) in tried.items())
        steps.append(Joint(widths, score, judge.within(score), best, rejected))
    return tuple(steps)
