"""6 or 8 bits for the weights of each layer, and for all activations: what the board can do.

The formats are the conversion's own, at 6 bits and at 8. Activations get 6 bits if the network can do with that while
all weights have 8. Then the layers are tried one at a time with narrow weights, and narrowed in the order of the noise
that each adds for a weight saved, as long as all together stay good enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
        narrow: whether they are in the end.
    """

    layer: int
    weights: int
    score: Score
    narrow: bool


class Mix(NamedTuple):
    """What was chosen.

    Attributes:
        wide: the score with wide weights everywhere.
        narrow: indices of the layers with narrow weights.
        score: with them.
        tried: empty where all layers could be narrow at once, or none.
    """

    activations: int
    wide: Score
    narrow: frozenset[int]
    score: Score
    tried: tuple[Sensitivity, ...]


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

    activations, wide = NARROW, run(NARROW, frozenset())
    if not judge.within(wide):
        activations, wide = WIDE, run(WIDE, frozenset())
    every = frozenset(weights)
    if not judge.within(wide):
        return Mix(activations, wide, frozenset(), wide, ())
    if judge.within(score := run(activations, every)):
        return Mix(activations, wide, every, score, ())
    alone = {index: run(activations, frozenset({index})) for index in sorted(every)}
    narrow: frozenset[int] = frozenset()
    best = wide
    for index in sorted(every, key=lambda each: ((_noise(alone[each]) - _noise(wide)) / weights[each], each)):
        if judge.within(score := run(activations, narrow | {index})):
            narrow, best = narrow | {index}, score
    tried = tuple(Sensitivity(index, weights[index], each, index in narrow) for index, each in alone.items())
    return Mix(activations, wide, narrow, best, tried)


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
