"""The layers that the arithmetic of `integer` computes in integers.

Those with weights, BatchNorm and Scale are prepared as a `Job`. Those that the hardware ties to their bottoms' format
have a rule here that stays in that format: pooling with Caffe's own windows and divisors, Eltwise, ReLU and its like.
Each result is rounded once, half away from zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TypeAlias

from xportdnn.arithmetic import Int64s
from xportdnn.arithmetic.rounding import half_away
from xportdnn.errors import LayerError
from xportdnn.kernels import padded, reduce_windows
from xportdnn.layers import clip, pooling
from xportdnn.lazy import np
from xportdnn.network import Layer
from xportdnn.simulation.formats import Fixed, Whole
from xportdnn.simulation.integer.requantization import Requantization, between, by_ratio, by_shift, limited, quotient

Result: TypeAlias = tuple[Int64s, int]
Rule: TypeAlias = Callable[[Layer, Sequence[Int64s], Whole, Whole, bool], Result]
"""(layer, bottoms, their format, the top's, whether a ReLU hides what is below zero) -> top and what was cut off."""

_LEAST = -(1 << 62)


def converted(integers: Int64s, source: Whole, out: Whole, rectified: bool = False) -> Result:
    """The integers of one format in another."""
    if source == out:
        return limited(integers, out, rectified)
    return between(source, out).apply(integers, rectified=rectified)


def pool(layer: Layer, bottoms: Sequence[Int64s], source: Whole, out: Whole, rectified: bool) -> Result:
    """Pooling, windows clipped as Caffe clips them."""
    (images,) = bottoms
    params = layer.params
    windows = pooling.windows_of(params, images.shape[2:])
    counts = pooling.window_counts(params, windows, images.shape[2:])
    span = windows.span(counts)
    if params.pool == "MAX":
        planes = (padded(image, windows.pad, span, _LEAST) for image in images)
        maxima = np.stack([reduce_windows(np.maximum, each, windows, counts) for each in planes])
        return converted(maxima, source, out, rectified)
    sums = np.stack([reduce_windows(np.add, padded(image, windows.pad, span), windows, counts) for image in images])
    divisors = pooling.divisors(windows, images.shape[2:], counts)
    if divisors.min() < 1:
        raise LayerError("a window lies outside the bottom: its average is 0/0; use a smaller stride or a pad")
    ratio = between(source, out)
    factor, places = (1, 0) if source == out else (int(ratio.factor[0]), ratio.places)
    return limited(_divided(sums * factor << max(0, -places), divisors << max(0, places)), out, rectified)


def _divided(sums: Int64s, divisors: Int64s) -> Int64s:
    """Quotients rounded half away from zero."""
    sign = sums >> 63
    magnitude = (sums ^ sign) - sign
    quotient = (2 * magnitude + divisors) // (2 * divisors)
    return np.asarray((quotient ^ sign) - sign)


def eltwise(layer: Layer, bottoms: Sequence[Int64s], source: Whole, out: Whole, rectified: bool) -> Result:
    """The sum, product or maximum, in as many bits as it takes, then one rounding."""
    params = layer.params
    if params.operation == "MAX":
        return converted(reduce(np.maximum, bottoms), source, out, rectified)
    if params.operation == "PROD":
        if len(bottoms) * source.bits > 62:
            raise LayerError(f"a product of {len(bottoms)} bottoms of {source.bits} bits needs more than 62 bits")
        return _product(len(bottoms), source, out).apply(reduce(np.multiply, bottoms), rectified=rectified)
    if not params.coeff:
        return converted(reduce(np.add, bottoms), source, out, rectified)
    ratio = by_ratio(np.asarray(params.coeff, np.float64) * quotient(source, out), np.zeros(1), out)
    sums = reduce(np.add, (bottom * factor for bottom, factor in zip(bottoms, ratio.factor, strict=True)))
    shift = Requantization(np.ones(1, np.int64), np.zeros(1, np.int64), ratio.places, out)
    return shift.apply(sums, rectified=rectified)


def _product(count: int, source: Whole, out: Whole) -> Requantization:
    none = np.zeros(1, np.int64)
    if isinstance(source, Fixed) and isinstance(out, Fixed):
        return by_shift(none + 1, count * source.fl, none, 0, out)
    return by_ratio(np.array([source.step ** (count - 1) * quotient(source, out)]), np.zeros(1), out)


def relu(layer: Layer, bottoms: Sequence[Int64s], source: Whole, out: Whole, rectified: bool) -> Result:
    """max(x, 0), and negative_slope times what is below."""
    (x,) = bottoms
    slope = layer.params.negative_slope
    if not slope:
        return converted(np.maximum(x, 0), source, out)
    below = by_ratio(np.array([slope * quotient(source, out)]), np.zeros(1), out)
    lower, cut_below = below.apply(np.minimum(x, 0))
    upper, cut_above = converted(np.maximum(x, 0), source, out)
    return limited(lower + upper, out)[0], cut_below + cut_above


def limit(layer: Layer, bottoms: Sequence[Int64s], source: Whole, out: Whole, rectified: bool) -> Result:
    """ReLU6 and Clip: the limits rounded to whole steps."""
    (x,) = bottoms
    assert layer.kind is not None
    low, high = (0.0, 6.0) if layer.kind.name == "ReLU6" else clip.limits(layer.params)
    if not source.step:
        return converted(x, source, out)
    steps = half_away(np.clip(np.array([low, high]) / source.step, _LEAST, -_LEAST))
    return converted(np.clip(x, int(steps[0]), int(steps[1])), source, out)


RULES: Mapping[str, Rule] = {"Pooling": pool, "Eltwise": eltwise, "ReLU": relu, "ReLU6": limit, "Clip": limit}
