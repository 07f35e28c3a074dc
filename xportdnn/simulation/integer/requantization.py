"""From the integers of one format to those of another: a multiplication, an addition and one rounding shift.

In Q.F the ratio of two steps is a power of two and the shift alone is exact. With thresholds the ratio becomes a
fixed-point number with 22 fractional bits, as on the board, and one more for every bit of the output above 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xportdnn.arithmetic import Int64s
from xportdnn.arithmetic.integer import FRACTION_BITS, factors, rescale
from xportdnn.errors import LayerError
from xportdnn.lazy import np
from xportdnn.simulation.formats import Fixed, Whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROOM = 62


@dataclass(frozen=True)
class Requantization:
    """(sums * factor + offset) / 2**places, rounded half away from zero and limited to the output format.

    Attributes:
        factor: one for all, or one for each channel.
        offset: the bias, with `places` fractional bits of an output step; as long as `factor`.
        places: negative ones multiply.
    """

    factor: Int64s
    offset: Int64s
    places: int
    out: Whole

    def apply(self, sums: Int64s, axis: int = 1, rectified: bool = False) -> tuple[Int64s, int]:
        """The output, in the shape of the sums, and how many of them were cut off.

        Args:
            axis: of the channels.

        Raises:
            LayerError: a product is beyond 62 bits.
        """
        channels = len(self.factor)
        rows = sums.reshape(math.prod(sums.shape[:axis]) if channels > 1 else 1, channels, -1)
        scaled = rescale(rows, self.factor, self.offset, fraction_bits=self.places)
        return limited(scaled.reshape(sums.shape), self.out, rectified)


def limited(integers: Int64s, out: Whole, rectified: bool = False) -> tuple[Int64s, int]:
    """Integers within the format's limits, and how many were not; `rectified`: below zero nobody minds."""
    least, greatest = out.limits
    low, high = int(integers.min(initial=0)), int(integers.max(initial=0))
    if least <= low and high <= greatest:
        return integers, 0
    cut = np.count_nonzero(integers > greatest) + (0 if rectified else np.count_nonzero(integers < least))
    return np.clip(integers, least, greatest), int(cut)


def quotient(source: Whole, out: Whole) -> float:
    """How many output steps an input step is.

    Raises:
        LayerError: the output's threshold is 0, so that it has no step.
    """
    if not out.step:
        raise LayerError("its th_layer_out is 0; give a positive threshold")
    return source.step / out.step


def by_ratio(ratio: NDArray[np.float64], offset: NDArray[np.float64], out: Whole) -> Requantization:
    """Ratios of real steps, input to output, and an offset in output steps.

    Raises:
        LayerError: one of them is too large for a fixed-point number.
    """
    places = FRACTION_BITS + max(0, out.bits - 8)
    largest = float(max(np.abs(ratio).max(initial=0), np.abs(offset).max(initial=0)))
    if not largest < 2.0 ** (_ROOM - places):
        raise LayerError(f"a ratio of {largest:.3g} between its steps does not fit into 64 bits; use another format")
    return Requantization(factors(ratio, places), factors(offset, places), places, out)


def by_shift(factor: Int64s, fl: int, offset: Int64s, offset_fl: int, out: Fixed) -> Requantization:
    """Integers with `fl` fractional bits times an integer factor, plus an offset with fractional bits of its own.

    Raises:
        LayerError: the two do not fit together into 64 bits.
    """
    scale = max(fl, offset_fl)
    aligned = [_shifted(factor, scale - fl), _shifted(offset, scale - offset_fl)]
    return Requantization(aligned[0], aligned[1], scale - out.fl, out)


def _shifted(integers: Int64s, places: int) -> Int64s:
    peak = int(np.abs(integers).max(initial=0))
    if peak << places >> _ROOM:
        raise LayerError(f"{peak} * 2**{places} does not fit into 64 bits; use another format")
    return integers << places if peak else integers


def between(source: Whole, out: Whole) -> Requantization:
    """From one format to another."""
    none = np.zeros(1, np.int64)
    if isinstance(source, Fixed) and isinstance(out, Fixed):
        return by_shift(none + 1, source.fl, none, source.fl, out)
    return by_ratio(np.array([quotient(source, out)]), np.zeros(1), out)
