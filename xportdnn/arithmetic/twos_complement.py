"""What a two's complement register of `bits` bits keeps of an integer; arrays of at least bits + 1 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

S = TypeVar("S", bound="np.signedinteger[Any]")


def wrap(values: NDArray[S], bits: int) -> NDArray[S]:
    """The lowest `bits` bits, the highest of them read as the sign."""
    unused = 8 * values.itemsize - bits
    shifted: NDArray[S] = np.left_shift(values, unused)
    shifted >>= unused
    return shifted


def saturate(values: NDArray[S], bits: int) -> NDArray[S]:
    """Cut off at -2**(bits-1) and 2**(bits-1) - 1."""
    saturated: NDArray[S] = np.clip(values, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    return saturated
