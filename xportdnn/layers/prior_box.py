"""PriorBox: default boxes for a feature map (prior_box_layer.cpp of the SSD fork; Liu et al., arXiv:1512.02325)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import written


@dataclass(frozen=True)
class Params:
    """Sizes and steps are in pixels of the image, offset in cells of the feature map."""

    min_size: tuple[float, ...] = ()
    max_size: tuple[float, ...] = ()
    aspect_ratio: tuple[float, ...] = ()
    flip: bool = True
    clip: bool = False
    variance: tuple[float, ...] = ()
    img_size: Uint | None = None
    img_h: Uint | None = None
    img_w: Uint | None = None
    step: float | None = None
    step_h: float | None = None
    step_w: float | None = None
    offset: float = 0.5


def aspect_ratios(p: Params) -> list[float]:
    """The width:height ratios other than 1, each followed by its inverse if `flip`; what is there already is skipped.

    Raises:
        LayerError: a ratio that is not positive.
    """
    ratios = [1.0]
    for ratio in p.aspect_ratio:
        if ratio <= 0:
            raise LayerError(f"aspect_ratio {ratio:g} is not positive; give width divided by height")
        if all(abs(ratio - known) >= 1e-6 for known in ratios):
            ratios += (ratio, 1 / ratio) if p.flip else (ratio,)
    return ratios[1:]


def box_sizes(p: Params) -> list[tuple[float, float]]:
    """Width and height in pixels of the boxes around one cell, in SSD's order.

    For every min_size the square of that side, the square of side sqrt(min_size * max_size), then min_size in every
    other aspect ratio. SSD keeps the sizes as integers, so 60.8 counts as 60.

    Raises:
        LayerError: sizes that make no boxes.
    """
    if not p.min_size:
        raise LayerError("prior_box_param has no min_size; give at least one, in pixels")
    if min(p.min_size) < 1:
        raise LayerError(f"min_size {min(p.min_size):g} is below 1 pixel; sizes are pixels of the image")
    if p.max_size and len(p.max_size) != len(p.min_size):
        raise LayerError(f"{len(p.max_size)} max_size for {len(p.min_size)} min_size; give none, or one for each")
    sizes: list[tuple[float, float]] = []
    for index, smallest in enumerate(p.min_size):
        side = math.trunc(smallest)
        sizes.append((side, side))
        if p.max_size:
            largest = p.max_size[index]
            if largest <= smallest:
                raise LayerError(f"max_size {largest:g} is not above its min_size {smallest:g}; exchange or raise it")
            between = math.sqrt(side * math.trunc(largest))
            sizes.append((between, between))
        sizes += ((side * math.sqrt(ratio), side / math.sqrt(ratio)) for ratio in aspect_ratios(p))
    return sizes


def variances(p: Params) -> tuple[float, ...]:
    """One factor for each of xmin, ymin, xmax and ymax.

    Raises:
        LayerError: neither 1 nor 4 are given, or one is not positive.
    """
    given = p.variance or (0.1,)
    if len(given) not in (1, 4):
        raise LayerError(f"prior_box_param has {len(given)} variance entries; give 1 or 4")
    if min(given) <= 0:
        raise LayerError(f"variance {min(given):g} is not positive; usual are 0.1, 0.1, 0.2, 0.2")
    return given * (4 // len(given))


def height_and_width(
    name: str, both: float | None, height: float | None, width: float | None
) -> tuple[float, float] | None:
    """What `img_size` or `step` and their `_h` and `_w` say; None where they say nothing.

    Raises:
        LayerError: given twice, by half, or not positive.
    """
    if height is None and width is None:
        height = width = both
    elif both is not None:
        raise LayerError(f"{name} {both:g} stands beside its _h and _w forms; keep the one or the two")
    if height is None and width is None:
        return None
    if height is None or width is None:
        raise LayerError(f"{name} is given for one direction only; add the other of its _h and _w forms")
    if min(height, width) <= 0:
        raise LayerError(f"{name} {min(height, width):g} is not positive; leave it out to take it from the bottoms")
    return height, width


def image_and_step(p: Params, bottoms: Shapes) -> tuple[tuple[float, float], tuple[float, float]]:
    """Height and width in pixels of the image and of a cell; where not given, from the data and the feature map.

    Raises:
        LayerError: see `height_and_width`; or a bottom without height and width.
    """
    feature_map, data = bottoms
    if len(feature_map) != 4:
        raise LayerError(f"bottom 0 is {written(feature_map)}; PriorBox needs a feature map of 4 axes")
    image = height_and_width("img_size", p.img_size, p.img_h, p.img_w)
    if image is None and len(data) != 4:
        raise LayerError(f"bottom 1 is {written(data)}; give PriorBox the data with 4 axes, or img_h and img_w")
    image = image or (data[2], data[3])
    step = height_and_width("step", p.step, p.step_h, p.step_w)
    return image, step or (image[0] / feature_map[2], image[1] / feature_map[3])


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """(1, 2, height * width * boxes per cell * 4).

    Raises:
        LayerError: parameters that SSD refuses or that make no boxes.
    """
    image_and_step(p, bottoms)
    variances(p)
    return ((1, 2, math.prod(bottoms[0][2:]) * len(box_sizes(p)) * 4),)


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """Row 0: xmin, ymin, xmax, ymax of every box as fractions of the image, cell by cell; row 1: their variances."""
    feature_map, data = bottoms
    image, step = image_and_step(p, (feature_map.shape, data.shape))
    y, x = (step[axis] * (np.arange(feature_map.shape[2 + axis]) + p.offset) for axis in (0, 1))
    centers = np.stack(np.meshgrid(x, y), axis=-1)[:, :, np.newaxis]
    halves = np.array(box_sizes(p)) / 2
    boxes = np.concatenate((centers - halves, centers + halves), axis=-1) / (*image[::-1], *image[::-1])
    if p.clip:
        boxes = boxes.clip(0, 1)
    top = np.empty((1, 2, boxes.size), np.float32)
    top[0, 0] = boxes.ravel()
    top[0, 1] = np.tile(variances(p), boxes.size // 4)
    return (top,)


KIND = LayerKind("PriorBox", Params, shape, forward, field="prior_box_param", bottoms=(2, 2), sizes_only=True)
