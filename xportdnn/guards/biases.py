"""Biases of DynamicFixed mode that the output's format does not hold, and what it is worth to make room for them.

A bias is trimmed to bw_layer_out and fl_layer_out before anything is added to it (CHaiDNN xi_common_utils.hpp,
Trim2FixedPointBias_Offline), also where a sum below 0 would bring the output back into the range. Every fractional bit
less makes room for twice as much, and the steps of all outputs twice as coarse; `bounds.worth` says how far that pays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xportdnn.guards import bounds
from xportdnn.layers import Array
from xportdnn.lazy import np
from xportdnn.network import Layer, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Biased(NamedTuple):
    """A convolution and the scale class that it writes.

    Attributes:
        bits: bw_layer_out.
        bias: (num_output,), with BatchNorm and Scale worked in.
    """

    layer: Layer
    writes: Value
    bits: int
    bias: Array

    def fitting(self, fl_layer_out: int) -> int:
        """The same or fewer fractional bits: no bias is clipped but those for which room is not worth its price.

        With room for one bias the next may be worth it.
        """
        holding = np.sort(_holding(self._numbers(), self.bits))[::-1].tolist()
        fl = fl_layer_out
        for index, needed in enumerate(holding):
            if 2.0 ** (fl - needed) > bounds.worth(self.bits, len(holding) - index, self.bias.size):
                break
            fl = min(fl, needed)
        return fl

    def clipped(self, fl_layer_out: int) -> float:
        """The largest |bias| that loses half a step or more to clipping; 0 where none does."""
        numbers = self._numbers()
        beyond = numbers[_holding(numbers, self.bits) < fl_layer_out]
        return float(np.abs(beyond).max(initial=0))

    def _numbers(self) -> Array:
        """Without those that are 0, or NaN or infinite, which are told elsewhere."""
        numbers: Array = self.bias[np.isfinite(self.bias) & (self.bias != 0)]
        return numbers


def _holding(values: Array, bits: int) -> NDArray[np.int64]:
    """Of each value, which is not 0, the most fractional bits with which its last place still is right.

    That is with which it stays less than half a step beyond the range, -2**(bits - 1) to 2**(bits - 1) - 1 steps.
    """
    end = (1 << (bits - 1)) + np.where(values < 0, 0.5, -0.5)
    mantissa, exponent = np.frexp(end / np.abs(values))
    return np.asarray(exponent - 1 - (mantissa == 0.5), np.int64)
