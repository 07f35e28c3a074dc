"""The threshold search of Xilinx's calibration quantizer, recovered from its published outputs.

The evidence is the log that a run printed into Xilinx/ml-suite, commit 7bbd7f5e, notebooks/quantizer_caffe.ipynb: the
divergence is Jeffreys' between cumulative distributions, over a histogram of |x| with sqrt(N) bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xportdnn.layers import Array

    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]


class Found(NamedTuple):
    """A threshold with what it was found from; `candidate` is None where the maximum was taken."""

    threshold: float
    max_abs: float
    bins: int
    candidate: int | None


class Extent(NamedTuple):
    """Largest and smallest |x| of a blob, float32, and the number of its values."""

    peak: np.float32
    least: np.float32
    elements: int


def extent(parts: Sequence[Array]) -> Extent:
    """The extent of finite float32 arrays together."""
    magnitudes = [np.abs(part) for part in parts]
    return Extent(
        max(part.max() for part in magnitudes),
        min(part.min() for part in magnitudes),
        sum(part.size for part in magnitudes),
    )


def joined(extents: Sequence[Extent]) -> Extent:
    """The extent of all together."""
    return Extent(
        max(part.peak for part in extents), min(part.least for part in extents), sum(part.elements for part in extents)
    )


def bins_to_search(seen: Extent, bits: int) -> int | None:
    """The number of bins of the search; None where the rule takes the maximum without one."""
    bins = bin_count(seen.peak, seen.least, seen.elements)
    # with nothing in the first bin the divergence is undefined; that also bounds the bins by sqrt(N) + 2
    if 2 ** (bits - 1) + 1 > bins or seen.peak == 0 or float(seen.least) >= float(seen.peak) / bins:
        return None
    return bins


def histogram(parts: Sequence[Array], bins: int, peak: float) -> Counts:
    """Counts of |x| in equal bins on [0, peak].

    The edges are float64: sums of quantized values lie exactly on bin edges, and float32 edges would move them.
    """
    counts = np.zeros(bins, np.int64)
    for part in parts:
        counts += np.histogram(np.abs(part, dtype=np.float64), bins, (0.0, peak))[0]
    return counts


def search(seen: Extent, counts: Counts | None, bits: int) -> Found:
    """The threshold from the extent and the histogram; the maximum where there is none to search."""
    peak = float(seen.peak)
    if counts is not None:
        candidate = best_index(np.cumsum(counts / counts.sum()), 2 ** (bits - 1))
        if candidate is not None:
            return Found((candidate + 0.5) * (peak / counts.size), peak, counts.size, candidate)
    return Found(peak, peak, bin_count(seen.peak, seen.least, seen.elements), None)


def threshold(parts: Sequence[Array], bits: int) -> Found:
    """The threshold of a blob at `bits` bits.

    Args:
        parts: the blob's finite float32 values for every calibration image, one array each.
    """
    seen = extent(parts)
    bins = bins_to_search(seen, bits)
    return search(seen, None if bins is None else histogram(parts, bins, float(seen.peak)), bits)


def bin_count(peak: np.float32, least: np.float32, count: int) -> int:
    """NumPy's bins="sqrt" on the range (0, peak): the width is (peak - least) / sqrt(count), subtracted in float32."""
    width = float(peak - least) / math.sqrt(count)
    return math.ceil(float(peak) / width) if width > 0 else 1


def best_index(cumulative: Floats, steps: int) -> int | None:
    """The candidate i in steps + 1 .. B of least divergence, the first of equals; None where it is undefined.

    Candidate i keeps the first i bins with all clipped mass in the last of them, squeezes them to `steps` points and
    stretches them back, both linearly. No term (C - Q) log(C / Q) is negative, so a candidate whose clipped bins alone
    cost more than the best found needs no look; the cost of clipping grows as i falls, hence the order.
    """
    bins = cumulative.size
    if cumulative[0] <= 0:
        return None
    log = np.log2(cumulative)
    # beyond bin i the quantized distribution is 1, so that part of the divergence is a suffix sum
    clipped = np.concatenate((np.cumsum(((cumulative - 1) * log)[::-1])[::-1], [0.0]))
    points = np.linspace(0.0, 1.0, steps)
    kept = cumulative.copy()
    best, least = bins, math.inf
    for size in range(bins, steps, -1):
        if clipped[size] > least:
            break
        kept[size - 1] = 1.0
        grid = np.linspace(0.0, 1.0, size)
        quantized = np.interp(grid, points, np.interp(points, grid, kept[:size]))
        head = cumulative[:size]
        divergence = float(np.dot(head - quantized, log[:size] - np.log2(quantized))) + clipped[size]
        kept[size - 1] = cumulative[size - 1]
        if divergence <= least:
            best, least = size, divergence
    return best
