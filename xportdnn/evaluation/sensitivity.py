"""Which layer is sensitive: networks of which only a part is quantized, judged by their outputs alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

from xportdnn import precision, scales
from xportdnn.choices import Side
from xportdnn.evaluation.metrics import Energy, cosine, mean, per_cent, sqnr_db
from xportdnn.evaluation.outputs import Verdict
from xportdnn.evaluation.share import Probed
from xportdnn.evaluation.tally import Sums
from xportdnn.network import Layer, Net
from xportdnn.precision import Precision, Ristretto


class Part(NamedTuple):
    """A part of a network that is quantized while the rest stays float.

    Attributes:
        layer: the one layer; None for a whole side.
        side: weights or activations of all layers; None for both.
    """

    layer: Layer | None
    side: Side | None
    blocks: Mapping[int, Precision | Ristretto]

    @property
    def name(self) -> str:
        return self.layer.name if self.layer is not None else f"all {self.side.value}" if self.side else "all"


class Effect(NamedTuple):
    """What quantizing a part alone does to the outputs; None where it was not computed or nothing changes.

    Attributes:
        sqnr_db, cosine: of the output with the classes' scores, else the mean over all outputs.
        agreement_top1, top1: in per cent; None without classes or labels.
    """

    part: Part
    sqnr_db: float | None
    cosine: float | None
    identical: bool
    agreement_top1: float | None
    top1: float | None


def parts(net: Net, blocks: Mapping[int, Precision | Ristretto]) -> Iterator[Part]:
    """Each layer with a block alone, in file order, then weights and activations alone.

    Layers that only move or rectify numbers repeat the format of their producer, and are not tried.
    """
    for index in sorted(blocks):
        layer = net.layers[index]
        if not scales.repeats(layer):
            yield Part(layer, None, {index: blocks[index]})
    if not any(isinstance(block, Ristretto) for block in blocks.values()):
        for side in Side:
            yield Part(None, side, precision.only(blocks, side))


def effects(tried: Sequence[Part], found: Mapping[int, Sequence[Probed]], judged: Sequence[int]) -> tuple[Effect, ...]:
    """The effect of every part.

    Args:
        found: picture -> what it gave with each part.
        judged: positions of the outputs that count.
    """
    return tuple(
        _effect(part, [seen[position] for seen in found.values()], judged) for position, part in enumerate(tried)
    )


def ranked(found: Sequence[Effect]) -> list[Effect]:
    """The layers whose quantization alone hurts the outputs most first; those without effect last."""
    layers = [effect for effect in found if effect.part.layer is not None]
    return sorted(
        layers, key=lambda effect: (effect.identical, float("inf") if effect.sqnr_db is None else effect.sqnr_db)
    )


def of_side(found: Sequence[Effect], side: Side) -> Effect | None:
    """The effect of one side alone."""
    return next((effect for effect in found if effect.part.layer is None and effect.part.side is side), None)


def agreement(verdicts: Sequence[Verdict]) -> float | None:
    """For how many pictures both networks put the same class first, in per cent."""
    return per_cent([verdict.first == verdict.second for verdict in verdicts])


def top(ranks: Sequence[int | None], count: int) -> float | None:
    """For how many pictures fewer than `count` classes come before the label, in per cent; None without labels."""
    return per_cent([rank < count for rank in ranks if rank is not None])


def _effect(part: Part, seen: Sequence[Probed], judged: Sequence[int]) -> Effect:
    energies = [_total(probed.errors[position] for probed in seen) for position in judged]
    verdicts = [probed.verdict for probed in seen if probed.verdict is not None]
    return Effect(
        part,
        mean([sqnr_db(energy) for energy in energies]),
        mean([cosine(energy) for energy in energies]),
        all(energy.noise == 0 for energy in energies),
        agreement(verdicts),
        top([verdict.second_rank for verdict in verdicts], 1),
    )


def _total(parts: Iterable[Energy]) -> Energy:
    return reduce(Sums.plus, parts, Sums()).energy
