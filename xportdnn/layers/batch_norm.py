"""BatchNorm: (x - mean) / sqrt(variance + eps) for every channel (caffe batch_norm_layer.cpp).

Blobs: sums of means and variances over training, and the factor by which both must be divided.
"""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.decode import as_float
from xportdnn.errors import LayerError
from xportdnn.kernels import along
from xportdnn.layers import Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.prototxt import Message
from xportdnn.shapes import written


@dataclass(frozen=True)
class Params:
    """`use_global_stats` is true unless it says false; the moving average moves in training only."""

    use_global_stats: bool = True
    moving_average_fraction: float = 0.999
    eps: float = 1e-5

    IGNORED = ("engine",)


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """The bottom's.

    Raises:
        LayerError: the bottom has no channel axis.
    """
    if len(bottoms[0]) < 2:
        raise LayerError(f"the bottom must have a channel axis (axis 1), it is {written(bottoms[0])}; reshape it")
    return bottoms


def blobs(p: Params, bottoms: Shapes) -> Shapes:
    """Sum of means, sum of variances, and the factor."""
    channels = shape(p, bottoms)[0][1]
    return ((channels,), (channels,), (1,))


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """With `use_global_stats: false` the batch's own mean and biased variance count, in the TEST phase too."""
    (x,) = bottoms
    if p.use_global_stats:
        total, total_variance, (count,) = (blob.astype(np.float64) for blob in blobs)
        factor = 1 / count if count else 0.0
        mean, variance = along(total * factor, 1, x.ndim), along(total_variance * factor, 1, x.ndim)
    else:
        axes = (0, *range(2, x.ndim))
        mean = x.mean(axis=axes, dtype=np.float64, keepdims=True)
        variance = ((x - mean) ** 2).mean(axis=axes, keepdims=True)
    top = x - mean.astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        top /= np.sqrt(variance + p.eps).astype(np.float32)
    return (top,)


def doubt(layer: Message) -> str:
    """The statistics are no learned parameters: Caffe wants their learning rates to be 0.

    It puts the three rates of older files right by itself (upgrade_proto.cpp, UpgradeNetBatchNorm).

    Raises:
        LayerError: a rate that is no number.
    """
    params = layer.messages("param")
    rates = [as_float(rate, "lr_mult") for param in params for rate in param.all("lr_mult")]
    if len(params) == 3 or not any(rates):
        return ""
    return "lr_mult of a BatchNorm param must be 0, its blobs are statistics; set lr_mult: 0"


KIND = LayerKind("BatchNorm", Params, shape, forward, field="batch_norm_param", blobs=blobs, doubt=doubt)
