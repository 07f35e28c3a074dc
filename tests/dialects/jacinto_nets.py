"""Networks quantized as caffe-jacinto quantizes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.simulation.quantized import feeds_of
from tests.small_nets import Files, conv, data, layer, net_of
from xportdnn import api
from xportdnn.dialects.jacinto import NetQuantization
from xportdnn.layers import Array, Arrays
from xportdnn.simulation.jacinto import prepare

# no room beyond the range that was seen, and weights as they are: one thing at a time
BARE = NetQuantization(quantize_weights=False, range_expansion_factor=1.0)


def f32(values: Sequence[Any]) -> Array:
    return np.asarray(values, np.float32)


def run(text: str, blobs: Mapping[str, Arrays], array: Array, wanted: NetQuantization) -> dict[str, Array]:
    """What every layer writes, by name."""
    net = net_of(text)
    weights = {
        each.index: tuple(np.asarray(blob, np.float32) for blob in blobs.get(each.name, ())) for each in net.layers
    }
    simulation, feeds = prepare(net, weights, wanted, feeds_of(net, {"data": array}))
    return {step.layer.name: step.tops[0] for step in simulation.run(feeds)}


INPUT = f32([2.0, -1.0, 0.5]).reshape(1, 1, 1, 3)
RELU = data(1, 1, 1, 3) + conv("a", "data", "a", 1) + layer("relu", "ReLU", "a", "a")
WEIGHTS = {"a": (f32([[[[1.5]]]]), f32([0.125]))}


def converted(files: Files, **options: Any) -> str:
    common: dict[str, Any] = {"dialect": "jacinto", "quant_type": "DynamicFixed", "bitwidths": (8, 12, 8)}
    return api.convert(files.deploy, files.weights, **common | options).text
