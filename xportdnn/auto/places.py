"""Where the threshold of a scale class stands in the blocks of a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from xportdnn.network import Net, Value
from xportdnn.precision import Precision


class Place(NamedTuple):
    """A block that holds the threshold of a class: of what the layer reads, or of what it writes."""

    layer: int
    is_read: bool


def with_threshold(block: Precision, is_read: bool, threshold: float | None) -> Precision:
    return replace(block, th_layer_in=threshold) if is_read else replace(block, th_layer_out=threshold)


def places(net: Net, blocks: Mapping[int, Precision], classes: Mapping[Value, Value]) -> dict[Value, tuple[Place, ...]]:
    """Scale class -> its places."""
    found: dict[Value, list[Place]] = {}
    for index, block in blocks.items():
        layer = net.layers[index]
        if block.th_layer_in is not None and layer.bottoms:
            found.setdefault(classes[layer.bottoms[0]], []).append(Place(index, True))
        if block.th_layer_out is not None and layer.tops:
            found.setdefault(classes[layer.tops[0]], []).append(Place(index, False))
    return {root: tuple(places) for root, places in found.items()}


def first(places: Iterable[Place]) -> int:
    """The first layer that a class's threshold has to do with."""
    return min((place.layer for place in places), default=-1)
