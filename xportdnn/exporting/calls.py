"""Each layer type in integers as a call of the C reference: which file of `c/calls`, and what to fill in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from xportdnn.arithmetic import threshold
from xportdnn.arithmetic.products import bound, peak
from xportdnn.errors import LayerError
from xportdnn.exporting.literals import real, whole, wholes
from xportdnn.kernels import Windows
from xportdnn.layers import Shape, convolution, crop, permute, pooling
from xportdnn.layers import slice as cuts
from xportdnn.lazy import np
from xportdnn.network import Layer
from xportdnn.shapes import axis_index, axis_or_legacy, written
from xportdnn.simulation.formats import Threshold, Whole
from xportdnn.simulation.integer.jobs import Job
from xportdnn.simulation.integer.requantization import Requantization, between, by_ratio, quotient

_ROOM = 1 << 62


class Call(NamedTuple):
    """A file of `c/calls` and its fields; `$bottom`, `$bottoms` and `$top` are filled in by the program."""

    name: str
    fields: Mapping[str, Any]


class Place(NamedTuple):
    """A layer with what its C call depends on.

    Attributes:
        bottoms, top: shapes.
        source, out: the formats of its bottoms and its top; the same where it computes in float.
        job: its weights in integers.
        symbol: the beginning of the names of its arrays.
    """

    layer: Layer
    bottoms: Sequence[Shape]
    top: Shape
    source: Whole
    out: Whole
    job: Job | None
    symbol: str


def converted(source: Whole, out: Whole, count: int) -> Call:
    """From one format to another."""
    return Call("convert", {"count": count} | _rescaled(source, out))


def quantized(out: Whole, count: int) -> Call:
    """Floats to integers."""
    least, greatest = out.limits
    if isinstance(out, Threshold):
        step = float(threshold.divisor(out.th, out.bits))
        limits = {"threshold": real(out.th), "step": real(step), "greatest": whole(greatest)}
        return Call("by_threshold", {"count": count} | limits)
    limits = {"two_to_fl": real(math.ldexp(1, out.fl)), "least": whole(least), "greatest": whole(greatest)}
    return Call("by_fraction", {"count": count} | limits)


def dequantized(source: Whole, count: int) -> Call:
    """Integers to floats."""
    return Call("to_real", {"count": count, "step": real(source.step)})


def in_integers(place: Place) -> Call:
    """A layer in integers.

    Raises:
        LayerError: the reference has no such call, or a sum could leave 64 bits.
    """
    if place.job is not None:
        return _with_weights(place, place.job)
    assert place.layer.kind is not None
    return _INTEGERS[place.layer.kind.name](place)


def moved(layer: Layer, bottoms: Sequence[Shape], top: Shape, index: int) -> Call:
    """A layer that only moves cells.

    Args:
        bottoms: also those whose numbers do not count.
        index: of the top.

    Raises:
        LayerError: the reference has no such call.
    """
    assert layer.kind is not None
    name, first, params = layer.kind.name, bottoms[0], layer.params
    if name == "Concat":
        axis = axis_or_legacy(first, params.axis, params.concat_dim, "concat_dim")
        lengths = [math.prod(shape[axis:]) for shape in bottoms]
        rows = math.prod(first[:axis])
        return Call("concat", {"rows": rows, "bottom_count": len(bottoms), "lengths": wholes(lengths)})
    if name == "Permute":
        order = permute.order(params, len(first))
        return Call("permute", {"axes": len(order), "shape": wholes(first), "order": wholes(order)})
    if name == "Crop":
        return _cut(first, top, [part.start or 0 for part in crop.window(params, first, bottoms[1])])
    if name == "Slice":
        axis = axis_or_legacy(first, params.axis, params.slice_dim, "slice_dim")
        starts = [0] * len(first)
        starts[axis] = (0, *cuts.points(params, first[axis]))[index]
        return _cut(first, top, starts)
    if name in ("Flatten", "Reshape", "Dropout", "Split"):
        return Call("copy", {"count": math.prod(first)})
    raise LayerError(f"the C reference has no {name}")


def _cut(bottom: Shape, top: Shape, starts: Sequence[int]) -> Call:
    fields = {"shape": wholes(bottom), "size": wholes(top), "offset": wholes(starts)}
    return Call("crop", {"axes": len(bottom)} | fields)


def _with_weights(place: Place, job: Job) -> Call:
    assert place.layer.kind is not None
    bottom, requantization = place.bottoms[0], job.requantization
    _check_room(place.source, 1 if job.weights is None else bound(job.weights, 1), requantization)
    arrays = {
        "factor": f"{place.symbol}__multiplier",
        "offset": f"{place.symbol}__bias",
        "lengths": len(requantization.factor),
    } | _limits(requantization)
    name, weights = place.layer.kind.name, {"weights": f"{place.symbol}__weights"}
    if name in ("Convolution", "Deconvolution"):
        return Call("convolution", arrays | weights | convolved(place.layer, bottom, place.top))
    if name == "InnerProduct":
        return Call("inner_product", arrays | weights | product(place.layer, bottom))
    if name in ("BatchNorm", "Scale") and len(bottom) > 1:
        return Call("affine", arrays | {"num": bottom[0], "channels": bottom[1], "inner": math.prod(bottom[2:])})
    raise LayerError(f"the C reference has no {name} of a bottom without channels")


def _pooling(place: Place) -> Call:
    windows = pooling.windows_of(place.layer.params, place.bottoms[0][2:])
    is_maximum = place.layer.params.pool == "MAX"
    fields = _rescaled(place.source, place.out)
    if not is_maximum:
        ratio, largest = _ratio(place.source, place.out), _largest(place.source)
        cells = math.prod(windows.kernel)
        if (cells * largest * peak(ratio.factor) << max(0, 1 - ratio.places)) + (
            cells << max(0, ratio.places)
        ) >= _ROOM:
            raise LayerError("a sum could leave 64 bits in C; use fewer bits")
    how = {"how": "maximum" if is_maximum else "average"}
    return Call("pooling", how | fields | windowed(place.bottoms[0], place.top, windows))


def _eltwise(place: Place) -> Call:
    params, count = place.layer.params, len(place.bottoms)
    sizes = {"count": math.prod(place.top), "bottom_count": count}
    if params.operation == "MAX":
        return Call("maximum", sizes | _rescaled(place.source, place.out))
    if params.operation == "PROD":
        raise LayerError("the C reference has no Eltwise PROD in integers")
    if params.coeff:
        ratio = by_ratio(
            np.asarray(params.coeff, np.float64) * quotient(place.source, place.out), np.zeros(1), place.out
        )
        coefficients = ratio.factor.tolist()
        requantization = Requantization(np.ones(1, np.int64), np.zeros(1, np.int64), ratio.places, place.out)
    else:
        coefficients, requantization = [1] * count, _ratio(place.source, place.out)
    _check_room(place.source, sum(map(abs, coefficients)), requantization)
    fields = {"factor": wholes(requantization.factor.tolist())} | _limits(requantization)
    return Call("sum", sizes | fields | {"coefficients": wholes(coefficients)})


def _relu(place: Place) -> Call:
    fields = {"count": math.prod(place.top)} | _rescaled(place.source, place.out)
    slope = place.layer.params.negative_slope
    if not slope:
        return Call("relu", fields)
    below = by_ratio(np.array([slope * quotient(place.source, place.out)]), np.zeros(1), place.out)
    _check_room(place.source, 1, below)
    return Call("leaky_relu", fields | {"slope": wholes(below.factor.tolist()), "slope_places": below.places})


_INTEGERS: Mapping[str, Callable[[Place], Call]] = {"Pooling": _pooling, "Eltwise": _eltwise, "ReLU": _relu}
INTEGERS = frozenset(_INTEGERS)


def convolved(layer: Layer, bottom: Shape, top: Shape) -> dict[str, Any]:
    """The fields of a Convolution or Deconvolution that are no arrays.

    Raises:
        LayerError: it has other axes than the reference, or several bottoms.
    """
    assert layer.kind is not None
    params = layer.params
    if len(layer.bottoms) > 1 or len(bottom) != 4 or params.axis not in (1, -3):
        raise LayerError(
            f"the C reference has a {layer.kind.name} of one bottom (num, channels, height, width) alone, this one has "
            f"{len(layer.bottoms)} of {written(bottom)}, the channels on axis {params.axis}"
        )
    windows = convolution.windows_of(params, bottom)
    shapes = {"num_output": params.num_output, "group": params.group, "dilation": wholes(windows.dilation)}
    return {"how": layer.kind.name.lower()} | shapes | windowed(bottom, top, windows)


def product(layer: Layer, bottom: Shape) -> dict[str, Any]:
    """The fields of an InnerProduct that are no arrays."""
    axis = axis_index(bottom, layer.params.axis)
    sizes = {"rows": math.prod(bottom[:axis]), "inputs": math.prod(bottom[axis:]), "outputs": layer.params.num_output}
    return sizes | {"transposed": int(layer.params.transpose)}


def windowed(bottom: Shape, top: Shape, windows: Windows) -> dict[str, Any]:
    """Windows and what they are laid over."""
    sizes = {"num": bottom[0], "channels": bottom[1], "size": wholes(bottom[2:]), "top_size": wholes(top[2:])}
    return sizes | {name: wholes(getattr(windows, name)) for name in ("kernel", "stride", "pad")}


def _ratio(source: Whole, out: Whole) -> Requantization:
    one = np.ones(1, np.int64)
    return Requantization(one, one - 1, 0, out) if source == out else between(source, out)


def _rescaled(source: Whole, out: Whole) -> dict[str, Any]:
    requantization = _ratio(source, out)
    _check_room(source, 1, requantization)
    return {"factor": wholes(requantization.factor.tolist())} | _limits(requantization)


def _limits(requantization: Requantization) -> dict[str, Any]:
    least, greatest = requantization.out.limits
    return {"places": requantization.places, "least": whole(least), "greatest": whole(greatest)}


def _largest(source: Whole) -> int:
    return max(map(abs, source.limits))


def _check_room(source: Whole, weight: int, requantization: Requantization) -> None:
    """No bottom of the format may lead to more than 62 bits.

    Raises:
        LayerError: one may.
    """
    sums = weight * _largest(source) * peak(requantization.factor) + peak(requantization.offset)
    if sums << max(0, -requantization.places) >= _ROOM:
        raise LayerError("a sum could leave 64 bits in C; use fewer bits")
