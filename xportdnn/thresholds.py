"""Thresholds from statistics: `max`, `percentile`, `mse` and `kl`.

A threshold t quantizes x as round(clip(x, -t, t) / s) * s with s = t / (2**(bits - 1) - 1) (chaidnn_contract: the
board's number format). All searches work on the histogram of |x|, every bin standing at its centre, and on prefix
sums, so that a candidate costs as many look-ups as there are levels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from xportdnn.arithmetic.threshold import levels
from xportdnn.lazy import np
from xportdnn.statistics import Statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]

_CANDIDATES = 512


def maximum(statistics: Statistics, bits: int) -> float:
    """The largest |x|: nothing is clipped."""
    return statistics.peak


def percentile(statistics: Statistics, bits: int) -> float:
    """The |x| below which 99.99 % of the values lie; 99.9 % under 8 bits, where a finer step is worth more clipping."""
    return quantile(statistics, 0.9999 if bits >= 8 else 0.999)


def quantile(statistics: Statistics, share: float) -> float:
    """The |x| below which this share of the values lies, as the upper edge of a bin."""
    cumulative = np.cumsum(statistics.counts)
    index = int(np.searchsorted(cumulative, math.ceil(share * int(cumulative[-1]))))
    return min((index + 1) * statistics.width, statistics.peak)


def mse(statistics: Statistics, bits: int) -> float:
    """The threshold of least squared error among `_CANDIDATES` equal steps up to the largest |x|."""
    steps, counts = levels(bits), _used(statistics)
    if steps >= counts.size:
        return statistics.peak
    candidates: Floats = np.arange(1.0, _CANDIDATES + 1) * (statistics.peak / _CANDIDATES)
    errors = squared_errors(counts, statistics.width, candidates, steps)
    return float(candidates[int(np.argmin(errors))])


def squared_errors(counts: Counts, width: float, candidates: Floats, steps: int) -> Floats:
    """The summed squared error of quantizing the histogram with each candidate threshold, up to a common constant.

    Values nearest to level k lie between two bin edges, and the sum of (c - k s)**2 over them needs only the count
    and the sum of c there, c**2 being common to all candidates.
    """
    centres = (np.arange(counts.size) + 0.5) * width
    mass = np.concatenate(([0], np.cumsum(counts)))
    moment = np.concatenate(([0.0], np.cumsum(counts * centres)))
    step = candidates[:, None] / steps
    level = np.arange(1, steps + 1)
    # the first bin whose centre rounds to level k: centre >= (k - 1/2) s
    first = np.clip(np.ceil((level - 0.5) * step / width - 0.5), 0, counts.size).astype(np.int64)
    last = np.concatenate((first[:, 1:], np.full((candidates.size, 1), counts.size)), axis=1)
    value = level * step
    result: Floats = (value * (value * (mass[last] - mass[first]) - 2 * (moment[last] - moment[first]))).sum(axis=1)
    return result


def kl(statistics: Statistics, bits: int) -> float:
    """The threshold of least Kullback-Leibler divergence, as in Migacz, "8-bit inference with TensorRT", GTC 2017.

    Zeros are dropped: the first bin, where a ReLU's zeros lie, takes the count of the second.
    """
    steps, counts = levels(bits) + 1, _used(statistics)
    if counts.size % 2:
        counts = np.append(counts, 0)
    counts = counts.reshape(-1, 2).sum(axis=1)
    if steps >= counts.size:
        return statistics.peak
    counts[0] = counts[1]
    divergences = kl_divergences(counts, steps)
    best = int(np.argmin(divergences))
    return min((steps + best + 1) * 2 * statistics.width, statistics.peak)


def kl_divergences(counts: Counts, steps: int) -> Floats:
    """The divergence for every candidate size i = steps + 1 .. counts.size.

    The reference distribution is counts[:i] with everything beyond added to its last bin; the quantized one spreads
    the sum of each of `steps` equal stretches evenly over the stretch's non-empty bins. A candidate whose last bin is
    empty, but receives outliers, has no finite divergence.
    """
    weights = counts.astype(np.float64)
    mass = np.concatenate(([0.0], np.cumsum(weights)))
    filled = np.concatenate(([0], np.cumsum(counts > 0)))
    entropy = np.concatenate(([0.0], np.cumsum(_xlogx(weights))))
    total = mass[-1]
    sizes = np.arange(steps + 1, counts.size + 1)
    edges = (np.arange(steps + 1) * sizes[:, None]) // steps
    held = mass[edges[:, 1:]] - mass[edges[:, :-1]]
    full = filled[edges[:, 1:]] - filled[edges[:, :-1]]
    # sum over bins of h log q, q being the mean count of the stretch's filled bins
    cross = (held * np.log(np.where(held > 0, held, 1.0) / np.maximum(full, 1))).sum(axis=1)
    last = weights[sizes - 1]
    beyond = total - mass[sizes]
    spread = held[:, -1] / np.maximum(full[:, -1], 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = entropy[sizes] - _xlogx(last) + _xlogx(last + beyond)
        cross = cross + beyond * np.log(spread)
        result: Floats = (own - cross) / total - math.log(total) + np.log(mass[sizes])
    result[(last == 0) & (beyond > 0)] = np.inf
    result[mass[sizes] == 0] = np.inf
    return result


def _xlogx(values: Floats) -> Floats:
    return values * np.log(np.where(values > 0, values, 1.0))


def _used(statistics: Statistics) -> Counts:
    """The bins up to the largest |x|."""
    used: Counts = statistics.counts[: int(np.flatnonzero(statistics.counts)[-1]) + 1].copy()
    return used


Method: TypeAlias = Callable[[Statistics, int], float]
METHODS: dict[str, Method] = {
    "mse": mse,
    "kl": kl,
    "percentile": percentile,
    "max": maximum,
}


def named(text: str) -> Method | None:
    """The method of this name, also `percentile:P` with P % of the values, 0 < P <= 100; None if there is none."""
    found = re.fullmatch(r"percentile:(\d+(?:\.\d+)?)", text, re.ASCII)
    if found is None:
        return METHODS.get(text)
    share = float(found[1]) / 100
    return partial(_of_share, share=share) if 0 < share <= 1 else None


def _of_share(statistics: Statistics, bits: int, share: float) -> float:
    return quantile(statistics, share)
