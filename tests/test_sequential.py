"""Xilinx's sequential rule on networks small enough to follow by hand: what is quantized, when, and who sees it.

At 3 bits and with at most 16 values in a blob every threshold is the largest |x|, so that a threshold of 3 means steps
of 1. A probe is an InnerProduct that picks one value of a blob: its threshold is that value, as it lay in memory then.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.small_nets import PLAIN, RESIDUAL, by_name, conv, data, layer, net_of, random_weights, value
from xportdnn import sequential
from xportdnn.choices import Triple
from xportdnn.errors import CalibrationError
from xportdnn.layers import Array, Arrays
from xportdnn.network import Net, infer_shapes
from xportdnn.sequential import Outcome, calibrate

THREE = Triple(3, 3, 3)
PICTURE = (0.0, 1.4, 3.0, -1.6)  # quantized in steps of 1: 0, 1, 3, -2
INPUT = data(1, 1, 1, 4)


def blob(*numbers: float) -> Array:
    """Of shape (1, 1, 1, n)."""
    return np.array(numbers, np.float32).reshape(1, 1, 1, -1)


def run(text: str, weights: Mapping[str, Arrays] | None = None, bits: Triple = THREE, *pictures: Array) -> Outcome:
    net = net_of(text)
    arrays = {by_name(net, name).index: blobs for name, blobs in (weights or {}).items()}
    arrays |= {
        each.index: (np.eye(4, dtype=np.float32)[[int(each.name[-1])]], np.zeros(1, np.float32))
        for each in net.layers
        if each.type == "InnerProduct"
    }
    feeds = [{value(net, "data"): picture} for picture in pictures or (blob(*PICTURE),)]
    return calibrate(net, arrays, feeds, bits, frozenset(infer_shapes(net, net.declared)))


def probe(bottom: str, index: int, name: str = "probe") -> str:
    """A layer whose threshold is |value| of `bottom` at `index`."""
    return layer(f"{name}{index}", "InnerProduct", bottom, f"{name}{index}", "inner_product_param { num_output: 1 }")


def probes(bottom: str, name: str = "probe") -> str:
    return "".join(probe(bottom, index, name) for index in range(4))


def seen(outcome: Outcome, name: str = "probe") -> list[float]:
    """What the four probes saw, without signs."""
    found = {record.layer.name: record.th_out for record in outcome.records}
    return [round(found[f"{name}{index}"] or 0.0, 5) for index in range(4)]


def thresholds(outcome: Outcome) -> dict[str, tuple[float | None, float | None]]:
    """Layer -> th_layer_in, th_layer_out."""
    rounded = lambda number: None if number is None else round(number, 5)  # noqa: E731
    return {each.layer.name: (rounded(each.th_in), rounded(each.th_out)) for each in outcome.records}


def times(weight: float, bias: float = 0.0) -> Arrays:
    """The weights of a 1x1 convolution of one channel."""
    return np.full((1, 1, 1, 1), weight, np.float32), np.full(1, bias, np.float32)
