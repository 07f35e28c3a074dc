"""Layers with weights in integers: exact sums of products, the bias added to them, one rounding to the output format.

The bias is as fine as the sums: with thresholds a 22-bit fraction of an output step, in Q.F fl_layer_in + fl_params
fractional bits. Ristretto's is trimmed like its weights and keeps their fractional bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from xportdnn.arithmetic import Int64s, Integers, qformat, threshold
from xportdnn.arithmetic.rounding import half_away
from xportdnn.choices import Mode
from xportdnn.errors import LayerError
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation import formats
from xportdnn.simulation.formats import Block, Fixed, Whole
from xportdnn.simulation.integer.requantization import Requantization, by_ratio, by_shift, quotient
from xportdnn.simulation.integer.sums import SUMS
from xportdnn.simulation.trimmed import (
    MULTIPLYING,
    by_output_channel,
    moment_formats,
    moments,
    scale_formats,
    thresholds,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats64 = NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """A layer with weights, ready to run.

    Attributes:
        layer_in: the format of its bottoms.
        weights: None of BatchNorm and Scale, whose factors are those of the requantization.
        clipped: weights and biases beyond their format.
    """

    layer: Layer
    layer_in: Whole
    weights: Integers | None
    requantization: Requantization
    clipped: int = 0

    def run(self, bottom: Int64s, rectified: bool) -> tuple[Int64s, int]:
        """The top, and how many of its values were cut off."""
        assert self.layer.kind is not None
        if self.weights is None:
            return self.requantization.apply(bottom, rectified=rectified)
        sums, axis = SUMS[self.layer.kind.name](self.layer, bottom, self.weights)
        return self.requantization.apply(sums, axis, rectified)


def job(layer: Layer, blobs: Arrays, block: Block) -> Job | None:
    """The layer in integers; None where it is another type's, or its block does not say all that is needed.

    Raises:
        LayerError: formats that no integers can have, or that do not fit into 64 bits.
    """
    assert layer.kind is not None
    source, out = formats.whole_in(block), formats.whole_out(block)
    if source is None or out is None or not blobs:
        return None
    if layer.kind.name in MULTIPLYING:
        return _multiplying(layer, blobs, block, source, out)
    if isinstance(block, Precision) and layer.kind.name == "BatchNorm" and layer.params.use_global_stats:
        return _batch_norm(layer, blobs, block, source, out)
    if isinstance(block, Precision) and layer.kind.name == "Scale" and _by_channel(layer, blobs):
        return _scale(layer, blobs, block, source, out)
    return None


class _Weights(NamedTuple):
    """Integers, and the step or the fractional bits that give them a meaning."""

    integers: Int64s
    steps: Array | None
    fl: int
    clipped: int


def _multiplying(layer: Layer, blobs: Arrays, block: Block, source: Whole, out: Whole) -> Job | None:
    found = _weights(layer, blobs[0], block)
    if found is None:
        return None
    channels = layer.params.num_output
    bias = np.asarray(blobs[1], np.float64).reshape(-1) if len(blobs) > 1 else np.zeros(channels)
    clipped = found.clipped
    if isinstance(source, Fixed) and isinstance(out, Fixed) and found.steps is None:
        fl = source.fl + found.fl
        integers, bias_fl = _wide(bias, fl), fl
        if isinstance(block, Ristretto):
            form = Fixed(block.fl_params, block.bw_params)
            integers, bias_fl = form.quantize(np.asarray(bias, np.float32)), form.fl
            clipped += form.clipped(np.asarray(bias, np.float32))
        requantization = by_shift(np.ones(channels, np.int64), fl, integers, bias_fl, out)
    else:
        assert found.steps is not None
        ratio = found.steps.astype(np.float64) * quotient(source, out)
        requantization = by_ratio(ratio, bias / out.step, out)
    bits = block.bw_params or 32
    return Job(layer, source, narrow(found.integers, bits), requantization, clipped)


def _weights(layer: Layer, weight: Array, block: Block) -> _Weights | None:
    """None where the block says nothing of weights."""
    if isinstance(block, Precision) and block.mode is Mode.XILINX:
        if block.bw_params is None or not block.th_params:
            return None
        values = thresholds(layer, weight, block)
        rows = by_output_channel(layer, weight, values)
        clipped = int(np.count_nonzero(threshold.clips(weight, rows)))
        whole = threshold.quantize(weight, rows, block.bw_params)
        return _Weights(whole, threshold.step(values, block.bw_params), 0, clipped)
    if block.bw_params is None or block.fl_params is None:
        return None
    clipped = int(np.count_nonzero(qformat.saturates(weight, block.bw_params, block.fl_params)))
    whole = qformat.quantize(weight, block.bw_params, block.fl_params)
    return _Weights(whole, None, block.fl_params, clipped)


def _batch_norm(layer: Layer, blobs: Arrays, block: Precision, source: Whole, out: Whole) -> Job:
    pairs = list(zip(moments(blobs), moment_formats(block), strict=True))
    clipped = sum(0 if form is None else form.clipped(blob) for blob, form in pairs)
    mean, variance = (np.asarray(blob if form is None else form.trim(blob), np.float64) for blob, form in pairs)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / np.sqrt(variance + layer.params.eps)
    if not np.isfinite(inverse).all():
        raise LayerError("a variance and eps together are not above 0; check the weights and batchnorm_variance_fl")
    ratio = inverse * quotient(source, out)
    return Job(layer, source, None, by_ratio(ratio, -mean * inverse / out.step, out), clipped)


def _scale(layer: Layer, blobs: Arrays, block: Precision, source: Whole, out: Whole) -> Job:
    gamma_form, beta_form = scale_formats(layer, block)
    gamma, beta = blobs[0], blobs[1] if len(blobs) > 1 else np.zeros_like(blobs[0])
    clipped = sum(0 if form is None else form.clipped(blob) for blob, form in ((gamma, gamma_form), (beta, beta_form)))
    if isinstance(source, Fixed) and isinstance(out, Fixed) and gamma_form and beta_form:
        integers = gamma_form.quantize(gamma), beta_form.quantize(beta)
        shift = by_shift(integers[0], source.fl + gamma_form.fl, integers[1], beta_form.fl, out)
        return Job(layer, source, None, shift, clipped)
    ratio = np.asarray(gamma, np.float64) * quotient(source, out)
    return Job(layer, source, None, by_ratio(ratio, np.asarray(beta, np.float64) / out.step, out), clipped)


def _by_channel(layer: Layer, blobs: Arrays) -> bool:
    """Whether gamma is a blob with one value for each channel."""
    return len(layer.bottoms) == 1 and layer.params.axis == 1 and blobs[0].ndim == 1


def _wide(values: Floats64, fl: int) -> Int64s:
    """Integers with `fl` fractional bits, as many as it takes.

    Raises:
        LayerError: it takes more than 62 bits.
    """
    scaled = half_away(np.ldexp(values, fl))
    if not float(np.abs(scaled).max(initial=0)) < 2.0**62:
        raise LayerError(f"a bias with {fl} fractional bits does not fit into 64 bits; use smaller fl")
    return scaled.astype(np.int64)


def narrow(integers: Integers, bits: int) -> Integers:
    """The same in the smallest type that holds integers of so many bits."""
    return integers.astype(np.int8 if bits <= 8 else np.int16 if bits <= 16 else np.int32)
