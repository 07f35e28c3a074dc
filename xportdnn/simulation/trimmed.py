"""Weights as quantization leaves them, in float: what the arithmetic of `fake` multiplies with.

A bias has no format of its own in a `precision_param` block, in neither mode, and stays float here: that the board
keeps it at the resolution of the output is a limit of the board, not of the formats. Ristretto has one rule for weights
and bias.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from xportdnn.arithmetic import power_of_two, threshold
from xportdnn.arithmetic.rounding import Rounding
from xportdnn.choices import Mode
from xportdnn.errors import LayerError
from xportdnn.kernels import along
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation.formats import Block, Fixed, Format, Minifloat, fixed

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MULTIPLYING = ("Convolution", "Deconvolution", "InnerProduct")


class Trimmed(NamedTuple):
    """A layer's blobs, and how many of their values lay beyond their format."""

    blobs: Arrays
    clipped: int = 0


def trimmed(layer: Layer, blobs: Arrays, block: Block, rounding: Rounding, as_ristretto: bool = False) -> Trimmed:
    """The layer's blobs in the formats of its block; blobs of which it says nothing stay as they are.

    Raises:
        LayerError: NaN or infinity in the blobs, or another number of th_params than of output channels.
    """
    assert layer.kind is not None
    if not blobs:
        return Trimmed(blobs)
    if isinstance(block, Ristretto):
        return _ristretto(layer, blobs, block, rounding, as_ristretto)
    if block.mode is Mode.XILINX:
        if not block.th_params or block.bw_params is None or layer.kind.channels is None:
            return Trimmed(blobs)
        rows = by_output_channel(layer, blobs[0], thresholds(layer, blobs[0], block))
        clipped = int(np.count_nonzero(threshold.clips(blobs[0], rows)))
        return Trimmed((threshold.trim(blobs[0], rows, block.bw_params), *blobs[1:]), clipped)
    if layer.kind.name == "BatchNorm":
        formats = moment_formats(block)
        return _each((*moments(blobs), np.ones(1, np.float32)), formats) if any(formats) else Trimmed(blobs)
    if layer.kind.name == "Scale":
        return _each(blobs, scale_formats(layer, block))
    return _each(blobs, (fixed(block.fl_params, block.bw_params),) if layer.kind.channels else ())


def thresholds(layer: Layer, weight: Array, block: Precision) -> Array:
    """The th_params, one for each output channel.

    Raises:
        LayerError: there are more or fewer of them.
    """
    assert layer.kind is not None
    assert layer.kind.channels is not None
    count = len(layer.kind.channels(layer.params, weight))
    if len(block.th_params) != count:
        raise LayerError(f"has {len(block.th_params)} th_params for {count} output channels; convert the network again")
    return np.asarray(block.th_params, np.float32)


def by_output_channel(layer: Layer, weight: Array, values: ArrayLike) -> Array:
    """One value for each output channel, laid out to be broadcast against the weights."""
    assert layer.kind is not None
    column = np.asarray(values, np.float32)
    if layer.kind.name == "Deconvolution":  # (channels, num_output / group, *kernel)
        channels, per_group = weight.shape[:2]
        group = layer.params.group
        grid = column.reshape(group, 1, per_group).repeat(channels // group, axis=1).reshape(channels, per_group)
        return along(grid, 0, weight.ndim)
    if layer.kind.name == "InnerProduct" and layer.params.transpose:
        return along(column, 1, weight.ndim)
    return along(column, 0, weight.ndim) if weight.ndim else column.reshape(())


def moments(blobs: Arrays) -> tuple[Array, Array]:
    """Mean and variance of a BatchNorm, divided by its third blob."""
    count = float(blobs[2].reshape(-1)[0])
    mean, variance = (
        np.asarray(blob.astype(np.float64) / count if count else blob * 0, np.float32) for blob in blobs[:2]
    )
    return mean, variance


def moment_formats(block: Precision) -> tuple[Fixed | None, Fixed | None]:
    """Of a BatchNorm's mean and variance."""
    return (
        fixed(block.batchnorm_mean_fl, block.batchnorm_mean_bw),
        fixed(block.batchnorm_variance_fl, block.batchnorm_variance_bw),
    )


def scale_formats(layer: Layer, block: Precision) -> tuple[Fixed | None, ...]:
    """Of a Scale's blobs: gamma, unless it is the second bottom, and beta."""
    formats = (fixed(block.scale_gamma_fl, block.scale_gamma_bw), fixed(block.scale_beta_fl, block.scale_beta_bw))
    return formats if len(layer.bottoms) == 1 else formats[1:]


def _ristretto(layer: Layer, blobs: Arrays, block: Ristretto, rounding: Rounding, as_ristretto: bool) -> Trimmed:
    assert layer.kind is not None
    if layer.kind.name not in MULTIPLYING:
        return Trimmed(blobs)
    if block.precision == "INTEGER_POWER_OF_2_WEIGHTS":
        return Trimmed((power_of_two.trim(blobs[0], block.exp_min, block.exp_max, rounding), *blobs[1:]))
    if block.precision == "MINIFLOAT":
        return _each(blobs, (Minifloat(block.mant_bits, block.exp_bits, rounding, as_ristretto),) * len(blobs))
    return _each(blobs, (Fixed(block.fl_params, block.bw_params, rounding),) * len(blobs))


def _each(blobs: Arrays, formats: tuple[Format | None, ...]) -> Trimmed:
    """The first blobs in these formats."""
    pairs = list(zip(blobs, formats, strict=False))
    done = tuple(blob if form is None else form.trim(blob) for blob, form in pairs)
    return Trimmed((*done, *blobs[len(done) :]), sum(_clipped(pairs)))


def _clipped(pairs: list[tuple[Array, Format | None]]) -> Iterator[int]:
    for blob, form in pairs:
        if form is not None:
            yield form.clipped(blob, rectified=False)
