"""Thresholds of Xilinx mode that the board can work with: every scale class raised as little as its bounds allow.

A bound may depend on the threshold that its convolution reads, so raising one class can make another too low; the
bounds are applied to all classes at once, again and again, until they all hold. What comes out is the least solution
above the rule's thresholds: no order of layers or guards can change it, and applied to itself it changes nothing.

Each class was raised by one bound, the highest, and that is the one told; where the board keeps only whole numbers,
rounding up comes last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from xportdnn.choices import BOARD_WIDTHS, Triple
from xportdnn.guards import bounds
from xportdnn.guards.bounds import Numbers
from xportdnn.guards.convolutions import Convolution
from xportdnn.guards.marks import Guard, Mark
from xportdnn.layers import Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, Value
from xportdnn.plan import Settled, Thresholds


class Site(NamedTuple):
    """A convolution between two scale classes.

    Attributes:
        writer: the layer whose th_layer_out counts.
        whole: whether the board keeps only the whole part of that.
        reads, writes: scale classes.
    """

    writer: Layer
    whole: bool
    reads: Value
    writes: Value
    numbers: Numbers


class Bound(NamedTuple):
    """The least threshold that one guard allows the class that a site writes."""

    least: float
    guard: Guard
    site: Site


class Guarded(NamedTuple):
    """Scale class -> threshold, and what was done for it."""

    thresholds: Mapping[Value, float]
    marks: tuple[Mark, ...]


def sites(
    convolutions: Iterable[Convolution],
    weights: Mapping[int, Arrays],
    peaks: Mapping[Value, float],
    classes: Mapping[Value, Value],
    found: Thresholds,
    bits: Triple,
    settled: Settled,
) -> Iterator[Site]:
    """The convolutions that have thresholds and widths of the board.

    Args:
        weights: arrays by layer index.
        peaks: the largest |x| of what each of them writes, before a ReLU.
        classes: value -> scale class.
        found: its values are scale classes.
        bits, settled: see `plan.xilinx`.
    """
    for each in convolutions:
        index = each.layer.index
        widths = Triple(
            settled.widths.get(each.bottom, bits.layer_out),
            settled.params_widths.get(index, bits.params),
            settled.widths.get(each.top, bits.layer_out),
        )
        is_float = not settled.floats.isdisjoint((index, each.writer.index))
        reads, writes = classes[each.bottom], classes[each.top]
        has_all = index in found.params and reads in found.values and writes in found.values
        if has_all and not is_float and set(widths) <= set(BOARD_WIDTHS):
            numbers = each.numbers(weights, found.params[index], peaks[each.top], widths)
            yield Site(each.writer, each.normalised is not None, reads, writes, numbers)


def guarded(
    sites: Sequence[Site], thresholds: Mapping[Value, float], given: Collection[Value] = frozenset()
) -> Guarded:
    """The thresholds, raised where the board needs it.

    Args:
        sites: all of the network whose classes have a threshold.
        thresholds: scale class -> what the rule chose, above 0.
        given: classes whose threshold is the user's own; they stay, and are warned of.
    """
    free = [each for each in sites if each.writes not in given]
    whole = {each.writes for each in free if each.whole}
    rules = all_bounds
    # without circles, a row of bounds has no more steps than there are classes, and rounding up may add as many
    found = _settled(free, rules, whole, thresholds, range(2 * len(thresholds) + 2))
    if found is None:
        rules = _rising_less
        found = _settled(free, rules, whole, thresholds, count())
    assert found is not None
    raised = _raised(list(rules(free, found)), free, thresholds, found)
    return Guarded(found, (*raised, *_told(sites, found, given)))


_Rules = Callable[[Sequence[Site], Mapping[Value, float]], Iterator[Bound]]


def all_bounds(sites: Sequence[Site], thresholds: Mapping[Value, float]) -> Iterator[Bound]:
    """Every bound of these sites, at these thresholds."""
    for each in sites:
        th_in, th_out = thresholds[each.reads], thresholds[each.writes]
        yield Bound(bounds.of_words(each.numbers, th_in, th_out), Guard.WRAP, each)
        yield Bound(bounds.of_bias(each.numbers, th_out), Guard.BIAS, each)
        yield Bound(bounds.of_factor(each.numbers, th_in), Guard.FACTOR, each)


def _rising_less(sites: Sequence[Site], thresholds: Mapping[Value, float]) -> Iterator[Bound]:
    """The same with nothing in it that could go up in circles: what is left is constant from some threshold on, or
    rises less than the threshold it follows.
    """
    for each in sites:
        th_out = thresholds[each.writes]
        yield Bound(bounds.of_words(each.numbers, None, th_out), Guard.WRAP, each)
        yield Bound(bounds.of_bias(each.numbers, th_out), Guard.BIAS, each)
        if bounds.gain(each.numbers) < 1:
            yield Bound(bounds.of_factor(each.numbers, thresholds[each.reads]), Guard.FACTOR, each)


def _settled(
    sites: Sequence[Site], rules: _Rules, whole: set[Value], thresholds: Mapping[Value, float], rounds: Iterable[int]
) -> Mapping[Value, float] | None:
    """The least thresholds that hold all bounds, or None if they are not found in so many rounds."""
    found = dict(thresholds)
    for _ in rounds:
        raised = dict(found)
        for bound in rules(sites, found):
            raised[bound.site.writes] = max(raised[bound.site.writes], bound.least)
        raised |= {value: float(math.ceil(raised[value])) for value in whole}
        if raised == found:
            return found
        found = raised
    return None


def _raised(
    bound_by: Sequence[Bound], sites: Sequence[Site], before: Mapping[Value, float], after: Mapping[Value, float]
) -> Iterator[Mark]:
    for value, old in before.items():
        if after[value] == old:
            continue
        here = [bound for bound in bound_by if bound.site.writes == value]
        highest = max(here, key=lambda bound: (bound.least, -bound.site.writer.index))
        reached = max(old, highest.least)
        if reached > old:
            yield Mark(highest.guard, (highest.site.writer,), old, reached)
        if after[value] > reached:
            writers = tuple(each.writer for each in sites if each.whole and each.writes == value)
            yield Mark(Guard.WHOLE, writers, reached, after[value])


def _told(sites: Sequence[Site], thresholds: Mapping[Value, float], given: Collection[Value]) -> Iterator[Mark]:
    """What stays as it is."""
    for each in sites:
        if each.writes in given:
            least = max(bound.least for bound in all_bounds([each], thresholds))
            fits = max(least, thresholds[each.writes])
            if (fits := float(math.ceil(fits)) if each.whole else fits) > thresholds[each.writes]:
                yield Mark(Guard.GIVEN, (each.writer,), thresholds[each.writes], fits)
            continue
        sides = thresholds[each.reads], thresholds[each.writes]
        largest = float(bounds.factors(each.numbers, *sides).max())
        if largest >= bounds.FACTOR_LIMIT:
            yield Mark(Guard.STUCK, (each.writer,), largest, None)
        if (lost := bounds.given_up(each.numbers, sides[1])).any():
            yield Mark(Guard.CLIPPED, (each.writer,), float(np.abs(each.numbers.bias[lost]).max()), sides[1])
        if few := bounds.coarse(each.numbers, *sides):
            yield Mark(Guard.FINE, (each.writer,), few, None)
