"""How far apart float and quantized numbers are: pure functions of two arrays, or of sums over many pictures."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Literal, NamedTuple

from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xportdnn.layers import Array

    Scores = NDArray[np.float64]

_BLOCK = 1 << 16  # elements that are looked at together and summed in float32
_LEAST, _GREATEST = 1e-24, 1e38  # sums of float32 squares that neither underflow, if one of them counts, nor overflow


class Energy(NamedTuple):
    """Sums of squares, of one picture or of many.

    Attributes:
        signal: of the float values.
        noise: of the differences.
        quantized: of the quantized values.
    """

    signal: float
    noise: float
    quantized: float

    @property
    def finite(self) -> bool:
        """Whether neither array held NaN or infinity (the squares of float32 cannot exceed float64)."""
        return math.isfinite(self.signal + self.noise + self.quantized)

    def plus(self, other: Energy) -> Energy:
        """Both together."""
        return Energy(*map(operator.add, self, other))


class Look(NamedTuple):
    """What is to be seen of two arrays.

    Attributes:
        size: how many values each has.
        nonzero: how many float values are not 0.
        minimum, maximum: of the float values.
    """

    energy: Energy
    size: int
    nonzero: int
    minimum: float
    maximum: float

    def plus(self, other: Look) -> Look:
        """What is to be seen of both pairs put together."""
        return Look(
            self.energy.plus(other.energy),
            self.size + other.size,
            self.nonzero + other.nonzero,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )


def energy(signal: Array, quantized: Array) -> Energy:
    """The energies of two float32 arrays of the same shape; see `look`."""
    return look(signal, quantized).energy if signal.size else Energy(0.0, 0.0, 0.0)


def look(signal: Array, quantized: Array) -> Look:
    """All that counts of two float32 arrays of the same shape, not empty, in one pass.

    Blocks are summed in float32, twice as fast, and added up in float64, which costs less than 1e-5 dB; a block whose
    squares leave the range of float32 is summed in float64.
    """
    first, second = _flat(signal, quantized)
    spare: Array = np.empty(min(_BLOCK, first.size), np.float32)
    flags = np.empty(spare.size, np.bool_)
    # NaN and infinity are found in the sums, once, by `Energy.finite`
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        looks = (
            _look(first[start : start + _BLOCK], second[start : start + _BLOCK], spare, flags)
            for start in range(0, first.size, _BLOCK)
        )
        return reduce(Look.plus, looks)


def _flat(signal: Array, quantized: Array) -> tuple[Array, Array]:
    """Both in one and the same order: as they lie in memory if they lie there alike, else that of their axes."""
    sides = zip(signal.strides, quantized.strides, signal.shape, strict=True)
    order: Literal["K", "C"] = "K" if all(one == two for one, two, size in sides if size > 1) else "C"
    return signal.ravel(order), quantized.ravel(order)


def _look(x: Array, y: Array, spare: Array, flags: NDArray[np.bool_]) -> Look:
    """One block; the rest are arrays at least as large, of no meaning before and after."""
    difference = np.subtract(y, x, out=spare[: x.size])
    found = Energy(_square(x), _square(difference), _square(y))
    nonzero = int(np.count_nonzero(np.not_equal(x, 0, out=flags[: x.size])))
    return Look(found, x.size, nonzero, float(np.minimum.reduce(x)), float(np.maximum.reduce(x)))


def _square(block: Array) -> float:
    found = float(block @ block)
    if _LEAST < found < _GREATEST:
        return found
    wide = block.astype(np.float64)
    return float(wide @ wide)


def sqnr_db(sums: Energy) -> float | None:
    """Signal-to-quantization-noise ratio, 10 log10(signal / noise) in dB; None where nothing differs or all is 0."""
    if not sums.noise or not sums.signal:
        return None
    # the logarithms apart: the quotient of tiny sums may leave the range of a float
    return 10 * (math.log10(sums.signal) - math.log10(sums.noise))


def cosine(sums: Energy) -> float | None:
    """The cosine of the angle between both, -1 to 1; None where one of them is all 0."""
    if not sums.signal or not sums.quantized:
        return None
    # |a - b|^2 = |a|^2 - 2 a b + |b|^2
    product = (sums.signal + sums.quantized - sums.noise) / 2
    return max(-1.0, min(1.0, product / math.sqrt(sums.signal) / math.sqrt(sums.quantized)))


def psnr_db(sums: Energy, count: int, extent: float) -> float | None:
    """Peak signal-to-noise ratio, 10 log10(extent^2 / mean squared difference) in dB.

    Args:
        count: how many values the sums were taken over.
        extent: greatest minus least float value, over all pictures.
    """
    if not sums.noise or not extent:
        return None
    return 20 * math.log10(extent) - 10 * (math.log10(sums.noise) - math.log10(count))


def rank(scores: Scores, label: int) -> int:
    """How many classes come before `label`; of equal scores the lower index comes first, as in numpy.argmax."""
    better = int((scores > scores[label]).sum())
    return better + int((scores[:label] == scores[label]).sum())


def per_cent(hits: Sequence[bool]) -> float | None:
    """The share of hits in per cent; None without any trial."""
    return 100 * sum(hits) / len(hits) if hits else None


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def softmax(scores: Scores) -> Scores:
    """Probabilities in proportion to e^score."""
    grown = np.exp(scores - scores.max())
    return np.asarray(grown / grown.sum())


def divergence(first: Scores, second: Scores) -> float:
    """Kullback-Leibler divergence of two distributions in nats, sum p log(p / q).

    A probability that underflowed to 0 counts as the smallest normal float32, so that the sum stays finite.
    """
    least = float(np.finfo(np.float32).tiny)
    p, q = np.maximum(first, least), np.maximum(second, least)
    return float((first * (np.log(p) - np.log(q))).sum())
