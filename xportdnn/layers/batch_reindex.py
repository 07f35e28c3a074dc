"""BatchReindex: images chosen, repeated and reordered by their index (caffe batch_reindex_layer.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import written


@dataclass(frozen=True)
class Params:
    """BatchReindex has no parameters."""


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The first bottom's with as many images as the second has indices.

    Raises:
        LayerError: the second bottom has another number of axes than one, or the first has none.
    """
    bottom, index = bottoms
    if len(index) != 1:
        raise LayerError(f"bottom 1 is {written(index)}; BatchReindex needs indices along a single axis")
    if not bottom:
        raise LayerError("bottom 0 has no axes; BatchReindex needs a batch to choose from")
    return (index + bottom[1:],)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """Fractions of an index are dropped.

    Raises:
        LayerError: an index outside the batch.
    """
    x, index = bottoms
    outside = index[~((index >= 0) & (index < len(x)))]
    if outside.size:
        raise LayerError(f"index {outside[0]:g} in bottom 1 is outside the batch of {len(x)}; use 0 to {len(x) - 1}")
    return (x[index.astype(np.intp)],)


KIND = LayerKind("BatchReindex", Params, shape, forward, bottoms=(2, 2), ties="first")
