"""The weights of a folded network: a Caffemodel in memory that keeps every unchanged blob where it lies in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from xportdnn.caffemodel import Blob, Caffemodel, LayerBlobs
from xportdnn.layers import Arrays
from xportdnn.network import Layer
from xportdnn.opening import Opened


def folded_model(
    opened: Opened, model: Caffemodel, removed: frozenset[int], blobs: Mapping[int, Arrays]
) -> tuple[Caffemodel, tuple[str, ...]]:
    """The caffemodel of a network without some layers, and the names of its layers that the prototxt does not have.

    Names and types are the prototxt's, the order too. Layers that the prototxt has but does not run keep their blobs.

    Args:
        removed: indices of the layers that go.
        blobs: layer index -> new blobs.
    """
    run = {layer.name for layer in opened.net.layers}
    not_run = {layer.name: layer.type for layer in opened.net.left_out if layer.name not in run}
    kept = (LayerBlobs(name, not_run[name], stored.blobs) for name, stored in model.names.items() if name in not_run)
    gone = tuple(name for name in model.names if name not in run and name not in not_run)
    return replace(model, layers=(*_entries(opened, model, removed, blobs), *kept)), gone


def _entries(
    opened: Opened, model: Caffemodel, removed: frozenset[int], blobs: Mapping[int, Arrays]
) -> Iterator[LayerBlobs]:
    for layer in opened.net.layers:
        if layer.index in removed:
            continue
        found = _new(model, layer, blobs[layer.index]) if layer.index in blobs else _old(opened, model, layer)
        if found:
            yield LayerBlobs(layer.name, layer.type, found)


def _new(model: Caffemodel, layer: Layer, arrays: Arrays) -> tuple[Blob, ...]:
    return tuple(
        Blob.of(array, f'{model.path}: layer "{layer.name}", blob {index}, folded')
        for index, array in enumerate(arrays)
    )


def _old(opened: Opened, model: Caffemodel, layer: Layer) -> tuple[Blob, ...]:
    """The blobs in the layer's shapes, as they will be written; as they are where the layer's shape is not known."""
    fitted = opened.weights.get(layer.index)
    if fitted is not None:
        return tuple(replace(blob, legacy=False, stored_in="data") for blob in fitted)
    stored = model.names.get(layer.name)
    return stored.blobs if stored is not None else ()
