"""One th_params for all output channels of a Deconvolution.

The board stores every channel's weights in units of its own th_params and brings none of them back to a common scale:
the ArgMax behind compares the integers as they are (CHaiDNN xi_init.cpp). With the largest for all of them nothing is
clipped, and integers of one size mean the same in every channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from xportdnn.choices import BOARD_WIDTHS, Triple
from xportdnn.guards.marks import Guard, Mark
from xportdnn.network import Layer
from xportdnn.plan import Settled


class Levelled(NamedTuple):
    """Layer index -> th_params, and what was done for it."""

    params: Mapping[int, tuple[float, ...]]
    marks: tuple[Mark, ...]


def levelled(
    layers: Iterable[Layer], params: Mapping[int, tuple[float, ...]], bits: Triple, settled: Settled
) -> Levelled:
    """The th_params with each Deconvolution's largest in place of all its own; those that the user settled stay.

    Args:
        params: layer index -> th_params, of layers that have some.
        bits, settled: see `plan.xilinx`.
    """
    free = [layer for layer in layers if layer.index in params and _is_free(layer, bits, settled)]
    marks = [Mark(Guard.LEVEL, (layer,), min(params[layer.index]), max(params[layer.index])) for layer in free]
    level = {layer.index: (max(params[layer.index]),) * len(params[layer.index]) for layer in free}
    return Levelled({**params, **level}, tuple(mark for mark in marks if mark.was != mark.fits))


def _is_free(layer: Layer, bits: Triple, settled: Settled) -> bool:
    """Whether it is a Deconvolution for the board, with th_params that nobody asked for."""
    if layer.kind is None or layer.kind.name != "Deconvolution":
        return False
    is_settled = layer.index in settled.params or layer.index in settled.floats
    sides = (settled.widths.get(value, bits.layer_out) for value in (*layer.bottoms, *layer.tops))
    widths = {*sides, settled.params_widths.get(layer.index, bits.params)}
    return not is_settled and widths <= set(BOARD_WIDTHS)
