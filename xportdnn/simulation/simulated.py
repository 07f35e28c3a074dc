"""What a simulation says of a layer."""

from __future__ import annotations

from typing import NamedTuple

from xportdnn.arithmetic import Int64s
from xportdnn.layers import Arrays
from xportdnn.network import Layer


class Simulated(NamedTuple):
    """A layer that has just been simulated.

    Attributes:
        tops: real values, float32: integers times their step where the layer is quantized. Empty where the hardware
            never has the layer's own result, because it computes the layer inside a later one (chaidnn only): a
            Convolution before its BatchNorm and Scale, and what a folded ReLU reads.
        integers: the integers themselves, one array per top; empty where the layer computes in float.
        saturated: how many values were clipped to the limits of their format; below zero only where no ReLU hides it.
        wrapped: how many accumulators or sums wrapped around (chaidnn only).
    """

    layer: Layer
    tops: Arrays
    integers: tuple[Int64s, ...] = ()
    saturated: int = 0
    wrapped: int = 0
