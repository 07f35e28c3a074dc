"""Each layer type in float as a call of the C reference: which file of `c/calls`, and what to fill in.

A layer computes in float where it has no block, as all that Ristretto does not quantize, or where its block does not
say enough for integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from xportdnn.errors import LayerError
from xportdnn.exporting.calls import Call, convolved, product, windowed
from xportdnn.exporting.literals import real, reals
from xportdnn.layers import Shape, bias, clip, pooling
from xportdnn.network import Layer
from xportdnn.shapes import axis_index


class Real(NamedTuple):
    """A layer that computes in float.

    Attributes:
        bottoms, top: shapes.
        symbol: the beginning of the names of its arrays.
        blobs: how many arrays it has.
    """

    layer: Layer
    bottoms: Sequence[Shape]
    top: Shape
    symbol: str
    blobs: int

    def array(self, index: int, name: str) -> str:
        """The array of a blob; no address where it has none."""
        return f"{self.symbol}__{name}" if index < self.blobs else "NULL"


def in_float(place: Real) -> Call:
    """A layer in float.

    Raises:
        LayerError: the reference has no such call.
    """
    assert place.layer.kind is not None
    rule = _RULES.get(place.layer.kind.name)
    if rule is None:
        raise LayerError(f"the C reference has no {place.layer.kind.name} in float")
    if len(place.layer.tops) > 1:
        raise LayerError(f"the C reference has no {place.layer.kind.name} of several tops in float")
    return rule(place)


def _convolution(place: Real) -> Call:
    arrays = {"weights": place.array(0, "weights"), "bias": place.array(1, "bias")}
    return Call("real_convolution", arrays | convolved(place.layer, place.bottoms[0], place.top))


def _inner_product(place: Real) -> Call:
    arrays = {"weights": place.array(0, "weights"), "bias": place.array(1, "bias")}
    return Call("real_inner_product", arrays | product(place.layer, place.bottoms[0]))


def _pooling(place: Real) -> Call:
    bottom = place.bottoms[0]
    windows = pooling.windows_of(place.layer.params, bottom[2:])
    how = {"how": "maximum" if place.layer.params.pool == "MAX" else "average"}
    return Call("real_pooling", how | windowed(bottom, place.top, windows))


def _eltwise(place: Real) -> Call:
    params, sizes = place.layer.params, {"count": math.prod(place.top), "bottom_count": len(place.bottoms)}
    if params.operation == "SUM":
        return Call("real_sum", sizes | {"coefficients": reals(params.coeff or [1.0] * len(place.bottoms))})
    return Call("real_eltwise", sizes | {"how": "maximum" if params.operation == "MAX" else "product"})


def _batch_norm(place: Real) -> Call:
    params = place.layer.params
    if not params.use_global_stats:
        raise LayerError("the C reference has no BatchNorm with use_global_stats: false")
    names = {"mean": "mean", "variance": "variance", "total": "count"}
    arrays = {field: place.array(index, name) for index, (field, name) in enumerate(names.items())}
    return Call("real_batch_norm", arrays | _channels(place.bottoms[0], 1, 1) | {"eps": real(params.eps)})


def _scale(place: Real) -> Call:
    if len(place.bottoms) > 1:
        raise LayerError("the C reference has no Scale of two bottoms")
    params, (bottom,) = place.layer.params, place.bottoms
    blob = bias.covered((bottom,), params.axis, params.num_axes)
    sizes = _channels(bottom, bias.first_axis(bottom, blob, params.axis), len(blob))
    return Call("real_scale", sizes | {"gamma": place.array(0, "gamma"), "beta": place.array(1, "beta")})


def _prelu(place: Real) -> Call:
    axes = 0 if place.layer.params.channel_shared else 1
    return Call("real_prelu", _channels(place.bottoms[0], axes, axes) | {"slope": place.array(0, "0")})


def _relu(place: Real) -> Call:
    return Call("real_relu", {"count": math.prod(place.top), "slope": real(place.layer.params.negative_slope)})


def _clip(place: Real) -> Call:
    assert place.layer.kind is not None
    least, greatest = (0.0, 6.0) if place.layer.kind.name == "ReLU6" else clip.limits(place.layer.params)
    return Call("real_clip", {"count": math.prod(place.top), "least": real(least), "greatest": real(greatest)})


def _softmax(place: Real) -> Call:
    (bottom,) = place.bottoms
    axis = axis_index(bottom, place.layer.params.axis)
    sizes = {"outer": math.prod(bottom[:axis]), "length": bottom[axis], "inner": math.prod(bottom[axis + 1 :])}
    return Call("real_softmax", sizes)


def _lrn(place: Real) -> Call:
    params, (bottom,) = place.layer.params, place.bottoms
    if params.norm_region != "ACROSS_CHANNELS":
        raise LayerError(f"the C reference has no LRN {params.norm_region}")
    numbers = {name: real(getattr(params, name)) for name in ("alpha", "beta", "k")}
    return Call("real_lrn", _planes(bottom) | {"size": params.local_size} | numbers)


def _normalize(place: Real) -> Call:
    params, (bottom,) = place.layer.params, place.bottoms
    how = {"across_spatial": int(params.across_spatial), "shared": int(params.channel_shared)}
    return Call("real_normalize", _planes(bottom) | how | {"eps": real(params.eps), "scale": place.array(0, "0")})


_Rule: TypeAlias = Callable[[Real], Call]
_RULES: Mapping[str, _Rule] = {
    "BatchNorm": _batch_norm,
    "Clip": _clip,
    "Convolution": _convolution,
    "Deconvolution": _convolution,
    "Eltwise": _eltwise,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "Normalize": _normalize,
    "PReLU": _prelu,
    "Pooling": _pooling,
    "ReLU": _relu,
    "ReLU6": _clip,
    "Scale": _scale,
    "Softmax": _softmax,
}


def _planes(bottom: Shape) -> dict[str, Any]:
    return {"num": bottom[0], "channels": bottom[1], "plane": math.prod(bottom[2:])}


def _channels(bottom: Shape, axis: int, axes: int) -> dict[str, Any]:
    """The axes that a blob of `axes` axes is laid over, from `axis` on, as one; and what is before and behind them."""
    sizes = bottom[:axis], bottom[axis : axis + axes], bottom[axis + axes :]
    return dict(zip(("num", "channels", "inner"), map(math.prod, sizes), strict=True))
