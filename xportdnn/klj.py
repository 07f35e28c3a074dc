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

    Floats = NDArray[np.float64]


class Found(NamedTuple):
    """A threshold with what it was found from; `candidate` is None where the maximum was taken."""

    threshold: float
    max_abs: float
    bins: int
    candidate: int | None


def threshold(parts: Sequence[Array], bits: int) -> Found:
    """The threshold of a blob at `bits` bits.

    Args:
        parts: the blob's finite float32 values for every calibration image, one array each.
    """
    magnitudes = [np.abs(part).ravel() for part in parts]
    count = sum(part.size for part in magnitudes)
    peak = max(part.max() for part in magnitudes)
    least = min(part.min() for part in magnitudes)
    bins = bin_count(peak, least, count)
    max_abs = float(peak)
    steps = 2 ** (bits - 1)
    # with nothing in the first bin the divergence is undefined; that also bounds the bins by sqrt(N) + 2
    if steps + 1 > bins or max_abs == 0 or float(least) >= max_abs / bins:
        return Found(max_abs, max_abs, bins, None)
    histogram = np.zeros(bins, np.int64)
    for part in magnitudes:
        # edges in float64: sums of quantized values lie exactly on bin edges, and float32 edges would move them
        histogram += np.histogram(part.astype(np.float64), bins, (0.0, max_abs))[0]
    index = best_index(np.cumsum(histogram / histogram.sum()), steps)
    if index is None:
        return Found(max_abs, max_abs, bins, None)
    return Found((index + 0.5) * (max_abs / bins), max_abs, bins, index)


def bin_count(peak: np.float32, least: np.float32, count: int) -> int:
    """NumPy's bins="sqrt" on the range (0, peak): the width is (peak - least) / sqrt(count), subtracted in float32."""
    width = float(peak - least) / math.sqrt(count)
    return math.ceil(float(peak) / width) if width > 0 else 1


def best_index(cumulative: Floats, steps: int) -> int | None:
    """The candidate i in steps + 1 .. B of least divergence, the first of equals; None where it is undefined.

    Candidate i keeps the first i bins with all clipped mass in the last of them, squeezes them to `steps` points and
    stretches them back, both linearly.
    """
    bins = cumulative.size
    if cumulative[0] <= 0:
        return None
    log = np.log2(cumulative)
    # beyond bin i the quantized distribution is 1, so that part of the divergence is a suffix sum
    tail = np.concatenate((np.cumsum(((cumulative - 1) * log)[::-1])[::-1], [0.0]))
    divergences = np.empty(bins - steps)
    points = np.linspace(0.0, 1.0, steps)
    kept = cumulative.copy()
    for size in range(steps + 1, bins + 1):
        kept[size - 1] = 1.0
        grid = np.linspace(0.0, 1.0, size)
        squeezed = np.interp(points, grid, kept[:size])
        quantized = np.interp(grid, points, squeezed)
        head = cumulative[:size]
        divergences[size - steps - 1] = np.dot(head - quantized, log[:size] - np.log2(quantized)) + tail[size]
        kept[size - 1] = cumulative[size - 1]
    return steps + 1 + int(np.argmin(divergences))
