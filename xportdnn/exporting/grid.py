"""The caffemodel whose floats are what quantization leaves of them, each a code times its step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xportdnn.caffemodel import Caffemodel
from xportdnn.exporting.weights import Exported, as_layers


def on_grid(model: Caffemodel, found: Sequence[Exported]) -> Caffemodel:
    """The caffemodel with other values; layers that the network does not run stay as they are.

    The values of a layer are float32(code) * step, rounded to float32 once, so that whoever quantizes them by the same
    formats gets the codes again.
    """
    new = {layer.name: layer for layer in as_layers(found)}
    kept = [new.pop(layer.name, layer) for layer in model.names.values()]
    return replace(model, layers=(*kept, *new.values()))
