"""What the sums of the board's convolutions can come to in the worst case."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xportdnn.arithmetic.board import accumulator
from xportdnn.check.convolutions import BoardConvolution
from xportdnn.lazy import np

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray

    from xportdnn.arithmetic import Int64s

    Steps: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """What the sums of a convolution can come to, whatever its input.

    Attributes:
        above, below: (portions of the input channels, num_output), the largest sum and the least with its sign off.
        factors: (num_output,), output steps per unit of the sum.
        biases: (num_output,), in output steps.
        largest: the largest output, in steps.
    """

    above: Int64s
    below: Int64s
    factors: Steps
    biases: Steps
    largest: int

    @property
    def portions(self) -> Int64s:
        """(num_output,): the largest magnitude of any portion's sum."""
        return np.asarray(np.maximum(self.above.max(axis=0), self.below.max(axis=0)))

    @property
    def limits(self) -> Steps:
        """(num_output,): the largest output that an accumulator of 18 bits can hold, in output steps."""
        return np.asarray(accumulator.HIGHEST * self.factors + self.biases)

    @property
    def highest(self) -> Steps:
        """(num_output,): the largest output, were the accumulator wide enough, in output steps."""
        return np.asarray(self.above.sum(axis=0) * self.factors + self.biases)

    @property
    def largest_words(self) -> Steps:
        """(num_output,): the largest magnitude before rounding, in output steps."""
        sums = np.maximum(self.above.sum(axis=0), self.below.sum(axis=0))
        return np.asarray(np.minimum(sums, accumulator.HIGHEST) * self.factors + np.abs(self.biases))


def bounds(conv: BoardConvolution) -> Bounds | None:
    """What the sums can come to; None where the host cannot store a number or no arithmetic is known for the groups.

    Of what is read only the limits of its integers are used: -128 or, behind a ReLU, 0 to 127; -32 to 31 at 6 bits.
    """
    stored, group = conv.stored, conv.layer.params.group
    if stored is None or group > 2 or stored.saturations.factors:
        return None
    weights = stored.weights.astype(np.int64)
    highest, lowest = (31, 32) if stored.six else (127, 128)
    lowest *= conv.negative
    above, below = [], []
    for part in accumulator.chunks(weights.shape[1] * group, weights.shape[2:], group):
        rows = weights[:, part].reshape(len(weights), -1)
        positive, negative = np.maximum(rows, 0).sum(axis=1), np.maximum(-rows, 0).sum(axis=1)
        above.append(positive * highest + negative * lowest)
        below.append(negative * highest + positive * lowest)
    factors, biases = (terms.astype(np.float64) for terms in (stored.terms[0], stored.terms[1].view(np.int32)))
    step = math.ldexp(1, -stored.shift)
    return Bounds(np.array(above), np.array(below), factors * step, biases * step, highest)
