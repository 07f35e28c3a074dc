"""Power: (shift + scale * x) ^ power (caffe power_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    power: float = 1.0
    scale: float = 1.0
    shift: float = 0.0


def shape(p: Params, bottoms: Shapes) -> Shapes:
    return bottoms


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """As `powf`: power 0 gives 1, a negative base under a fractional power NaN, zero under a negative one infinity."""
    (x,) = bottoms
    base = np.float32(p.scale) * x + np.float32(p.shift)
    if p.power == 1:
        return (base,)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return (np.power(base, np.float32(p.power)),)


KIND = LayerKind("Power", Params, shape, forward, field="power_param")
