"""The reference forward: every layer's rule in turn, as a generator.

Each layer's tops are handed out right after it ran, so an in-place ReLU is seen before and after; an array is dropped
after its last reader, so memory is that of the live blobs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from xportdnn.caffemodel import Blob
from xportdnn.errors import LayerError
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable


class Step(NamedTuple):
    """A layer that has just run, and its tops."""

    layer: Layer
    tops: Arrays


def load(layers: Sequence[Layer], weights: Mapping[int, tuple[Blob, ...]]) -> dict[int, Arrays]:
    """The weight arrays of the layers, by layer index."""
    return {layer.index: tuple(blob.values() for blob in weights.get(layer.index, ())) for layer in layers}


def run(net: Net, weights: Mapping[int, Arrays], feeds: Mapping[Value, Array]) -> Iterator[Step]:
    """Run all layers that the fed values allow.

    Args:
        weights: arrays by layer index (see `load`).
        feeds: the input arrays, float32.

    Yields:
        First the input layers' values as they were fed, then every layer in order.

    Raises:
        LayerError: a layer cannot handle the values it got, named with its place.
    """
    steps = runnable(net, feeds)
    pending = Counter(value for layer in steps for value in set(layer.bottoms))
    live = dict(feeds)
    for layer in net.layers:
        if layer.is_input and any(top in feeds for top in layer.tops):
            yield Step(layer, tuple(feeds[top] for top in layer.tops if top in feeds))
    for layer in steps:
        tops = forward(net, layer, tuple(live[value] for value in layer.bottoms), weights.get(layer.index, ()))
        for value in set(layer.bottoms):
            pending[value] -= 1
            if not pending[value]:
                del live[value]
        live |= {value: top for value, top in zip(layer.tops, tops, strict=True) if pending[value]}
        yield Step(layer, tops)


def forward(net: Net, layer: Layer, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """One layer's tops, float32 and contiguous.

    Raises:
        LayerError: with the layer's place.
    """
    assert layer.kind is not None
    try:
        # what leaves the finite range is found by those who read the tops
        with np.errstate(all="ignore"):
            tops = layer.kind.forward(layer.params, bottoms, blobs)
    except LayerError as error:
        raise LayerError(f"{net.where(layer)}: {error}") from None
    return tuple(np.asarray(top, np.float32, order="C") for top in tops)
