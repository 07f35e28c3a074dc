"""The ways of rounding floats to whole floats.

Each keeps the dtype and is exact for every finite float: none adds 0.5 first, which would round the largest float
below 0.5 up to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

F = TypeVar("F", bound="np.floating[Any]")


class Rounding(Protocol):
    """Floats to whole floats of the same dtype and shape."""

    def __call__(self, values: NDArray[F]) -> NDArray[F]: ...


def half_away(values: NDArray[F]) -> NDArray[F]:
    """To the nearest, halves away from zero: C's `round`, all of CHaiDNN but one place, Ristretto's NEAREST."""
    whole: NDArray[F] = np.trunc(values)
    # the fraction and its double are exact; the double's whole part is the step still to take
    fraction = values - whole
    fraction += fraction
    np.trunc(fraction, out=fraction)
    whole += fraction
    return whole


def half_away_over(values: NDArray[F], spare: NDArray[F]) -> None:
    """`half_away` in place, without new memory.

    Args:
        spare: of the same shape; its content is of no meaning before and after.
    """
    np.trunc(values, out=spare)
    values -= spare
    values += values
    np.trunc(values, out=values)
    values += spare


def half_even(values: NDArray[F]) -> NDArray[F]:
    """To the nearest, halves to the even neighbour: IEEE 754, `numpy.round`, Xilinx's calibration quantizer."""
    whole: NDArray[F] = np.rint(values)
    return whole


def half_up(values: NDArray[F]) -> NDArray[F]:
    """To the nearest, halves upward: floor(x + 0.5) with an exact sum."""
    return _upward_where(values, lambda fraction: fraction >= 0.5)


def toward_zero(values: NDArray[F]) -> NDArray[F]:
    """The fraction is cut off: C's conversion to an integer."""
    whole: NDArray[F] = np.trunc(values)
    return whole


def stochastic(generator: np.random.Generator) -> Rounding:
    """Up with a probability equal to the fraction: floor(x + u), u uniform in [0, 1), Ristretto's STOCHASTIC.

    Whole numbers stay. Every call draws one number per element, in C order, from `generator`.
    """

    def rounding(values: NDArray[F]) -> NDArray[F]:
        return _upward_where(values, lambda fraction: generator.random(values.shape) < fraction)

    return rounding


class _Decision(Protocol):
    def __call__(self, fraction: NDArray[F]) -> NDArray[np.bool_]: ...


def _upward_where(values: NDArray[F], upward: _Decision) -> NDArray[F]:
    """floor(x), plus 1 where `upward` says so of x - floor(x).

    The fraction is exact, except for negative x above -1/2, where it may round up but stays on its side of 1/2.
    """
    whole: NDArray[F] = np.floor(values)
    whole += upward(values - whole)
    return whole
