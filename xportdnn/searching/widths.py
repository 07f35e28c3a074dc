"""The parts of a network that have a width of their own: weights of convolutions, weights of FC layers, activations."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from xportdnn.network import Layer

FLOAT = 32  # the width that stands for numbers that are not quantized, as in Ristretto
RUNGS = (16, 8, 4, 2, 1)


class Part(str, Enum):
    """The parts, by the names of their fields in `Widths`."""

    CONV = "conv_weights"
    FC = "fc_weights"
    ACTIVATIONS = "activations"

    @property
    def words(self) -> str:
        """As Ristretto's report calls it."""
        return {"conv_weights": "CONV weights", "fc_weights": "FC weights"}.get(self.value, "layer activations")


class Widths(NamedTuple):
    """The bits of every part; `FLOAT`: not quantized."""

    conv_weights: int = FLOAT
    fc_weights: int = FLOAT
    activations: int = FLOAT

    def of(self, part: Part) -> int:
        return int(getattr(self, part.value))

    def at(self, parts: tuple[Part, ...], bits: int) -> Widths:
        """The same with other bits for these parts."""
        return self._replace(**{part.value: bits for part in parts})

    def weights(self, layer: Layer) -> int:
        """The bits of a layer's weights."""
        return self.of(weights_part(layer))


def weights_part(layer: Layer) -> Part:
    """Which part the weights of a quantized layer are; Deconvolution counts as a convolution."""
    assert layer.kind is not None
    return Part.FC if layer.kind.name == "InnerProduct" else Part.CONV


def raised(bits: int) -> int:
    """The next width above; `FLOAT` above the ladder."""
    return min((rung for rung in (FLOAT, *RUNGS) if rung > bits), default=FLOAT)
