"""Upsample, two layers of one name.

With a second bottom, the mask of a MAX pooling, every value goes back to the place that the pooling took it from and
all other places are 0 (caffe-segnet upsample_layer.cpp; SegNet, ENet). With one bottom, every cell becomes a square of
`scale` x `scale` cells (the YOLO forks).
"""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.kernels import four_axes, per_axis
from xportdnn.layers import Array, Arrays, LayerKind, Shape, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import written


@dataclass(frozen=True)
class Params:
    scale: Uint | None = None
    scale_h: Uint | None = None
    scale_w: Uint | None = None
    pad_out_h: bool = False
    pad_out_w: bool = False
    upsample_h: Uint | None = None
    upsample_w: Uint | None = None


def masked_size(p: Params, size: Shape) -> Shape:
    """(height, width) of the top of the form with a mask.

    Raises:
        LayerError: fields that are missing, too small or contradict each other.
    """
    if p.upsample_h is not None and p.upsample_w is not None:
        if min(p.upsample_h, p.upsample_w) < 2:
            raise LayerError(f"upsample_h ({p.upsample_h}) and upsample_w ({p.upsample_w}) must be at least 2")
        return (p.upsample_h, p.upsample_w)
    if p.upsample_h is not None or p.upsample_w is not None:
        raise LayerError("upsample_h and upsample_w need each other; give both, or scale")
    scale = () if p.scale is None else (p.scale,)
    scales = per_axis("scale", scale, (p.scale_h, p.scale_w), 2, default=2, least=2)
    cuts = (p.pad_out_h, p.pad_out_w)
    for axis, factor, cut in zip("hw", scales, cuts, strict=True):
        if cut and factor != 2:
            raise LayerError(f"pad_out_{axis} needs a scale of 2, not {factor}; give upsample_h and upsample_w")
    return tuple(length * factor - cut for length, factor, cut in zip(size, scales, cuts, strict=True))


def repeated_size(p: Params, size: Shape) -> Shape:
    """(height, width) of the top of the form without a mask.

    Raises:
        LayerError: no scale, or fields that only the form with a mask has.
    """
    if p != Params(scale=p.scale):
        raise LayerError("with one bottom only scale counts; remove the other fields or add the pooling mask as bottom")
    if not p.scale:
        raise LayerError("scale is missing or 0; with one bottom the forks do not agree on its default, give it")
    return tuple(length * p.scale for length in size)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """(num, channels, height, width) after either form's rule.

    Raises:
        LayerError: fields of the other form, a mask of another shape, or a bottom without 4 axes.
    """
    num, channels, *size = four_axes(bottoms[0])
    if len(bottoms) == 1:
        return ((num, channels, *repeated_size(p, tuple(size))),)
    if bottoms[1] != bottoms[0]:
        raise LayerError(f"the mask is {written(bottoms[1])} but the bottom {written(bottoms[0])}; they must be equal")
    return ((num, channels, *masked_size(p, tuple(size))),)


def unpool(x: Array, mask: Array, top: Shape) -> Array:
    """The values of `x` at the places in `mask`, zeros elsewhere; of several values at one place the last one stays.

    Raises:
        LayerError: a place outside the top.
    """
    num, channels, height, width = top
    wrong = ~((mask > -1) & (mask < height * width))
    if wrong.any():
        raise LayerError(
            f"the mask holds {mask[wrong][0]:g}, a place in {height}x{width} is 0 to {height * width - 1}; "
            "give upsample_h and upsample_w of the bottom of the pooling"
        )
    planes = np.zeros((num * channels, height * width), np.float32)
    places = mask.reshape(len(planes), -1).astype(np.int64)
    planes[np.arange(len(planes))[:, None], places] = x.reshape(places.shape)
    return planes.reshape(top)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    (top,) = shape(p, tuple(bottom.shape for bottom in bottoms))
    if len(bottoms) == 2:
        return (unpool(*bottoms, top),)
    (x,) = bottoms
    scale = top[2] // x.shape[2]
    return (x.repeat(scale, axis=2).repeat(scale, axis=3),)


KIND = LayerKind("Upsample", Params, shape, forward, field="upsample_param", bottoms=(1, 2))
