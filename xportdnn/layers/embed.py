"""Embed: a row of the weights for every index in the bottom (caffe embed_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np


@dataclass(frozen=True)
class Params:
    num_output: Uint = 0
    input_dim: Uint = 0
    bias_term: bool = True

    IGNORED = ("weight_filler", "bias_filler")


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's, then num_output.

    Raises:
        LayerError: num_output or input_dim is missing.
    """
    for name, value in (("num_output", p.num_output), ("input_dim", p.input_dim)):
        if value < 1:
            raise LayerError(f"{name} is missing or 0; give a positive number")
    return ((*bottoms[0], p.num_output),)


def blobs(p: Params, bottoms: Shapes) -> Shapes:
    weight = (p.input_dim, p.num_output)
    return (weight, (p.num_output,)) if p.bias_term else (weight,)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """Caffe reads outside its weights where an index is too large.

    Raises:
        LayerError: an index outside `input_dim`.
    """
    (x,) = bottoms
    wrong = ~((x > -1) & (x < p.input_dim))
    if wrong.any():
        raise LayerError(f"the bottom holds {x[wrong][0]:g}, an index must be 0 to {p.input_dim - 1} (input_dim)")
    top = blobs[0][x.astype(np.int64)]
    return (top + blobs[1] if p.bias_term else top,)


KIND = LayerKind("Embed", Params, shape, forward, field="embed_param", blobs=blobs)
