"""One layer written as prototxt: its shapes, its forward, and OpenCV's forward of the same text."""

from __future__ import annotations

import math
from typing import Any, cast

import cv2
import numpy as np

from xportdnn.decode import decode
from xportdnn.layers import Array, Arrays, LayerKind, Shape, Shapes, kind
from xportdnn.prototxt import Source, parse


def text_of(body: str, bottoms: int, tops: int) -> str:
    """`layer { }` around `type: "X" x_param { }`, reading bottom0, bottom1, ... and writing top0, top1, ..."""
    blobs = [f'bottom: "bottom{index}"' for index in range(bottoms)] + [f'top: "top{index}"' for index in range(tops)]
    return "layer { " + " ".join(('name: "it"', body, *blobs)) + " }"


def decoded(body: str, bottoms: int, tops: int) -> tuple[LayerKind[Any], Any]:
    """The rules of the layer's type and its parameters."""
    (layer,) = parse(Source("test.prototxt", text_of(body, bottoms, tops))).root.messages("layer")
    found = kind(layer.string("type"))
    assert found is not None
    block = next(iter(layer.messages(found.field)), None)
    return found, decode(block, found.params, layer)


def shapes(body: str, *bottoms: Shape, tops: int = 1) -> Shapes:
    """The tops' shapes."""
    found, params = decoded(body, len(bottoms), tops)
    return found.shape(params, bottoms)


def forward(body: str, *bottoms: Array, tops: int = 1) -> Arrays:
    """The tops, which must be float32 and shaped as `shapes` says; the bottoms cannot be written to."""
    found, params = decoded(body, len(bottoms), tops)
    for bottom in bottoms:
        bottom.flags.writeable = False
    results = found.forward(params, bottoms, ())
    assert tuple(result.shape for result in results) == shapes(body, *(bottom.shape for bottom in bottoms), tops=tops)
    assert all(result.dtype == np.float32 for result in results)
    return results


def top(body: str, *bottoms: Array) -> Array:
    """The only top."""
    (result,) = forward(body, *bottoms)
    return result


def opencv(body: str, *bottoms: Array) -> Array:
    """The first top as OpenCV computes it."""
    inputs = ""
    for index, bottom in enumerate(bottoms):
        dims = " ".join(f"dim: {dim}" for dim in bottom.shape)
        inputs += f'layer {{ name: "bottom{index}" type: "Input" top: "bottom{index}" '
        inputs += f"input_param {{ shape {{ {dims} }} }} }}\n"
    text = inputs + text_of(body, len(bottoms), 1)
    net = cv2.dnn.readNetFromCaffe(np.frombuffer(text.encode(), np.uint8))
    for index, bottom in enumerate(bottoms):
        net.setInput(bottom, f"bottom{index}")
    return cast(Array, net.forward("it"))


def blob(*shape: int, seed: int = 0) -> Array:
    """Normally distributed values."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def counting(*shape: int) -> Array:
    """0, 1, 2, ... in memory order: every value tells where it came from."""
    return np.arange(math.prod(shape), dtype=np.float32).reshape(shape)


def values(*numbers: float) -> Array:
    """A blob of one axis."""
    return np.array(numbers, np.float32)
