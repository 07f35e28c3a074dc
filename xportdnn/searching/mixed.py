"""6 or 8 bits for the weights of each layer, and for all activations: what the board can do.

The formats are the conversion's own, at 6 bits and at 8. Activations get 6 bits if the network can do with that while
all weights have 8. Then the layers are tried one at a time with narrow weights, and narrowed in the order of the noise
that each adds for a weight saved, as long as all together stay good enough.

What is judged so far is put together from conversions at 6 bits and at 8. The conversion with the widths that were
chosen finds thresholds anew, so that it is another network; where that one is not good enough, layers get wide weights
again and it is repeated, twice as many layers each time: of n layers at most log2(n) + 3 conversions for either width
of the activations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from xportdnn.choices import BOARD_WIDTHS
from xportdnn.network import Net
from xportdnn.precision import Precision
from xportdnn.searching.metric import Judge, Score

NARROW, WIDE = BOARD_WIDTHS
_ACTIVATIONS = ("bw_layer_in", "bw_layer_out", "fl_layer_in", "fl_layer_out", "th_layer_in", "th_layer_out")

Blocks: TypeAlias = tuple[tuple[int, Precision], ...]
"""Layer index and block, in order: a network to try."""


class Sensitivity(NamedTuple):
    """What a layer does alone.

    Attributes:
        weights: how many it has.
        score: of the network with its weights, and no other, narrow.
    """

    layer: int
    weights: int
    score: Score


class Mix(NamedTuple):
    """What was chosen.

    Attributes:
        rejected: the score with wide weights and narrow activations, where they are not.
        wide: the score with wide weights everywhere.
        narrow: indices of the layers with narrow weights.
        score: with them.
        tried: empty where nobody had to know.
    """

    activations: int
    rejected: Score | None
    wide: Score
    narrow: frozenset[int]
    score: Score
    tried: tuple[Sensitivity, ...] = ()


class Step(NamedTuple):
    """A conversion, and what it gives.

    Attributes:
        narrow: indices of the layers with narrow weights.
    """

    activations: int
    narrow: frozenset[int]
    score: Score
    within: bool


def choose(
    by_width: Mapping[int, Mapping[int, Precision]],
    weights: Mapping[int, int],
    attempt: Callable[[Blocks], Score],
    judge: Judge,
) -> Mix:
    """The narrowest network found that is good enough; all of it wide if even that is not.

    Args:
        by_width: bits -> layer index -> block, of networks in which all is narrow and all is wide.
        weights: layer index -> how many weights there are to be narrowed.
    """

    def run(activations: int, narrow: frozenset[int]) -> Score:
        return attempt(merged(by_width, activations, narrow))

    rejected: Score | None = None
    activations, wide = NARROW, run(NARROW, frozenset())
    if not judge.within(wide):
        rejected, activations, wide = wide, WIDE, run(WIDE, frozenset())
    every = frozenset(weights)
    if not judge.within(wide):
        return Mix(activations, rejected, wide, frozenset(), wide)
    if judge.within(score := run(activations, every)):
        return Mix(activations, rejected, wide, every, score)
    alone = tried(by_width, weights, activations, attempt)
    narrow: frozenset[int] = frozenset()
    best = wide
    for index in cheapest(alone, wide):
        if judge.within(score := run(activations, narrow | {index})):
            narrow, best = narrow | {index}, score
    return Mix(activations, rejected, wide, narrow, best, alone)


def tried(
    by_width: Mapping[int, Mapping[int, Precision]],
    weights: Mapping[int, int],
    activations: int,
    attempt: Callable[[Blocks], Score],
) -> tuple[Sensitivity, ...]:
    """Each layer alone with narrow weights."""
    return tuple(
        Sensitivity(index, weights[index], attempt(merged(by_width, activations, frozenset({index}))))
        for index in sorted(weights)
    )


def cheapest(alone: tuple[Sensitivity, ...], wide: Score) -> list[int]:
    """The layers in the order of the noise that they add for a weight saved."""
    cost = {each.layer: (_noise(each.score) - _noise(wide)) / each.weights for each in alone}
    return sorted(cost, key=lambda index: (cost[index], index))


def widened(mix: Mix, attempt: Callable[[int, frozenset[int]], Score], judge: Judge) -> Iterator[Step]:
    """Conversions with fewer and fewer narrow layers, until one is good enough or everything is wide.

    1, 2, 4, ... layers have wide weights again, those first that cost most. If narrow activations are not good enough
    with any, the same layers are tried with wide ones.

    Args:
        mix: with a conversion that is not good enough itself; with `tried`, where layers are narrow.
        attempt: convert with activations of this width and these layers narrow.
    """
    costly = [index for index in reversed(cheapest(mix.tried, mix.wide)) if index in mix.narrow]
    for activations in sorted({mix.activations, WIDE}):
        # as it was chosen it has been converted already
        unchanged = [] if activations == mix.activations else [0]
        for count in (*unchanged, *_shares(len(costly))):
            narrow = mix.narrow - set(costly[:count])
            score = attempt(activations, narrow)
            yield Step(activations, narrow, score, judge.within(score))
            if judge.within(score):
                return


def _shares(count: int) -> list[int]:
    """Twice as many each time, at last all: 1, 2, 4, 5 of five."""
    return [*(1 << power for power in range((count - 1).bit_length())), count] if count else []


def merged(by_width: Mapping[int, Mapping[int, Precision]], activations: int, narrow: frozenset[int]) -> Blocks:
    """The blocks with activations of one width, and the weights of these layers narrow."""
    blobs = by_width[activations]
    return tuple(
        (index, _with_activations(by_width[NARROW if index in narrow else WIDE][index], blobs[index]))
        for index in sorted(blobs)
    )


def overrides(net: Net, narrow: frozenset[int]) -> dict[str, Any]:
    """The entries of `--overrides` (schemas/overrides.schema.json) for a conversion whose weights are wide."""
    return {net.layers[index].name: {"params_bits": NARROW} for index in sorted(narrow)}


def _with_activations(own: Precision, blobs: Precision) -> Precision:
    values: dict[str, Any] = {name: getattr(blobs, name) for name in _ACTIVATIONS}
    return replace(own, **values)


def _noise(score: Score) -> float:
    """The noise of the outputs in parts of their signal."""
    return 0.0 if math.isinf(score.sqnr_db) and score.sqnr_db > 0 else 10 ** (-score.sqnr_db / 10)
