"""What the board's limits cost a layer, counted."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Saturations:
    """How many values did not survive; counts of layers or parts of a batch are added with `+`.

    Attributes:
        inputs: values beyond the range when floats became integers at the board's door.
        weights: weights beyond their threshold or format.
        biases: biases clipped at th_layer_out or the output format, or wrapped at 16 bits.
        factors: output channels whose requantization factor is 4 or more, of which the kernel drops the top bits.
        wraps: outputs with a sum that wrapped at 24 bits (8-bit mode) or 20 bits (6-bit mode).
        accumulators: outputs whose 18-bit accumulator was cut off or had stuck at its limit.
        words: outputs that wrapped at 32 bits when factor and bias had been applied.
        roundings: outputs that wrapped at 32 bits when half a step was added for rounding.
        outputs: outputs cut off at the limits of the output format; below zero only where no ReLU hides it.
        averages: AVE pooling outputs of which only the low 8 bits remained.
    """

    inputs: int = 0
    weights: int = 0
    biases: int = 0
    factors: int = 0
    wraps: int = 0
    accumulators: int = 0
    words: int = 0
    roundings: int = 0
    outputs: int = 0
    averages: int = 0

    def __add__(self, other: Saturations) -> Saturations:
        return Saturations(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __bool__(self) -> bool:
        return any(astuple(self))
