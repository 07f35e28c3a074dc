"""The layers of a network as they came out of the evaluation, and which of them did the damage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from xportdnn import scales
from xportdnn.evaluation.metrics import Energy, cosine, sqnr_db
from xportdnn.evaluation.tally import Tally
from xportdnn.layers import Arrays
from xportdnn.network import Layer, Net, Value
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation.fake import heeded
from xportdnn.simulation.sparsity import Zeros, zeros
from xportdnn.statistics import Statistics

_NEAR = 10.0  # dB above the lowest SQNR


class Row(NamedTuple):
    """What is known of one layer; None where it was not computed.

    Attributes:
        block: its formats.
        sqnr_db: of its tops; None also where nothing differs, see `identical`.
        drop_db: how much lower that is than the lowest SQNR of its bottoms; None where it is told at the ReLU behind.
        compared: how many values, over all pictures; `nonzero` of them are not 0 in float.
        energy: the sums that SQNR and cosine come from.
        minimum, maximum: of the float values.
        saturated: how many values were clipped; `wrapped`: how many sums wrapped around.
        channels: how many output channels it has, `dead` of them constant in the quantized network only.
        zeros: among its weights; None where it has none.
    """

    layer: Layer
    block: Precision | Ristretto | None
    sqnr_db: float | None = None
    drop_db: float | None = None
    cosine: float | None = None
    identical: bool = False
    compared: int = 0
    nonzero: int = 0
    energy: Energy = Energy(0.0, 0.0, 0.0)
    minimum: float | None = None
    maximum: float | None = None
    saturated: int | None = None
    wrapped: int | None = None
    channels: int | None = None
    dead: int | None = None
    histogram: Statistics | None = None
    zeros: Zeros | None = None

    @property
    def peak(self) -> float | None:
        """The largest float |x|."""
        return None if self.minimum is None or self.maximum is None else max(-self.minimum, self.maximum)


def rows(
    net: Net,
    tallies: Mapping[int, Tally],
    blocks: Mapping[int, Precision | Ristretto],
    weights: Mapping[int, Arrays] | None = None,
) -> tuple[Row, ...]:
    """One row per layer, in file order.

    A ReLU that hardware folds into the layer before it has the drop of both: values below zero, which it removes, say
    nothing of the damage.

    Args:
        weights: arrays by layer index, whose zeros are counted.
    """
    found: list[Row] = []
    levels: dict[Value, float] = {}
    for layer in net.layers:
        tally = tallies.get(layer.index)
        row = Row(layer, blocks.get(layer.index)) if tally is None else _row(layer, blocks.get(layer.index), tally)
        before = min((levels[value] for value in layer.bottoms if value in levels), default=None)
        row = row._replace(zeros=_zeros(layer, (weights or {}).get(layer.index, ()), blocks))
        level = None if layer.tops and all(scales.folded(net, value) for value in layer.tops) else row.sqnr_db
        if level is not None and before is not None:
            row = row._replace(drop_db=before - level)
        # what is not stored, and what was not compared, hands on what it read
        if (known := before if level is None else level) is not None:
            levels |= dict.fromkeys(layer.tops, known)
        found.append(row)
    return tuple(found)


def by_damage(found: Sequence[Row]) -> list[Row]:
    """The layers, lowest SQNR first, then those without loss, then those that were not compared."""

    def key(row: Row) -> tuple[float, bool, int]:
        return (math.inf if row.sqnr_db is None else row.sqnr_db, not row.identical, row.layer.index)

    return sorted(found, key=key)


def steepest(net: Net, found: Sequence[Row]) -> Row | None:
    """The layer with a block at which the SQNR drops most; None where it drops nowhere.

    Only drops count that end within `_NEAR` of the lowest SQNR: a drop from 60 to 40 dB in a network that ends at 20 dB
    adds a hundredth of the noise. A layer without a block (Softmax) changes the SQNR, but does no damage of its own.
    """
    lowest = min((row.sqnr_db for row in found if row.sqnr_db is not None), default=0.0)
    falling = [
        (row.drop_db, row)
        for row in found
        if row.block is not None and row.drop_db is not None and row.drop_db > 0
        if row.sqnr_db is not None and row.sqnr_db <= lowest + _NEAR
    ]
    worst = max(falling, key=lambda pair: pair[0], default=(0.0, None))[1]
    if worst is None or not scales.repeats(worst.layer):
        return worst
    # a folded ReLU carries the drop of the layer that computed
    producer = next(row for row in found if row.layer is net.layers[worst.layer.bottoms[0].writer])
    return producer._replace(sqnr_db=worst.sqnr_db, drop_db=worst.drop_db)


def _zeros(layer: Layer, blobs: Arrays, blocks: Mapping[int, Precision | Ristretto]) -> Zeros | None:
    found = zeros(layer, blobs, heeded(layer, blocks))
    return found if found.total else None


def _row(layer: Layer, block: Precision | Ristretto | None, tally: Tally) -> Row:
    row = Row(layer, block, compared=tally.count, saturated=tally.saturated, wrapped=tally.wrapped)
    if not tally.count:
        return row
    sums = tally.sums.energy
    return row._replace(
        nonzero=tally.nonzero,
        energy=sums,
        sqnr_db=sqnr_db(sums),
        cosine=cosine(sums),
        identical=sums.noise == 0,
        minimum=tally.minimum,
        maximum=tally.maximum,
        channels=None if tally.channels is None else len(tally.channels.constant),
        dead=None if tally.channels is None else tally.channels.dead,
        histogram=tally.histogram,
    )
