"""The numbers behind the fl_params, batchnorm_..._fl and scale_..._fl of a DynamicFixed block.

What rounding them costs is the squared error. But mean and variance of a BatchNorm count by what they do to the output
of the Scale behind it: an error is larger by as much as gamma / sqrt(variance + eps) is in that channel. And where one
format serves weights and bias, as in Ristretto, an error of a weight counts as often as the number that it multiplies
is larger than 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import partial

from xportdnn.fractions import Cost, Quality, quality_of, squared_distance
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
        power: what the cost is to be compared with: the power of what the values do.
    """

    layer: Layer
    field: str
    values: Array = attribute(repr=False)
    cost: Cost = attribute(repr=False)
    power: float

    def quality(self, bits: int, fl: int) -> Quality:
        """Of a format."""
        return quality_of(self.values, bits, fl, self.cost, self.power)


def parameters(
    net: Net, layer: Layer, names: tuple[str, ...], weights: Mapping[int, Arrays], read_power: float | None = None
) -> Iterator[Parameter]:
    """Those of a layer, in the order of its block.

    Args:
        names: the block's fields.
        weights: arrays by layer index.
        read_power: the mean square of what the layer reads, where fl_params is the format of the bias, too.
    """
    arrays = _arrays(net, layer, weights)
    for name in own_fields(names):
        # what a Scale without bias_term or with a second bottom does not have is 0
        values = arrays.get(name, np.zeros(1, np.float32))
        if name == "fl_params" and read_power is not None and len(weights[layer.index]) > 1:
            yield _with_bias(layer, weights[layer.index], read_power)
        elif name in ("batchnorm_mean_fl", "batchnorm_variance_fl"):
            yield _normalising(net, layer, name, arrays, weights)
        else:
            yield Parameter(layer, name, values, partial(squared_distance, values), squared_distance(values, 0))


def _with_bias(layer: Layer, blobs: Arrays, read_power: float) -> Parameter:
    """Weights and bias in one row. Both add to the sum, the weights times what is read."""
    values = np.concatenate([blob.ravel() for blob in blobs])
    count = blobs[0].size

    def cost(trimmed: Array) -> float:
        weights, bias = (squared_distance(trimmed[part], values[part]) for part in (slice(count), slice(count, None)))
        return read_power * weights + bias

    return Parameter(layer, "fl_params", values, cost, cost(np.zeros_like(values)))


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


def _normalising(
    net: Net, layer: Layer, name: str, arrays: Mapping[str, Array], weights: Mapping[int, Arrays]
) -> Parameter:
    """Mean or variance. The cost is the squared error of gamma * (x - mean) / sqrt(variance + eps), x being one
    deviation away from the mean, as it is on the average.
    """
    mean, variance = arrays["batchnorm_mean_fl"], arrays["batchnorm_variance_fl"]
    deviations, gamma = _deviations(layer, variance), _gamma(net, layer, weights)
    everywhere = gamma * np.ones_like(deviations)

    def of_mean(trimmed: Array) -> float:
        return squared_distance(gamma * trimmed / deviations, gamma * mean / deviations)

    def of_variance(trimmed: Array) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.minimum(deviations / _deviations(layer, trimmed), _REACH)
        return squared_distance(gamma * ratio, everywhere)

    if name == "batchnorm_mean_fl":
        return Parameter(layer, name, mean, of_mean, of_mean(np.zeros_like(mean)))
    return Parameter(layer, name, variance, of_variance, squared_distance(everywhere, 0))
