"""The numbers behind the fl_params, batchnorm_..._fl and scale_..._fl of a DynamicFixed block.

What rounding them costs is the squared error. But mean and variance of a BatchNorm count by what they do to the output
of the Scale behind it: an error is larger by as much as gamma / sqrt(variance + eps) is in that channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import partial

from xportdnn.fractions import Cost, squared_distance
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, Net
from xportdnn.plan import own_fields
from xportdnn.simulation.trimmed import moments

_REACH = 8.0  # deviations that a BatchNorm's top has room for: a variance rounded to 0 makes it saturate there


@dataclass(frozen=True)
class Parameter:
    """A layer's parameter that has a format.

    Attributes:
        field: the block's, of its fractional length.
        values: of at least one element.
        cost: of bringing the values into a format.
    """

    layer: Layer
    field: str
    values: Array = attribute(repr=False)
    cost: Cost = attribute(repr=False)


def parameters(
    net: Net, layer: Layer, names: tuple[str, ...], weights: Mapping[int, Arrays], with_bias: bool = False
) -> Iterator[Parameter]:
    """Those of a layer, in the order of its block.

    Args:
        names: the block's fields.
        weights: arrays by layer index.
        with_bias: fl_params is also the format of the bias.
    """
    arrays = _arrays(net, layer, weights)
    if with_bias and "fl_params" in arrays:
        arrays["fl_params"] = np.concatenate([blob.ravel() for blob in weights[layer.index]])
    costs = _normalising(net, layer, arrays, weights)
    for name in own_fields(names):
        # what a Scale without bias_term or with a second bottom does not have is 0
        values = arrays.get(name, np.zeros(1, np.float32))
        yield Parameter(layer, name, values, costs.get(name, partial(squared_distance, values)))


def _arrays(net: Net, layer: Layer, weights: Mapping[int, Arrays]) -> dict[str, Array]:
    assert layer.kind is not None
    blobs = weights[layer.index]
    if layer.kind.name == "BatchNorm":
        mean, variance = moments(blobs)
        return {"batchnorm_mean_fl": mean, "batchnorm_variance_fl": variance}
    if layer.kind.name != "Scale":
        return {"fl_params": blobs[0]} if blobs else {}
    if len(layer.bottoms) > 1:
        return {"scale_beta_fl": blobs[0]} if blobs else {}
    own = dict(zip(("scale_gamma_fl", "scale_beta_fl"), blobs, strict=False))
    return {**own, "scale_gamma_by_std_fl": _by_std(net, layer, blobs[0], weights)}


def _by_std(net: Net, scale: Layer, gamma: Array, weights: Mapping[int, Arrays]) -> Array:
    """gamma / sqrt(variance + eps) of the BatchNorm in front of a Scale; gamma where there is none."""
    before = net.layers[scale.bottoms[0].writer]
    if before.kind is None or before.kind.name != "BatchNorm" or not weights.get(before.index):
        return gamma
    return np.asarray(gamma / _deviations(before, moments(weights[before.index])[1]), np.float32)


def _deviations(batch_norm: Layer, variance: Array) -> Array:
    return np.asarray(np.sqrt(variance + np.float32(batch_norm.params.eps)))


def _gamma(net: Net, batch_norm: Layer, weights: Mapping[int, Arrays]) -> Array:
    """What a Scale multiplies the channels by that alone reads a BatchNorm's top; 1 where there is none."""
    readers = net.readers.get(batch_norm.tops[0], ())
    if len(readers) == 1 and readers[0].kind is not None and readers[0].kind.name == "Scale":
        gamma = _arrays(net, readers[0], weights).get("scale_gamma_fl")
        return gamma if gamma is not None else np.ones(1, np.float32)
    return np.ones(1, np.float32)


def _normalising(net: Net, layer: Layer, arrays: Mapping[str, Array], weights: Mapping[int, Arrays]) -> dict[str, Cost]:
    """The costs of mean and variance: the squared error of gamma * (x - mean) / sqrt(variance + eps), x being one
    deviation away from the mean, as it is on the average.
    """
    if "batchnorm_mean_fl" not in arrays:
        return {}
    mean, variance = arrays["batchnorm_mean_fl"], arrays["batchnorm_variance_fl"]
    deviations, gamma = _deviations(layer, variance), _gamma(net, layer, weights)

    def of_mean(trimmed: Array) -> float:
        return squared_distance(gamma * trimmed / deviations, gamma * mean / deviations)

    def of_variance(trimmed: Array) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.minimum(deviations / _deviations(layer, trimmed), _REACH)
        return squared_distance(gamma * ratio, gamma * np.ones_like(ratio))

    return {"batchnorm_mean_fl": of_mean, "batchnorm_variance_fl": of_variance}
