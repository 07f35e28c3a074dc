"""What is kept of a layer or an output while pictures pass: sums, counts, extremes and histograms, but no arrays.

All of it merges exactly, so neither the order of the pictures nor their share among workers can change a digit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from xportdnn import statistics
from xportdnn.evaluation.metrics import Energy, Look, look
from xportdnn.lazy import np
from xportdnn.statistics import Statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xportdnn.layers import Array

T = TypeVar("T")
_PLACES = 16  # of a channel that are looked at first
_UNIT = 1074  # every float64 is a whole multiple of 2**-1074


@dataclass(frozen=True)
class Sums:
    """Energies of any number of pictures, added up without rounding: in units of 2**-1074."""

    signal: int = 0
    noise: int = 0
    quantized: int = 0

    def plus(self, found: Energy) -> Sums:
        """With the finite energies of another picture."""
        return self.merged(Sums(*map(_units, found)))

    def merged(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(self.signal + other.signal, self.noise + other.noise, self.quantized + other.quantized)

    @property
    def energy(self) -> Energy:
        """The sums, each correctly rounded to float64."""
        return Energy(*(units / (1 << _UNIT) for units in (self.signal, self.noise, self.quantized)))


def _units(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return numerator << (_UNIT + 1 - denominator.bit_length())


@dataclass
class Channels:
    """Which output channels always hold one quantized value, and the range of the float values there.

    A channel that once varied is never looked at again, so what is watched soon costs nothing.

    Attributes:
        constant: (C,) bool, channels whose quantized values were all the same so far.
        value: (C,) that value.
        low, high: (C,) extremes of the float values; they count only where `constant`.
    """

    constant: NDArray[np.bool_]
    value: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, signal: Array, quantized: Array) -> Channels:
        """Both (C, n), n at least 1."""
        count = len(quantized)
        low, high = (np.full(count, end, np.float32) for end in (np.inf, -np.inf))
        found = cls(np.ones(count, np.bool_), quantized[:, 0].copy(), low, high)
        found.add(signal, quantized)
        return found

    def add(self, signal: Array, quantized: Array) -> None:
        """Look at another picture, both (C, n)."""
        watched = np.flatnonzero(self.constant)
        # a few places tell of most channels that they vary
        for step in (max(1, quantized.shape[1] // _PLACES), 1):
            if not watched.size:
                return
            same = (quantized[watched, ::step] == self.value[watched, np.newaxis]).all(axis=1)
            self.constant[watched] = same
            watched = watched[same]
        self.low[watched] = np.minimum(self.low[watched], signal[watched].min(axis=1, initial=np.inf))
        self.high[watched] = np.maximum(self.high[watched], signal[watched].max(axis=1, initial=-np.inf))

    def merged(self, other: Channels) -> Channels:
        """Both together."""
        constant = self.constant & other.constant & (self.value == other.value)
        return Channels(constant, self.value, np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    @property
    def dead(self) -> int:
        """Channels that are constant in the quantized network only."""
        return int((self.constant & (self.low < self.high)).sum())


@dataclass
class Tally:
    """What was seen of one layer.

    Attributes:
        sums: energies of all tops together.
        count: how many values, over all pictures; `nonzero` of them are not 0 in float.
        minimum, maximum: of the float values.
        saturated, wrapped: see `Simulated`.
        channels: None where the layer has no output channels of its own.
        histogram: of the float values; None where it is not wanted.
    """

    sums: Sums = field(default_factory=Sums)
    count: int = 0
    nonzero: int = 0
    minimum: float = float("inf")
    maximum: float = float("-inf")
    saturated: int = 0
    wrapped: int = 0
    channels: Channels | None = None
    histogram: Statistics | None = None

    def add(self, signal: Array, quantized: Array) -> Energy:
        """Look at one top of one picture, both arrays of one shape and not empty; see `note`."""
        seen = look(signal, quantized)
        self.note(seen)
        return seen.energy

    def note(self, seen: Look) -> None:
        """Count what was seen of one top of one picture; NaN and infinity are not counted."""
        if not seen.energy.finite:
            return
        self.sums = self.sums.plus(seen.energy)
        self.count += seen.size
        self.nonzero += seen.nonzero
        self.minimum = min(self.minimum, seen.minimum)
        self.maximum = max(self.maximum, seen.maximum)

    def watch(self, signal: Array, quantized: Array) -> None:
        """Look for dead channels; both arrays (1, C, ...)."""
        if self.channels is not None and not self.channels.constant.any():
            return
        signal, quantized = (array.reshape(array.shape[1], -1) for array in (signal, quantized))
        if self.channels is None:
            self.channels = Channels.of(signal, quantized)
        else:
            self.channels.add(signal, quantized)

    def draw(self, signal: Array) -> None:
        """Add a finite array to the histogram."""
        part = statistics.of(signal)
        self.histogram = part if self.histogram is None else statistics.merge(self.histogram, part)

    def merged(self, other: Tally) -> Tally:
        """Both together, of different pictures."""
        return Tally(
            self.sums.merged(other.sums),
            self.count + other.count,
            self.nonzero + other.nonzero,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.saturated + other.saturated,
            self.wrapped + other.wrapped,
            _both(self.channels, other.channels, Channels.merged),
            _both(self.histogram, other.histogram, statistics.merge),
        )


def _both(first: T | None, second: T | None, merge: Callable[[T, T], T]) -> T | None:
    if first is None or second is None:
        return first if second is None else second
    return merge(first, second)


@dataclass
class Answers:
    """Whether an output varies between pictures: the first one's arrays, and whether any other differed."""

    signal: Array
    quantized: Array
    signal_varies: bool = False
    quantized_varies: bool = False

    def add(self, signal: Array, quantized: Array) -> None:
        """Look at another picture."""
        self.signal_varies = self.signal_varies or not np.array_equal(self.signal, signal)
        self.quantized_varies = self.quantized_varies or not np.array_equal(self.quantized, quantized)

    def merged(self, other: Answers) -> Answers:
        """Both together."""
        found = Answers(self.signal, self.quantized, self.signal_varies, self.quantized_varies)
        found.add(other.signal, other.quantized)
        found.signal_varies |= other.signal_varies
        found.quantized_varies |= other.quantized_varies
        return found
