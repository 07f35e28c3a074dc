"""Interp: bilinear resizing that maps corners to corners (interp_layer.cpp of DeepLab, PSPNet and their forks).

Cell i of n lies at i * (m - 1) / (n - 1) of the m cells of the bottom.
"""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.errors import LayerError
from xportdnn.kernels import legacy_shape
from xportdnn.layers import Array, Arrays, LayerKind, Shape, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import written


@dataclass(frozen=True)
class Params:
    """Negative pads cut the bottom; a second bottom only lends its height and width."""

    height: int | None = None
    width: int | None = None
    zoom_factor: int | None = None
    shrink_factor: int | None = None
    pad_beg: int = 0
    pad_end: int = 0
    use_blob_size: bool = False


def inside(p: Params, bottom: Shape) -> Shape:
    """(height, width) of the part of the bottom that is resized.

    Raises:
        LayerError: positive pads, or nothing left.
    """
    if max(p.pad_beg, p.pad_end) > 0:
        raise LayerError(f"pad_beg ({p.pad_beg}) and pad_end ({p.pad_end}) can only cut; use 0 or less")
    size = tuple(length + p.pad_beg + p.pad_end for length in legacy_shape(bottom)[2:])
    if min(size) < 1:
        raise LayerError(f"pad_beg {p.pad_beg} and pad_end {p.pad_end} leave nothing of {written(bottom)}; cut less")
    return size


def top_size(p: Params, bottoms: Shapes) -> Shape:
    """(height, width), from the first that is given: second bottom by flag, one factor, fields, both factors, bottom.

    Raises:
        LayerError: nothing is given, or a value below 1.
    """
    for name in ("height", "width", "zoom_factor", "shrink_factor"):
        value = getattr(p, name)
        if value is not None and value < 1:
            raise LayerError(f"{name} must be at least 1, not {value}")
    if (p.height is None) != (p.width is None):
        raise LayerError("height and width need each other; give both")
    if p.use_blob_size and len(bottoms) == 1:
        raise LayerError("use_blob_size needs a second bottom; add it or give height and width")
    size = inside(p, bottoms[0])
    factors = [factor for factor in (p.zoom_factor, p.shrink_factor) if factor is not None]
    if p.use_blob_size or (len(bottoms) > 1 and not factors and p.height is None):
        return legacy_shape(bottoms[1])[2:]
    if p.height is not None and p.width is not None and len(factors) != 1:
        return (p.height, p.width)
    if not factors:
        raise LayerError("the size of the top is not given; add zoom_factor, shrink_factor, or height and width")
    shrunk = ((length - 1) // (p.shrink_factor or 1) + 1 for length in size)
    return tuple((length - 1) * (p.zoom_factor or 1) + 1 for length in shrunk)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """(num, channels, height, width): always 4 axes.

    Raises:
        LayerError: no size is given, or an impossible one.
    """
    return ((*legacy_shape(bottoms[0])[:2], *top_size(p, bottoms)),)


def resize(x: Array, axis: int, length: int) -> Array:
    """`x` with `length` cells along `axis`, between its first and its last."""
    last = x.shape[axis] - 1
    places = np.arange(length) * last / max(1, length - 1)
    below = places.astype(np.int64)
    above = np.minimum(below + 1, last)
    share = (places - below).astype(np.float32).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
    between: Array = x.take(below, axis) * (1 - share) + x.take(above, axis) * share
    return between


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    top = shape(p, tuple(bottom.shape for bottom in bottoms))[0]
    x = bottoms[0].reshape(legacy_shape(bottoms[0].shape))
    height, width = inside(p, x.shape)
    x = x[:, :, -p.pad_beg : height - p.pad_beg, -p.pad_beg : width - p.pad_beg]
    return (resize(resize(x, 2, top[2]), 3, top[3]),)


KIND = LayerKind("Interp", Params, shape, forward, field="interp_param", bottoms=(1, 2))
