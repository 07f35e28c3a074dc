"""Zeros among a layer's weights, before and after quantization.

Symmetric formats, those of thresholds and Q.F, keep every zero and add what is below half a step. Ristretto's powers
of two have no zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer
from xportdnn.simulation.formats import Block, rounding_of
from xportdnn.simulation.trimmed import trimmed


class Zeros(NamedTuple):
    """How many weights of a layer are 0 in the caffemodel, how many after quantization, and how many there are."""

    before: int
    after: int
    total: int

    def __str__(self) -> str:
        """`12.5 % -> 14.1 %`."""
        return f"{_share(self.before, self.total)} -> {_share(self.after, self.total)}"


def zeros(layer: Layer, blobs: Arrays, block: Block | None) -> Zeros:
    """Count the weights that multiply (blob 0 of a Convolution, InnerProduct and their like); biases do not count.

    Args:
        blobs: as the caffemodel has them; none: there is nothing to count.
        block: the layer's formats; None: it stays float. Pass what `fake.heeded` gives.

    Raises:
        LayerError: the blobs do not fit the block (`trimmed`).
    """
    if layer.kind is None or layer.kind.channels is None or not blobs:
        return Zeros(0, 0, 0)
    after = blobs if block is None else trimmed(layer, blobs, block, rounding_of(block, layer.index)).blobs
    return Zeros(_none(blobs[0]), _none(after[0]), int(blobs[0].size))


def total(parts: Iterable[Zeros]) -> Zeros:
    """Of several layers."""
    found = list(parts)
    return Zeros(*(sum(getattr(part, name) for part in found) for name in Zeros._fields))


def _none(weight: Array) -> int:
    return int(weight.size - np.count_nonzero(weight))


def _share(count: int, total: int) -> str:
    return f"{100 * count / max(1, total):.1f} %"
