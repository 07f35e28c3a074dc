"""Fractional lengths of Q.F formats: Ristretto's rule, Xilinx's half-step rule and least squared error.

A format of `bits` bits with fl of them behind the binary point holds the multiples of 2**-fl from -2**(bits - 1 - fl)
to (2**(bits - 1) - 1) * 2**-fl (`arithmetic.qformat`); il = bits - fl is its integer length, the sign included.

    ristretto   il = ceil(log2(peak)) of activations, ceil(log2(peak) + 1) of parameters (pmgysel/caffe
                quantization.cpp, Quantize2DynamicFixedPoint). The first leaves no room for the sign: all beyond half of
                the power of two above the peak saturates. That is its defect, and kept.
    overflow    the longest fraction with which nothing overflows by more than half a step (Xilinx/Vitis-AI vai_q_caffe,
                caffe_cpu_fix_pos_overflow)
    mse         from there on finer, that of least squared error; and where precision is left over, as with 16 bits, up
                to two bits coarser, since the next pictures have larger numbers than those that were seen. Scores
                (`scales.scores`) are not clipped: `whole`

Of activations the statistics are known: the squared error takes the values of a bin as spread evenly over it. Of
parameters every number is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from xportdnn.arithmetic import qformat
from xportdnn.layers import Array
from xportdnn.lazy import np
from xportdnn.statistics import BINS, Statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STEEPEST = (-126, 126)  # 2**fl beyond is no normal float32
_AMPLE = 60.0  # dB: a thousandth of noise, which no output shows
_ROOM = 2  # bits


class Quality(NamedTuple):
    """What a format leaves of numbers.

    Attributes:
        saturated: the share of them beyond its range.
        sqnr_db: ratio of their power to that of the error; infinite where there is no error.
    """

    saturated: float
    sqnr_db: float


def ristretto(peak: float, bits: int) -> int:
    """Ristretto's length for activations of a largest |x| above 0."""
    return _held(bits - _exponent(peak))


def ristretto_params(peak: float, bits: int) -> int:
    """Ristretto's length for parameters of a largest |w| above 0; the bias, which gets the same, is not asked."""
    return _held(bits - _exponent(peak) - 1)


def _exponent(peak: float) -> int:
    """ceil(log2(peak)), exactly: C's log2 of a float just above a power of two may be that of the power."""
    mantissa, exponent = math.frexp(peak)
    return exponent - (mantissa == 0.5)


def overflow(minimum: float, maximum: float, bits: int) -> int:
    """The longest fraction with which neither end of the range overflows by more than half a step.

    One end must not be 0.
    """
    peak = max(abs(minimum), abs(maximum))
    # one place too fine at least: 2**exponent is above the peak, so half of it is not
    fl = bits + 1 - math.frexp(peak)[1]
    half = math.ldexp(1.0, bits - 1)
    while math.ldexp(maximum, fl) > half - 0.5 or math.ldexp(minimum, fl) < -half - 0.5:
        fl -= 1
    return _held(fl)


def mse(statistics: Statistics, bits: int) -> int:
    """The length of least squared error, of equal ones the shortest, from that of `overflow` on.

    Where there are more steps than bins, the histogram cannot tell, and rounding hardly matters: that of `overflow`.
    From there up to `_ROOM` bits are left free as long as that costs nothing (`_AMPLE`): with 16 bits the only damage
    is done by numbers beyond the largest that calibration saw.
    """
    best = overflow(statistics.minimum, statistics.maximum, bits)
    if 1 << (bits - 1) < BINS:
        candidates = range(best, min(best + bits, STEEPEST[1]) + 1)
        errors = [squared_error(statistics, bits, fl) for fl in candidates]
        best = candidates[int(np.argmin(errors))]
    return _with_room(statistics, bits, best)


def whole(statistics: Statistics, bits: int) -> int:
    """The length of `overflow`, with room as `mse` leaves it: for scores, of which the largest ones decide."""
    return _with_room(statistics, bits, overflow(statistics.minimum, statistics.maximum, bits))


def _with_room(statistics: Statistics, bits: int, best: int) -> int:
    room = (fl for fl in range(best - _ROOM, best) if quality(statistics, bits, fl).sqnr_db >= _AMPLE)
    return _held(next(room, best))


def squared_error(statistics: Statistics, bits: int, fl: int) -> float:
    """The summed squared error of a format over a histogram whose bins are filled evenly.

    With step s, the error collected from 0 to x is k s**3 / 12 + (x - k s)**3 / 3, k being the step that x is rounded
    to, at most the last one. What is not seen in a histogram of |x| is the sign: only values beyond the smaller of the
    two ends have a known one, and the others saturate as positive ones do, one step earlier.
    """
    edges: Floats = np.arange(BINS + 1, dtype=np.float64) * statistics.width
    step = math.ldexp(1.0, -fl)
    last = np.where(edges[:-1] >= statistics.maximum, 1 << (bits - 1), (1 << (bits - 1)) - 1)
    collected = np.subtract(_collected(edges[1:], step, last), _collected(edges[:-1], step, last))
    return float((statistics.counts * collected).sum()) / statistics.width


def _collected(x: Floats, step: float, last: NDArray[np.int64]) -> Floats:
    whole = np.minimum(np.floor(x / step + 0.5), last)
    collected: Floats = whole * (step**3 / 12) + (x - whole * step) ** 3 / 3
    return collected


def mean_square(statistics: Statistics) -> float:
    """Of what the statistics saw; values of a bin count as in `squared_error`."""
    return _power(statistics) / max(1, statistics.count)


def _power(statistics: Statistics) -> float:
    centres = (np.arange(BINS) + 0.5) * statistics.width
    return float((statistics.counts * (centres**2 + statistics.width**2 / 12)).sum())


def quality(statistics: Statistics, bits: int, fl: int) -> Quality:
    """Of a format for what the statistics saw; values of a bin count as in `squared_error`."""
    power = _power(statistics)
    lowest, highest = limits(bits, fl)
    beyond = 0.0
    if statistics.minimum < lowest or statistics.maximum > highest:
        edges = np.arange(BINS) * statistics.width
        end = np.where(edges >= statistics.maximum, -lowest, highest)
        share = np.clip((edges + statistics.width - end) / statistics.width, 0, 1)
        beyond = float((statistics.counts * share).sum()) / statistics.count
    return Quality(beyond, _decibel(power, squared_error(statistics, bits, fl)))


def limits(bits: int, fl: int) -> tuple[float, float]:
    """The smallest and the largest number of a format."""
    return -math.ldexp(1.0, bits - 1 - fl), math.ldexp((1 << (bits - 1)) - 1, -fl)


Cost: TypeAlias = Callable[[Array], float]
"""What parameters cost when they are trimmed to this."""


def least_cost(values: Array, bits: int, cost: Cost) -> int:
    """The length of least cost for parameters that are not all 0, of equal ones the shortest, from `overflow`'s on."""
    start = overflow(float(values.min()), float(values.max()), bits)
    best, least = start, math.inf
    for fl in range(start, min(start + bits, STEEPEST[1]) + 1):
        found = cost(qformat.trim(values, bits, fl))
        if found < least:
            best, least = fl, found
    return best


def squared_distance(first: Array, second: Array | float) -> float:
    """The summed squared difference."""
    return float(np.square(np.subtract(first, second, dtype=np.float64)).sum())


def quality_of(values: Array, bits: int, fl: int, cost: Cost, power: float) -> Quality:
    """Of a format for parameters.

    Args:
        power: what the cost is compared with.
    """
    saturated = float(np.count_nonzero(qformat.saturates(values, bits, fl))) / values.size
    return Quality(saturated, _decibel(power, cost(qformat.trim(values, bits, fl))))


def _decibel(power: float, error: float) -> float:
    if not error:
        return math.inf
    return 10 * math.log10(power / error) if power else -math.inf


def _held(fl: int) -> int:
    return min(max(fl, STEEPEST[0]), STEEPEST[1])
