"""The layers of a network as they came out of the evaluation, and which of them did the damage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from xportdnn.evaluation.metrics import cosine, sqnr_db
from xportdnn.evaluation.tally import Tally
from xportdnn.network import Layer, Value
from xportdnn.precision import Precision, Ristretto
from xportdnn.statistics import Statistics


class Row(NamedTuple):
    """What is known of one layer; None where it was not computed.

    Attributes:
        block: its formats.
        sqnr_db: of its tops; None also where nothing differs, see `identical`.
        drop_db: how much lower that is than the lowest SQNR of its bottoms.
        count: values compared, over all pictures.
        minimum, maximum: of the float values.
        saturated: how many values were clipped; `wrapped`: how many sums wrapped around.
        channels: how many output channels it has, `dead` of them constant in the quantized network only.
    """

    layer: Layer
    block: Precision | Ristretto | None
    sqnr_db: float | None = None
    drop_db: float | None = None
    cosine: float | None = None
    identical: bool = False
    count: int = 0
    minimum: float | None = None
    maximum: float | None = None
    saturated: int | None = None
    wrapped: int | None = None
    channels: int | None = None
    dead: int | None = None
    histogram: Statistics | None = None

    @property
    def peak(self) -> float | None:
        """The largest float |x|."""
        return None if self.minimum is None or self.maximum is None else max(-self.minimum, self.maximum)


def rows(
    layers: Iterable[Layer], tallies: Mapping[int, Tally], blocks: Mapping[int, Precision | Ristretto]
) -> tuple[Row, ...]:
    """One row per layer, in file order."""
    found: list[Row] = []
    levels: dict[Value, float] = {}
    for layer in layers:
        tally = tallies.get(layer.index)
        row = Row(layer, blocks.get(layer.index)) if tally is None else _row(layer, blocks.get(layer.index), tally)
        if row.sqnr_db is not None:
            before = min((levels[value] for value in layer.bottoms if value in levels), default=None)
            row = row._replace(drop_db=None if before is None else before - row.sqnr_db)
            levels |= dict.fromkeys(layer.tops, row.sqnr_db)
        found.append(row)
    return tuple(found)


def by_damage(found: Sequence[Row]) -> list[Row]:
    """The layers, lowest SQNR first, then those without loss, then those that were not compared."""

    def key(row: Row) -> tuple[float, bool, int]:
        return (math.inf if row.sqnr_db is None else row.sqnr_db, not row.identical, row.layer.index)

    return sorted(found, key=key)


def steepest(found: Iterable[Row]) -> Row | None:
    """The layer at which the SQNR drops most; None where it drops nowhere."""
    falling = [row for row in found if row.drop_db is not None and row.drop_db > 0]
    return max(falling, key=lambda row: (row.drop_db or 0.0, -row.layer.index), default=None)


def _row(layer: Layer, block: Precision | Ristretto | None, tally: Tally) -> Row:
    row = Row(layer, block, count=tally.count, saturated=tally.saturated, wrapped=tally.wrapped)
    if not tally.count:
        return row
    sums = tally.sums.energy
    return row._replace(
        sqnr_db=sqnr_db(sums),
        cosine=cosine(sums),
        identical=sums.noise == 0,
        minimum=tally.minimum,
        maximum=tally.maximum,
        channels=None if tally.channels is None else len(tally.channels.constant),
        dead=None if tally.channels is None else tally.channels.dead,
        histogram=tally.histogram,
    )
