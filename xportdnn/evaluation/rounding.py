"""What the format of a layer costs by itself, whatever came before it: estimated from its step.

Rounding to steps of s moves a value that is not 0 by up to s / 2 either way, on average by s^2 / 12 in the square
(Widrow and Kollar, Quantization Noise, 2008). Clipping is not in that number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from xportdnn import scales
from xportdnn.evaluation.ranking import Row
from xportdnn.network import Net
from xportdnn.simulation.formats import Whole, whole_out


class Rounding(NamedTuple):
    """A layer that rounds what it computed.

    Attributes:
        row: the layer.
        stored: what the hardware keeps of it: the row of the ReLU behind it, or its own.
        step: of its format, `bits` wide.
        alone_db: the SQNR that this rounding alone would leave.
        share: its part of the measured noise, at most 1.
    """

    row: Row
    stored: Row
    step: float
    bits: int
    alone_db: float
    share: float

    @property
    def typical(self) -> float:
        """The root mean square of the values that are not 0."""
        return math.sqrt(self.stored.energy.signal / self.stored.nonzero)


def roundings(net: Net, rows: Sequence[Row]) -> Iterator[Rounding]:
    """Every layer that rounds to an integer format of its own and could be compared."""
    by_value = {value: row for row in rows for value in row.layer.bottoms if scales.repeats(row.layer)}
    for row in rows:
        form = whole_out(row.block)
        if form is None or not rounds(row) or not row.layer.tops:
            continue
        top = row.layer.tops[0]
        stored = by_value.get(top, row) if scales.folded(net, top) else row
        if stored.energy.signal and stored.energy.noise:
            noise = stored.nonzero * form.step**2 / 12
            alone_db = 10 * math.log10(stored.energy.signal / noise)
            yield Rounding(row, stored, form.step, form.bits, alone_db, min(1.0, noise / stored.energy.noise))


def rounds(row: Row) -> bool:
    """Whether the layer makes numbers that are not yet in its format: sums and maxima of integers are."""
    kind = row.layer.kind
    if kind is None or scales.repeats(row.layer):
        return False
    return kind.name != "Eltwise" and not (kind.name == "Pooling" and row.layer.params.pool == "MAX")


def largest(form: Whole) -> float:
    """The largest number of a format."""
    return form.limits[1] * form.step
