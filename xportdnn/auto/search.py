"""Thresholds by what they do to the network's outputs: the rule `auto`.

The other rules look at one blob at a time. What a threshold costs shows only at the outputs, most of all where a blob
is averaged afterwards: the average is small, and has the steps of the blob's largest values. So the best of the other
rules is taken for a start, and where quantizing a scale class does damage at the outputs, wider and narrower
thresholds are tried with everything else quantized.

Half of the pictures chooses, the other half has the last word: a threshold is kept only if the outputs are nearer to
the float network's for pictures that had no part in choosing it. Every error is a sum over pictures in their order, so
that the number of workers changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from xportdnn.auto.judging import aims, needed
from xportdnn.auto.places import Place, first
from xportdnn.auto.places import places as find_places
from xportdnn.auto.share import Share
from xportdnn.layers import Array, Arrays
from xportdnn.network import Layer, Value
from xportdnn.opening import Opened
from xportdnn.precision import Precision
from xportdnn.simulation.fake import Fake
from xportdnn.workers import Crew, Tick, crew

_HARMFUL = 0.03  # share of the outputs' error from which a class is worth a search
_BETTER = 0.99  # what an error must fall to, so that rounding noise decides nothing
_EFFORT = 4e12  # multiplications, some minutes on two cores: beyond, fewer pictures are looked at
_FEWEST = 4  # pictures: if these are too many for it, only the best rule is looked for
_GRID = tuple(2.0 ** (-k / 4) for k in range(11))  # of the largest |x|: 1 .. 0.18


Rules: TypeAlias = Mapping[str, Mapping[Value, float]]
"""Rule -> scale class -> threshold."""


class Move(NamedTuple):
    """A class whose threshold was changed.

    Attributes:
        root: the scale class.
        before, after: its thresholds.
        share: how much of the outputs' error vanished with the class in float.
        left: what was left of the outputs' error, of pictures that had no part in choosing, as a share.
    """

    root: Value
    before: float
    after: float
    share: float
    left: float


@dataclass(frozen=True)
class Found:
    """What the search came to.

    Attributes:
        thresholds: scale class -> threshold.
        start: the rule that was best before any class was moved.
        moves: in file order.
        pictures: how many were looked at, the first ones.
        searched: whether there was a search, and not only the best rule.
        before, after: error of the outputs with the start's thresholds and with these (`judging.error`), of the
            pictures that had no part in choosing.
    """

    thresholds: dict[Value, float]
    start: str
    moves: tuple[Move, ...]
    pictures: int
    searched: bool
    before: float
    after: float


def search(
    opened: Opened,
    weights: Mapping[int, Arrays],
    pictures: Sequence[Mapping[Value, Array]],
    classes: Mapping[Value, Value],
    blocks: Mapping[int, Precision],
    rules: Rules,
    peaks: Mapping[Value, float],
    tick: Tick = lambda: None,
    workers: int = 1,
) -> Found:
    """The thresholds of all classes.

    From a single picture, of which nothing could be held back, and for a network too large for so many forwards, those
    of the best rule.

    Args:
        weights: float arrays by layer index.
        classes: value -> scale class.
        blocks: layer index -> formats; their thresholds of activations are replaced by those that are tried.
        rules: what the other rules chose.
        peaks: the largest |x| of the classes whose threshold may be moved.
        tick: called once for every class.

    Raises:
        CalibrationError: no output to judge by.
    """
    judged = aims(opened)
    layers = needed(opened, judged)
    fake = Fake(opened.net, layers, weights, blocks)
    places = find_places(opened.net, blocks, classes)

    def share(indices: Sequence[int]) -> Share:
        return Share(opened, layers, weights, fake, blocks, places, judged, pictures, indices)

    tries = (1 + len(rules) + len(_GRID)) / 2 * len(peaks)  # forwards of half the network on average
    each = max(1.0, tries * _multiplications(opened, layers, weights))
    count = min(len(pictures), max(_FEWEST, int(_EFFORT // each)))
    movable = peaks if count > 1 and count * each <= _EFFORT else {}
    with crew(share, count, workers, lambda: None) as shares:
        return _search(_Judge(shares, count), rules, movable, places, tick)


def _multiplications(opened: Opened, layers: Sequence[Layer], weights: Mapping[int, Arrays]) -> int:
    """For one picture: every weight is used once for each cell of its layer's top."""
    return sum(
        weights[layer.index][0].size * math.prod(opened.shapes[layer.tops[0]][2:])
        for layer in layers
        if weights.get(layer.index)
    )


class _Judge:
    """Asks all shares, and splits their pictures into those that choose and those that were held back.

    Attributes:
        holds_back: False for a single picture, which then stands on both sides.
    """

    def __init__(self, shares: Crew[Share], count: int) -> None:
        self.shares, self.count, self.holds_back = shares, count, count > 1
        shares.call(Share.learn)

    def errors(self) -> tuple[float, float]:
        """The mean error of the choosing pictures, and that of those held back."""
        found: dict[int, tuple[float, ...]] = {}
        for part in self.shares.call(Share.errors):
            found |= part
        means = {index: math.fsum(errors) / len(errors) for index, errors in found.items()}
        period = 2 if self.holds_back else 1
        return _mean_of_every(means, period, 0), _mean_of_every(means, period, 1 % period)

    def take(self, root: Value, threshold: float | None) -> tuple[float, float]:
        """The same with another threshold of one class."""
        self.shares.call(Share.take, {root: threshold})
        return self.errors()


def _mean_of_every(means: Mapping[int, float], period: int, first: int) -> float:
    side = [error for index, error in means.items() if index % period == first]
    return math.fsum(side) / len(side)


def _search(
    judge: _Judge,
    rules: Rules,
    peaks: Mapping[Value, float],
    places: Mapping[Value, tuple[Place, ...]],
    tick: Tick,
) -> Found:
    tried = {name: _all(judge, thresholds, places) for name, thresholds in rules.items()}
    start = min(tried, key=lambda name: sum(tried[name]))
    thresholds = dict(rules[start])
    now = before = _all(judge, thresholds, places)
    moves: list[Move] = []
    for root in sorted(thresholds, key=lambda root: first(places.get(root, ()))):
        tick()
        if root not in places or root not in peaks:
            continue
        judge.shares.call(Share.enter, first(places[root]))
        without = judge.take(root, None)
        share = 1 - (without[0] + without[1]) / (now[0] + now[1]) if now[0] + now[1] else 0.0
        old = thresholds[root]
        best, errors = old, now
        for candidate in _candidates(root, rules, peaks[root]) if share >= _HARMFUL else ():
            found = judge.take(root, candidate)
            if found[0] < errors[0]:
                best, errors = candidate, found
        if errors[0] < _BETTER * now[0] and errors[1] < _BETTER * now[1]:
            moves.append(Move(root, old, best, share, errors[1] / now[1]))
            thresholds[root], now = best, errors
        judge.shares.call(Share.take, {root: thresholds[root]})
    return Found(thresholds, start, tuple(moves), judge.count, bool(peaks), before[1], now[1])


def _all(
    judge: _Judge, thresholds: Mapping[Value, float], places: Mapping[Value, tuple[Place, ...]]
) -> tuple[float, float]:
    judge.shares.call(Share.take, {root: threshold for root, threshold in thresholds.items() if root in places})
    return judge.errors()


def _candidates(root: Value, rules: Rules, peak: float) -> list[float]:
    return sorted({*(thresholds[root] for thresholds in rules.values()), *(peak * part for part in _GRID)})
