"""Eltwise: product, weighted sum or maximum of equal-sized blobs (caffe eltwise_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from xportdnn import decode
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import written


@dataclass(frozen=True)
class Params:
    operation: str = decode.enum("PROD", "SUM", "MAX", default="SUM")
    coeff: tuple[float, ...] = ()

    IGNORED = ("stable_prod_grad",)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The shape all bottoms have.

    Raises:
        LayerError: bottoms of different shapes (Caffe never broadcasts), or coefficients that do not fit.
    """
    first = bottoms[0]
    for index, other in enumerate(bottoms):
        if other != first:
            raise LayerError(
                f"bottom {index} is {written(other)} but bottom 0 is {written(first)}; Eltwise needs equal shapes"
            )
    if p.coeff and len(p.coeff) != len(bottoms):
        raise LayerError(f"{len(p.coeff)} coeff entries for {len(bottoms)} bottoms; give one for each bottom, or none")
    if p.coeff and p.operation == "PROD":
        raise LayerError(f"coeff {p.coeff[0]:g} is given for operation PROD; coefficients need operation SUM")
    return (first,)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """Caffe ignores the coefficients of a maximum, and so does this."""
    if p.operation == "PROD":
        return (reduce(np.multiply, bottoms),)
    if p.operation == "MAX":
        return (reduce(np.maximum, bottoms),)
    if p.coeff:
        return (reduce(np.add, (np.float32(coeff) * x for coeff, x in zip(p.coeff, bottoms, strict=True))),)
    return (reduce(np.add, bottoms),)


KIND = LayerKind("Eltwise", Params, shape, forward, field="eltwise_param", bottoms=(2, None), ties="all")
