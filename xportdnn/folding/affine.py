"""Layers that only scale and shift: scale * x + shift with one factor and one summand per channel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from xportdnn.layers import Arrays, Shape
from xportdnn.layers.bias import first_axis
from xportdnn.lazy import np
from xportdnn.network import Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles: TypeAlias = NDArray[np.float64]


class RefusalError(Exception):
    """Why a layer cannot be folded; the plan turns it into a remark."""


class Affine(NamedTuple):
    """scale * x + shift; both float64 of shape (channels,)."""

    scale: Doubles
    shift: Doubles

    def then(self, after: Affine) -> Affine:
        """This, and `after` on the result."""
        return Affine(after.scale * self.scale, after.scale * self.shift + after.shift)


class _Spread(NamedTuple):
    """Factors and summands that lie over consecutive axes of the bottom, from `axis` on."""

    axis: int
    scale: Doubles
    shift: Doubles


def is_affine(layer: Layer) -> bool:
    """Whether a layer is of a type that may be folded: BatchNorm, BN, Scale, Bias, or Power with power 1."""
    return layer.kind is not None and layer.kind.name in _RULES and getattr(layer.params, "power", 1) == 1


def affine(layer: Layer, blobs: Arrays, bottom: Shape, axis: int) -> Affine:
    """What a layer does to every channel.

    Args:
        blobs: the layer's weights.
        bottom: shape of what it reads.
        axis: the channels' axis.

    Raises:
        RefusalError: it does something else, or not the same along the other axes.
    """
    assert layer.kind is not None
    if len(layer.bottoms) > 1:
        raise RefusalError("its factors are computed by the network: it reads them as its second bottom")
    spread = _RULES[layer.kind.name](layer.params, blobs, bottom)
    found = Affine(*(_per_channel(each, spread.axis, bottom, axis) for each in (spread.scale, spread.shift)))
    if not (np.isfinite(found.scale).all() and np.isfinite(found.shift).all()):
        raise RefusalError("its factors are not finite; the weights are damaged, or a variance is negative")
    return found


def _batch_norm(p: Any, blobs: Arrays, bottom: Shape) -> _Spread:
    """(x - mean) / sqrt(variance + eps), the sums divided by the third blob, or 0 where that is 0."""
    if not p.use_global_stats:
        raise RefusalError("use_global_stats is false: it normalizes by the statistics of each batch")
    total, total_variance, (count,) = (blob.astype(np.float64) for blob in blobs)
    factor = 1 / count if count else 0.0
    with np.errstate(all="ignore"):  # what is not finite is refused by the caller
        scale = 1 / np.sqrt(total_variance * factor + p.eps)
        return _Spread(1, scale, -total * factor * scale)


def _bn(p: Any, blobs: Arrays, bottom: Shape) -> _Spread:
    """SegNet's BN, in the mode in which its statistics are folded into its blobs already."""
    if p.bn_mode != "INFERENCE":
        raise RefusalError("its bn_mode is LEARN: it normalizes by the statistics of each batch")
    if len(bottom) != 4:
        raise RefusalError("it gives its bottom four axes")
    scale, shift = (blob.astype(np.float64).reshape(-1) for blob in blobs)
    return _Spread(1, scale, shift)


def _scale(p: Any, blobs: Arrays, bottom: Shape) -> _Spread:
    scale = blobs[0].astype(np.float64)
    shift = blobs[1].astype(np.float64) if p.bias_term else np.zeros_like(scale)
    return _Spread(first_axis(bottom, scale.shape, p.axis), scale, shift)


def _bias(p: Any, blobs: Arrays, bottom: Shape) -> _Spread:
    shift = blobs[0].astype(np.float64)
    return _Spread(first_axis(bottom, shift.shape, p.axis), np.ones_like(shift), shift)


def _power(p: Any, blobs: Arrays, bottom: Shape) -> _Spread:
    return _Spread(0, np.array(p.scale, np.float64), np.array(p.shift, np.float64))


_RULES: dict[str, Callable[[Any, Arrays, Shape], _Spread]] = {
    "BN": _bn,
    "BatchNorm": _batch_norm,
    "Bias": _bias,
    "Power": _power,
    "Scale": _scale,
}


def _per_channel(values: Doubles, start: int, bottom: Shape, axis: int) -> Doubles:
    """The one value of every channel, (channels,).

    Raises:
        RefusalError: there are several for a channel.
    """
    covered = range(start, start + values.ndim)
    others = math.prod(bottom[each] for each in covered if each != axis)
    if others != 1:
        raise RefusalError(f"its factors differ along other axes than the channels (axis {axis})")
    return values.reshape(-1) if axis in covered else np.full(bottom[axis], values.reshape(-1)[0])
