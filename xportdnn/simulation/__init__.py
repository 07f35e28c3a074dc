"""Running a quantized network as fixed-point hardware would.

Three levels (`Arithmetic`): `fake` quantizes inputs, weights and outputs and computes in float between; `integer` is what
a careful implementer of the same formats gets, with wide accumulators and rounding; `chaidnn` is the board, bit by bit.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from xportdnn.layers import Arrays
from xportdnn.network import Layer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Arithmetic(str, Enum):
    """How exactly the hardware is imitated."""

    FAKE = "fake"
    INTEGER = "integer"
    CHAIDNN = "chaidnn"


class Simulated(NamedTuple):
    """A layer that has just been simulated.

    Attributes:
        tops: real values, float32: integers times their step where the layer is quantized.
        integers: the integers themselves, one array per top; empty where the layer computes in float.
        saturated: how many values were clipped to the limits of their format.
        wrapped: how many accumulators or sums wrapped around (chaidnn only).
    """

    layer: Layer
    tops: Arrays
    integers: tuple[NDArray[np.int64], ...] = ()
    saturated: int = 0
    wrapped: int = 0
