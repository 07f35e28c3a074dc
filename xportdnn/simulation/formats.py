"""What the numbers of a blob look like, read from a layer's block.

A `Whole` format stands for integers: `Threshold` in Xilinx mode, `Fixed` in DynamicFixed mode and Ristretto's dynamic
fixed point. Ristretto's `Minifloat` has none. Power-of-two weights belong to weights alone (`trimmed`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeAlias, Union

from xportdnn.arithmetic import Int64s, Integers, minifloat, qformat, threshold
from xportdnn.arithmetic.rounding import Rounding, half_away, stochastic
from xportdnn.choices import Mode
from xportdnn.layers import Array
from xportdnn.lazy import np
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation.reach import Reach, reach

if TYPE_CHECKING:
    from numpy.typing import NDArray

Block: TypeAlias = Union[Precision, Ristretto]
_STEEPEST = 126  # 2**fl beyond this is no normal float32
_STRETCH = 1 << 16  # values that are trimmed at a time, so that they stay in the cache


class Format(Protocol):
    """Floats to the floats that quantization leaves of them."""

    def trim(self, values: Array) -> Array: ...

    def overwrite(self, values: Array, found: Reach, spare: Array) -> None:
        """Trim values in place that reach so far; `spare` has their shape, and no meaning."""

    def clipped(self, values: Array, rectified: bool) -> int:
        """How many values lie beyond the range; `rectified`: a ReLU behind it makes those below zero equal anyway.

        Raises:
            LayerError: NaN or infinity among them.
        """

    def beyond(self, values: Array, found: Reach, rectified: bool) -> int:
        """The same of values that reach so far."""


def bring(form: Format, values: Array, rectified: bool = False) -> int:
    """Trim an array in place; how many of its values were clipped.

    Args:
        values: in one piece of memory, its axes in any order there.
        rectified: see `Format.clipped`.

    Raises:
        LayerError: NaN or infinity among them.
    """
    flat = values.ravel(order="K")
    spare: Array = np.empty(min(_STRETCH, flat.size), np.float32)
    lost = 0
    for start in range(0, flat.size, _STRETCH):
        stretch = flat[start : start + _STRETCH]
        found = reach(stretch, values)
        lost += form.beyond(stretch, found, rectified)
        form.overwrite(stretch, found, spare[: stretch.size])
    return lost


@dataclass(frozen=True)
class Threshold:
    """Integers of the step th / (2**(bits - 1) - 1), between -th and th."""

    th: float
    bits: int

    @property
    def step(self) -> float:
        return float(threshold.step(self.th, self.bits))

    @property
    def limits(self) -> tuple[int, int]:
        return -threshold.levels(self.bits), threshold.levels(self.bits)

    def trim(self, values: Array) -> Array:
        return threshold.trim(values, self.th, self.bits)

    def quantize(self, values: Array) -> Int64s:
        return threshold.quantize(values, self.th, self.bits)

    def dequantize(self, integers: Integers) -> Array:
        return threshold.dequantize(integers, self.th, self.bits)

    def overwrite(self, values: Array, found: Reach, spare: Array) -> None:
        limit, divisor = self._float32s
        if not found.inside(-float(limit), float(limit)):
            np.clip(values, -limit, limit, out=values)
        threshold.trim_inside(values, divisor, spare)

    @cached_property
    def _float32s(self) -> tuple[Array, Array]:
        """The threshold, and the divisor of `threshold.trim_inside`."""
        return np.asarray(self.th, np.float32), threshold.divisor(self.th, self.bits)

    def clipped(self, values: Array, rectified: bool = False) -> int:
        return self.beyond(values, reach(values), rectified)

    def beyond(self, values: Array, found: Reach, rectified: bool) -> int:
        limit = self._limit
        if found.inside(-math.inf if rectified else -limit, limit):
            return 0
        return _count(threshold.clips(_seen(values, rectified), limit))

    @cached_property
    def _limit(self) -> float:
        # the largest integer times the step may come out one float above the threshold
        return float(max(np.float32(self.th), np.float32(self.limits[1]) * np.float32(self.step)))

    def __str__(self) -> str:
        return f"a threshold of {self.th:g} at {self.bits} bits"


@dataclass(frozen=True)
class Fixed:
    """Integers of the step 2**-fl, between -2**(bits - 1) and 2**(bits - 1) - 1."""

    fl: int
    bits: int
    rounding: Rounding = field(default=half_away, compare=False, repr=False)

    @property
    def step(self) -> float:
        return math.ldexp(1.0, -self.fl)

    @property
    def limits(self) -> tuple[int, int]:
        return -(1 << self.bits - 1), (1 << self.bits - 1) - 1

    def trim(self, values: Array) -> Array:
        return qformat.trim(values, self.bits, self.fl, self.rounding)

    def quantize(self, values: Array) -> Int64s:
        return qformat.quantize(values, self.bits, self.fl, self.rounding)

    def dequantize(self, integers: Integers) -> Array:
        return qformat.dequantize(integers, self.fl)

    def overwrite(self, values: Array, found: Reach, spare: Array) -> None:
        np.copyto(values, self.trim(values))

    def clipped(self, values: Array, rectified: bool = False) -> int:
        return self.beyond(values, reach(values), rectified)

    def beyond(self, values: Array, found: Reach, rectified: bool) -> int:
        least, greatest = (math.ldexp(limit, -self.fl) for limit in self.limits)
        if found.inside(-math.inf if rectified else least, greatest):
            return 0
        return _count(qformat.saturates(_seen(values, rectified), self.bits, self.fl))

    def __str__(self) -> str:
        return f"{self.fl} fractional bits of {self.bits}"


@dataclass(frozen=True)
class Minifloat:
    """Ristretto's small floating-point numbers.

    Attributes:
        as_ristretto: with the defects of its CPU code (`arithmetic.minifloat.trim`).
    """

    mant_bits: int
    exp_bits: int
    rounding: Rounding = field(default=half_away, compare=False, repr=False)
    as_ristretto: bool = False

    def trim(self, values: Array) -> Array:
        return minifloat.trim(values, self.mant_bits, self.exp_bits, self.rounding, as_ristretto=self.as_ristretto)

    def overwrite(self, values: Array, found: Reach, spare: Array) -> None:
        np.copyto(values, self.trim(values))

    def clipped(self, values: Array, rectified: bool = False) -> int:
        return self.beyond(values, reach(values), rectified)

    def beyond(self, values: Array, found: Reach, rectified: bool) -> int:
        limit = minifloat.largest(self.mant_bits, self.exp_bits)
        if found.inside(-math.inf if rectified else -limit, limit):
            return 0
        return _count(np.abs(_seen(values, rectified)) > np.float64(limit))


Whole: TypeAlias = Union[Threshold, Fixed]


def rounding_of(block: Block, index: int) -> Rounding:
    """To the nearest, halves away from zero, or STOCHASTIC with the layer's index as seed: the same in every run."""
    if isinstance(block, Ristretto) and block.rounding_scheme == "STOCHASTIC":
        return stochastic(np.random.default_rng(index))
    return half_away


def layer_in(block: Block, rounding: Rounding = half_away, as_ristretto: bool = False) -> Format | None:
    """What the layer reads; None where the block says nothing of it."""
    return _side(block, "layer_in", rounding, as_ristretto)


def layer_out(block: Block, rounding: Rounding = half_away, as_ristretto: bool = False) -> Format | None:
    """What the layer writes; None where the block says nothing of it."""
    return _side(block, "layer_out", rounding, as_ristretto)


def whole_in(block: Block | None) -> Whole | None:
    """What the layer reads, as integers; None where the block says nothing of it or has no integers."""
    return _whole(block, "layer_in")


def whole_out(block: Block | None) -> Whole | None:
    """What the layer writes, as integers; None where the block says nothing of it or has no integers."""
    return _whole(block, "layer_out")


def _whole(block: Block | None, side: str) -> Whole | None:
    found = None if block is None else _side(block, side, half_away, False)
    return found if isinstance(found, Threshold | Fixed) else None


def _side(block: Block, side: str, rounding: Rounding, as_ristretto: bool) -> Format | None:
    bits, fl = getattr(block, f"bw_{side}"), getattr(block, f"fl_{side}")
    if isinstance(block, Ristretto):
        if block.precision == "MINIFLOAT":
            return Minifloat(block.mant_bits, block.exp_bits, rounding, as_ristretto)
        # beside power-of-two weights Ristretto's CPU code leaves blobs alone, though it writes their widths
        return Fixed(fl, bits, rounding) if block.precision == "DYNAMIC_FIXED_POINT" else None
    if block.mode is Mode.XILINX:
        th = getattr(block, f"th_{side}")
        return None if th is None or bits is None else Threshold(th, bits)
    return fixed(fl, bits)


def fixed(fl: int | None, bits: int | None) -> Fixed | None:
    """The format of these two fields; None where one is absent."""
    return None if fl is None or bits is None else Fixed(fl, bits)


def problems(block: Block) -> Iterator[str]:
    """What no arithmetic could use, one sentence for each field."""
    least = 2 if isinstance(block, Precision) and block.mode is Mode.XILINX else 1
    for name in block.__dataclass_fields__:
        value = getattr(block, name)
        parts = name.split("_")
        if value is None:
            continue
        if "bw" in parts and not least <= value <= 32:
            yield f"{name} is {value}; {least} to 32 bits can be simulated"
        if "fl" in parts and abs(value) > _STEEPEST:
            yield f"{name} is {value}; {-_STEEPEST} to {_STEEPEST} can be simulated"
        if parts[0] == "th" and any(not 0 <= th < math.inf for th in (value if isinstance(value, tuple) else (value,))):
            yield f"{name} holds {value}; thresholds are finite and not negative"
    if isinstance(block, Ristretto):
        yield from _ristretto_problems(block)


def _ristretto_problems(block: Ristretto) -> Iterator[str]:
    for name, most in (("mant_bits", 23), ("exp_bits", 8)):
        if not 1 <= getattr(block, name) <= most:
            yield f"{name} is {getattr(block, name)}; 1 to {most} can be simulated"
    for name in ("exp_min", "exp_max"):
        if abs(getattr(block, name)) > _STEEPEST:
            yield f"{name} is {getattr(block, name)}; {-_STEEPEST} to {_STEEPEST} can be simulated"
    if block.exp_min > block.exp_max:
        yield f"exp_min is {block.exp_min} and exp_max {block.exp_max}; the first must not be above the second"


def _seen(values: Array, rectified: bool) -> Array:
    return np.maximum(values, 0) if rectified else values


def _count(mask: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(mask))
