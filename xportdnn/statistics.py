"""What calibration remembers of a blob: its range and a histogram of |x|, both merging exactly.

The histogram has `BINS` bins on [0, 2**exponent), and 2**exponent is the power of two just above the largest |x|.
A larger value widens it by adding neighbouring bins, so every edge stays on one grid of powers of two and nothing is
ever interpolated: statistics of parts merge to the statistics of the whole, in any order, bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xportdnn.layers import Array

BINS = 4096
_SMALLEST = -148  # the exponent of a blob of zeros: below every float32
_LEAST_EXPONENT = -115  # below it, BINS / 2**exponent is no float32
_BLOCK = 1 << 16  # elements that are counted at a time: their bins stay in the cache


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
    """Statistics of a finite float32 array of at least one element, in whatever order it lies in memory."""
    numbers: NDArray[np.floating] = array.ravel(order="K")
    minimum, maximum = float(numbers.min()), float(numbers.max())
    peak = max(abs(minimum), abs(maximum))
    exponent = max(math.frexp(peak)[1], _SMALLEST) if peak else _SMALLEST
    if exponent < _LEAST_EXPONENT:
        numbers = numbers.astype(np.float64)
    # a power-of-two factor only moves the float's exponent, so truncation puts every value into its exact bin
    factor = numbers.dtype.type(math.ldexp(BINS, -exponent))
    counts = np.zeros(BINS, np.int64)
    bins = np.empty(min(_BLOCK, numbers.size), np.int32)
    for start in range(0, numbers.size, _BLOCK):
        block = numbers[start : start + _BLOCK]
        found = bins[: block.size]
        np.multiply(block, factor, out=found, casting="unsafe")
        np.abs(found, out=found)
        counts += np.bincount(found, minlength=BINS)
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


def _widened(statistics: Statistics, exponent: int) -> NDArray[np.int64]:
    """The histogram on [0, 2**exponent)."""
    factor = 1 << min(exponent - statistics.exponent, BINS.bit_length() - 1)
    if factor == 1:
        return statistics.counts
    counts = np.zeros(BINS, np.int64)
    counts[: BINS // factor] = statistics.counts.reshape(-1, factor).sum(axis=1)
    return counts
