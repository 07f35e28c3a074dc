"""ShuffleChannel: the channels of all groups dealt out in turn (shuffle_channel_layer.cpp of the ShuffleNet fork;
Zhang et al., arXiv:1707.01083)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.shapes import axis_index


@dataclass(frozen=True)
class Params:
    group: Uint = 1


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's, (N, channels, ...).

    Raises:
        LayerError: no channels, or not the same number for every group.
    """
    (bottom,) = bottoms
    channels = bottom[axis_index(bottom, 1, "channel axis")]
    if p.group < 1 or channels % p.group:
        raise LayerError(f"shuffle_channel_param group {p.group} does not divide the {channels} channels")
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """Channel `j` of group `i` becomes channel `i` of group `j`."""
    (x,) = bottoms
    batch, channels, *plane = x.shape
    grouped = x.reshape(batch, p.group, channels // p.group, *plane)
    return (grouped.swapaxes(1, 2).reshape(x.shape),)


KIND = LayerKind("ShuffleChannel", Params, shape, forward, field="shuffle_channel_param", ties="all")
