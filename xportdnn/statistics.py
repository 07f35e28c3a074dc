"""What calibration remembers of a blob: its range and a histogram of |x|, both merging exactly.

The histogram has `BINS` bins on [0, 2**exponent), and 2**exponent is the power of two just above the largest |x|.
A larger value widens it by adding neighbouring bins, so every edge stays on one grid of powers of two and nothing is
ever interpolated: statistics of parts merge to the statistics of the whole, in any order, bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

from xportdnn.lazy import np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from xportdnn.layers import Array

BINS = 4096
_SMALLEST = -148  # the exponent of a blob of zeros: below every float32


@dataclass(frozen=True)
class Statistics:
    """Range and histogram of everything seen of one blob.

    Attributes:
        minimum, maximum: over all elements.
        exponent: the histogram covers |x| in [0, 2**exponent).
        counts: (BINS,) int64; bin i holds |x| in [i, i + 1) * 2**exponent / BINS.
    """

    minimum: float
    maximum: float
    exponent: int
    counts: NDArray[np.int64] = field(repr=False)

    @property
    def peak(self) -> float:
        """The largest |x|."""
        return max(abs(self.minimum), abs(self.maximum))

    @property
    def width(self) -> float:
        """Width of one bin."""
        return math.ldexp(1.0, self.exponent) / BINS

    @property
    def count(self) -> int:
        """Number of elements."""
        return int(self.counts.sum())


def of(array: Array) -> Statistics:
    """Statistics of a finite float32 array of at least one element."""
    minimum, maximum = float(array.min()), float(array.max())
    peak = max(abs(minimum), abs(maximum))
    exponent = max(math.frexp(peak)[1], _SMALLEST) if peak else _SMALLEST
    # a power-of-two factor only moves the float's exponent, so truncation puts every value into its exact bin
    magnitude = np.abs(array, dtype=np.float64).ravel()
    magnitude *= math.ldexp(BINS, -exponent)
    counts = np.bincount(magnitude.astype(np.int64), minlength=BINS)
    return Statistics(minimum, maximum, exponent, counts)


def merge(first: Statistics, second: Statistics) -> Statistics:
    """The statistics of both together."""
    exponent = max(first.exponent, second.exponent)
    return Statistics(
        min(first.minimum, second.minimum),
        max(first.maximum, second.maximum),
        exponent,
        _widened(first, exponent) + _widened(second, exponent),
    )


def merge_all(parts: Iterable[Statistics]) -> Statistics:
    """The statistics of at least one part together."""
    return reduce(merge, parts)


def _widened(statistics: Statistics, exponent: int) -> NDArray[np.int64]:
    """The histogram on [0, 2**exponent)."""
    factor = 1 << min(exponent - statistics.exponent, BINS.bit_length() - 1)
    if factor == 1:
        return statistics.counts
    counts = np.zeros(BINS, np.int64)
    counts[: BINS // factor] = statistics.counts.reshape(-1, factor).sum(axis=1)
    return counts
