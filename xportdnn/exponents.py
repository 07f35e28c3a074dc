"""The exponent of a network's minifloats, which all have one format.

Ristretto's own method asks the blobs alone: wide enough for the largest |x|, and at least 4 bits (pmgysel/caffe
quantization.cpp, Quantize2MiniFloat). What is small it does not look at: with 4 bits all below 2**-7 becomes 0, in many
networks most weights, however many bits the mantissa has.

Otherwise it is the exponent with the least noise at the width that sign, exponent and mantissa have together, for the
methods `mse` and `overflow` alike. The noise of a blob or of a layer's parameters is the squared error in parts of the
sum of squares, so that small numbers count as much as large ones where they are all that a layer has; that of the
network is their sum, since to first order such parts add up on the way to the outputs. A bit more of exponent makes all
errors of rounding four times as large, but keeps what would be lost at either end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from xportdnn import calibrate, execute
from xportdnn.arithmetic import minifloat
from xportdnn.journal import Journal
from xportdnn.lazy import np
from xportdnn.network import Layer, runnable
from xportdnn.opening import Opened
from xportdnn.pictures import CalibrationSet
from xportdnn.quantities import Quantities, quantities
from xportdnn.statistics import BINS, Statistics

LEAST = 4  # Ristretto's
_MANTISSA, _EXPONENT = 23, 8  # bits of a float32


def exp_bits(
    opened: Opened,
    layers: Sequence[Layer],
    pictures: CalibrationSet,
    method: str,
    bits: int,
    workers: int,
    journal: Journal,
) -> int:
    """The bits of exponent for these layers' minifloats.

    Args:
        method: of `choices.FL_METHODS`.
        bits: of sign, exponent and mantissa together.

    Raises:
        CalibrationError: NaN or infinity in the weights or the forward.
    """
    net, running = opened.net, runnable(opened.net, opened.inputs)
    weights = execute.load(running, opened.weights)
    calibrate.check_weights(net, running, weights)
    reached = {layer.index for layer in running}
    own = [layer for layer in layers if layer.index in reached]
    with journal.progress("calibrating", len(pictures)) as tick:
        seen = quantities(opened, weights, own, pictures, method, tick, workers)
    found = chosen(seen, method, bits)
    journal.info(
        f"{found} bits of exponent, for numbers from {minifloat.smallest(found):.3g}; the largest number of "
        f"{len(seen.peaks)} blobs is {max(seen.peaks.values(), default=0.0):.6g}"
    )
    return found


def chosen(seen: Quantities, method: str, bits: int) -> int:
    """The bits of exponent that a method chooses for minifloats of so many bits.

    Those of Ristretto do not depend on `bits` and may leave nothing to the mantissa.
    """
    if method == "ristretto":
        return ristretto(seen.peaks.values())
    noises = {each: noise(seen, bits - 1 - each, each) for each in possible(bits)}
    return min(noises, key=lambda each: (noises[each], each), default=1)


def ristretto(peaks: Iterable[float]) -> int:
    """Ristretto's, for blobs of these largest |x|."""
    return max((LEAST, *map(minifloat.exponent_bits, peaks)))


def possible(bits: int) -> range:
    """The bits of exponent that a minifloat can have which leaves 1 to 23 bits to the mantissa; none below 3 bits."""
    return range(max(1, bits - 1 - _MANTISSA), min(_EXPONENT, bits - 2) + 1)


def noise(seen: Quantities, mant_bits: int, exp_bits: int) -> float:
    """The squared errors of all blobs and parameters, each in parts of its own sum of squares."""
    return sum(_noises(seen, mant_bits, exp_bits))


def _noises(seen: Quantities, mant_bits: int, exp_bits: int) -> Iterator[float]:
    for statistics in seen.statistics.values():
        yield _of_statistics(statistics, mant_bits, exp_bits)
    for own in seen.params.values():
        if own.power:
            yield own.cost(minifloat.trim(own.values, mant_bits, exp_bits)) / own.power


def _of_statistics(statistics: Statistics, mant_bits: int, exp_bits: int) -> float:
    """Of a histogram whose bins hold their centres, the first, which adds nothing to either sum, zeros.

    A number is rounded to one of 2**mant_bits steps between two powers of two, with an error that is even over a step;
    below the smallest number of the format all of it is lost, above the largest what is beyond.
    """
    x = (np.arange(1, BINS, dtype=np.float64) + 0.5) * statistics.width
    counts = statistics.counts[1:]
    signal = float((counts * x**2).sum())
    if not signal:
        return 0.0
    step = np.ldexp(1.0, np.frexp(x)[1] - 1 - mant_bits)
    smallest, largest = minifloat.smallest(exp_bits), minifloat.largest(mant_bits, exp_bits)
    error = np.where(x < smallest, x, np.where(x > largest, x - largest, step / np.sqrt(12)))
    return float((counts * error**2).sum()) / signal
