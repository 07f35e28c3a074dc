"""Reduction: all axes from `axis` on become one number (caffe reduction_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn import decode
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import axis_index


@dataclass(frozen=True)
class Params:
    # Caffe numbers the operations from 1.
    operation: str = decode.enum("", "SUM", "ASUM", "SUMSQ", "MEAN", default="SUM")
    axis: int = 0
    coeff: float = 1.0


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's axes before `axis`; for axis 0 none is left.

    Raises:
        LayerError: the bottom has no such axis, or operation 0, which Caffe does not have.
    """
    if not p.operation:
        raise LayerError("reduction_param operation 0 does not exist; use SUM, ASUM, SUMSQ or MEAN")
    (bottom,) = bottoms
    return (bottom[: axis_index(bottom, p.axis)],)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (x,) = bottoms
    (top,) = shape(p, (x.shape,))
    rows = x.reshape(*top, -1)
    if p.operation == "ASUM":
        rows = np.abs(rows)
    elif p.operation == "SUMSQ":
        rows = np.square(rows)
    reduced = rows.mean(axis=-1) if p.operation == "MEAN" else rows.sum(axis=-1)
    return (np.asarray(np.float32(p.coeff) * reduced),)


KIND = LayerKind("Reduction", Params, shape, forward, field="reduction_param")
