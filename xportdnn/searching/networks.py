"""A network quantized as Ristretto's layers do it, with any part of it left in float."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from xportdnn.choices import Arithmetic
from xportdnn.layers import Arrays
from xportdnn.network import Net, runnable
from xportdnn.opening import Opened
from xportdnn.precision import Ristretto
from xportdnn.searching.widths import FLOAT, Widths
from xportdnn.simulation import Simulation
from xportdnn.simulation.fake import Fake, Prepared
from xportdnn.simulation.formats import layer_in, layer_out, rounding_of
from xportdnn.simulation.trimmed import trimmed


class Formats(Protocol):
    """Blocks for any widths (`lengths.Lengths`)."""

    def blocks(self, widths: Widths) -> Mapping[int, Ristretto]: ...


def simulation(opened: Opened, weights: Mapping[int, Arrays], formats: Formats, widths: Widths) -> Simulation:
    """The network with these widths; `FLOAT` is no format at all.

    Ristretto's own code leaves nothing out: what it does not look at it trims to 32 bits, 16 of them fractional.

    Args:
        weights: arrays by layer index.
    """
    net, layers = opened.net, runnable(opened.net, opened.inputs)
    fake = Fake(net, layers, weights, {})
    for index, block in formats.blocks(widths).items():
        fake.prepared[index] = _prepared(net, index, weights[index], block, widths)
    return Simulation(net, layers, {}, Arithmetic.FAKE, fake)


def _prepared(net: Net, index: int, blobs: Arrays, block: Ristretto, widths: Widths) -> Prepared:
    layer = net.layers[index]
    if widths.weights(layer) < FLOAT:
        blobs = trimmed(layer, blobs, block, rounding_of(block, index)).blobs
    if widths.activations == FLOAT:
        return Prepared(None, None, blobs)
    return Prepared(layer_in(block), layer_out(block), blobs, in_place=True)
