"""Cross-layer equalization for hardware with one threshold per blob and one per output channel of the weights.

Nagel et al. 2019 (arXiv:1906.04721) make the channels' *weights* alike, for hardware with one threshold per weight
tensor. The board has one for each output channel, so that there is nothing to gain there; but a blob has a single
threshold, and a channel that uses a hundredth of it is left with one or two steps. So the *activations* are made alike:
every free strand is divided by its share of its scale class, and fills the threshold as the largest channel does.

With every channel at its full range, the blob's rounding does the least harm it can. The weights' does not: a row of
weights has one step for all its columns, and a column that was multiplied by a small factor is rounded more coarsely
next to the others. Where a row's noise, (largest |w| of the row)**2 times the sum of the x**2 that it meets, is the
larger one, columns of small weights can do with less of the blob's range. With u for how much less,

    sum over rows:  w**2 u**2  +  (largest |w|)**2 x**2 / u**2

is least at u**4 = x**2 * (sum of largest |w|**2) / (sum of w**2); w, x and rows in units of what the channels can hold.

Which rule is best depends on the network, so there are several (`RULES`); whoever calls tries them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from xportdnn import scales
from xportdnn.arithmetic.threshold import levels
from xportdnn.choices import ScaleClasses
from xportdnn.folding.absorb import after, before
from xportdnn.folding.affine import Affine
from xportdnn.folding.extents import Extents
from xportdnn.folding.strands import Strands
from xportdnn.guards.bounds import SAFE_STEPS
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, Value, runnable
from xportdnn.opening import Opened

if TYPE_CHECKING:
    from xportdnn.folding.affine import Doubles

_LEAST_SHARE = 2.0**-6
"""A channel that hardly ever speaks on these pictures may be louder on others; it keeps this much room."""


class Rule(NamedTuple):
    """How factors follow from the strands' shares.

    Attributes:
        strength: their exponent: 1 makes all channels alike, 1/2 goes half of the way.
        balanced: whether columns of small weights take less of the blob's range.
    """

    name: str
    strength: float
    balanced: bool


RULES = (Rule("full", 1.0, False), Rule("balanced", 1.0, True), Rule("half", 0.5, False))


@dataclass(frozen=True)
class Spread:
    """How much of its scale class every strand uses.

    Attributes:
        limits: value -> the largest extent of any channel of its scale class.
        shares: (strands,) the largest part of a limit that one of its channels reaches, 0 .. 1.
        squares: value -> (C,) mean square of each channel.
    """

    strands: Strands
    limits: Mapping[Value, float]
    shares: Doubles
    squares: Mapping[Value, Doubles]


def spread(
    opened: Opened, weights: Mapping[int, Arrays], found: Strands, seen: Mapping[Value, Extents], bits: int
) -> Spread:
    """How much of its scale class every strand uses.

    What a ReLU reads is never stored; but far below zero it would wrap around on the board, at `SAFE_STEPS`. A bias
    beyond the threshold is clipped. Both count, so that equalization gives the guards nothing to raise.

    Args:
        weights: arrays by layer index.
        seen: the extents of all values that have strands.
        bits: of the blobs.
    """
    fed = [opened.net.layers[value.writer] for value in opened.inputs]
    classes = scales.classes([*fed, *runnable(opened.net, opened.inputs)], ScaleClasses.BOARD)
    weighted = {layer.index for layer in found.weighted}
    sizes: dict[Value, Doubles] = {}
    for value, extent in seen.items():
        size = extent.peaks * (levels(bits) / SAFE_STEPS if scales.folded(opened.net, value) else 1.0)
        biases = weights.get(value.writer, ())[1:] if value.writer in weighted else ()
        sizes[value] = np.max([size, *np.abs(biases)], axis=0)
    limits: dict[Value, float] = {}
    for value, size in sizes.items():
        limits[classes[value]] = max(limits.get(classes[value], 0.0), float(size.max(initial=0.0)))
    shares = np.zeros(len(found.free))
    for value, size in sizes.items():
        if limit := limits[classes[value]]:
            np.maximum.at(shares, found.of[value], size / limit)
    squares = {value: extent.squares for value, extent in seen.items()}
    return Spread(found, {value: limits[classes[value]] for value in seen}, shares, squares)


def factors(found: Spread, weights: Mapping[int, Arrays], rule: Rule) -> Doubles:
    """The factor of every strand: what makes its values is divided by it, what reads them is multiplied; 1 if not free.

    Args:
        weights: arrays by layer index.
    """
    free = found.strands.free
    result = np.where(free, np.maximum(found.shares, _LEAST_SHARE) ** rule.strength, 1.0)
    if not rule.balanced:
        return result
    largest, own, power = (np.zeros(len(free)) for _ in range(3))
    for layer in found.strands.weighted:
        into, out = found.limits[layer.bottoms[0]], found.limits[layer.tops[0]]
        if not into or not out:
            continue
        reads, writes = found.strands.reads(layer), found.strands.writes(layer)
        table = _table(layer, weights[layer.index][0], len(reads))
        units = (
            into * result[reads].reshape(len(table), 1, -1, 1) / (out * result[writes].reshape(len(table), -1, 1, 1))
        )
        table = np.square(table * units)
        rows = table.max(axis=(2, 3)).sum(axis=1, keepdims=True) * table.shape[3]
        np.add.at(largest, reads, np.broadcast_to(rows, (len(table), table.shape[2])).reshape(-1))
        np.add.at(own, reads, table.sum(axis=(1, 3)).reshape(-1))
        np.maximum.at(power, reads, found.squares[layer.bottoms[0]] / np.square(into * result[reads]))
    counts = free & (own > 0)
    result[counts] *= np.maximum(1.0, (power[counts] * largest[counts] / own[counts]) ** 0.25)
    return result


def _table(layer: Layer, weight: Array, channels: int) -> Doubles:
    """A layer's weights as (groups, outputs, channels, taps), of one group each."""
    assert layer.kind is not None
    if layer.kind.name == "InnerProduct":
        matrix = weight.T if layer.params.transpose else weight
        return matrix.reshape(1, len(matrix), channels, -1).astype(np.float64)
    groups = layer.params.group
    return weight.reshape(groups, len(weight) // groups, weight.shape[1], -1).astype(np.float64)


def scaled(opened: Opened, weights: Mapping[int, Arrays], found: Strands, factors: Doubles) -> Mapping[int, Arrays]:
    """The new blobs of the layers that factors change, by layer index."""
    changed: dict[int, Arrays] = {}
    for layer in found.weighted:
        into, out = factors[found.reads(layer)], factors[found.writes(layer)]
        blobs = weights[layer.index]
        if (into != 1).any():
            blobs = before(layer, blobs, Affine(into, np.zeros_like(into)), opened.shapes[layer.bottoms[0]])
        if (out != 1).any():
            blobs = after(layer, blobs, Affine(1 / out, np.zeros_like(out)))
        if blobs is not weights[layer.index]:
            changed[layer.index] = blobs
    return changed
