"""Every layer that was recorded from Ristretto: trimmed inputs, weights and biases, and tops in integers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pytest

from tests.arithmetic.recorded import RistrettoLayer, ristretto
from xportdnn import api
from xportdnn.arithmetic import Int64s, integer, minifloat, power_of_two, qformat
from xportdnn.arithmetic.integer import shift_half_away, shift_truncating
from xportdnn.arithmetic.twos_complement import saturate
from xportdnn.decode import decode, enum
from xportdnn.kernels import along
from xportdnn.layers import Array, Arrays, convolution, inner_product
from xportdnn.network import Layer

every_layer = pytest.mark.parametrize("recorded", ristretto(), ids=lambda recorded: recorded.label)


@dataclass(frozen=True)
class Format:
    """A layer's `quantization_param`, with Ristretto's defaults (its caffe.proto)."""

    precision: str = enum("DYNAMIC_FIXED_POINT", "MINIFLOAT", "INTEGER_POWER_OF_2_WEIGHTS")
    bw_layer_in: int = 32
    bw_layer_out: int = 32
    bw_params: int = 32
    fl_layer_in: int = 16
    fl_layer_out: int = 16
    fl_params: int = 16
    mant_bits: int = 23
    exp_bits: int = 8
    exp_min: int = -8
    exp_max: int = -1

    def trim(self, values: Array, part: str) -> Array:
        """What Ristretto's CPU code does to a layer's "input", "weights" or "bias"."""
        if self.precision == "MINIFLOAT":
            return minifloat.trim(values, self.mant_bits, self.exp_bits, as_ristretto=True)
        if self.precision == "INTEGER_POWER_OF_2_WEIGHTS":
            return power_of_two.trim(values, self.exp_min, self.exp_max) if part == "weights" else values
        if part == "input":
            return qformat.trim(values, self.bw_layer_in, self.fl_layer_in)
        return qformat.trim(values, self.bw_params, self.fl_params)


class Opened(NamedTuple):
    """A recorded layer with what its network's files say of it."""

    layer: Layer
    format: Format
    blobs: Arrays


@cache
def opened(label: str) -> Opened:
    recorded = next(recorded for recorded in ristretto() if recorded.label == label)
    with TemporaryDirectory() as folder:
        network = api.read(*recorded.files.write(Path(folder)))
        blobs = tuple(np.array(blob.values()) for blob in network.model.names[recorded.name].blobs)
    (layer,) = (layer for layer in network.net.layers if layer.name == recorded.name)
    blocks = layer.message.messages("quantization_param")
    return Opened(layer, decode(blocks[0] if blocks else None, Format), blobs)


def assert_same_values(found: Array, expected: Array) -> None:
    """Shapes may differ: the transposed weights of InnerProduct were recorded as (N, K) but lie as (K, N)."""
    np.testing.assert_array_equal(found.ravel(), expected.ravel())


@every_layer
def test_input(recorded: RistrettoLayer) -> None:
    assert_same_values(opened(recorded.label).format.trim(recorded.bottom, "input"), recorded.trimmed["in"])


@every_layer
def test_weights(recorded: RistrettoLayer) -> None:
    _, quantization, blobs = opened(recorded.label)
    assert_same_values(quantization.trim(blobs[0], "weights"), recorded.trimmed["w"])


@pytest.mark.parametrize(
    "recorded", [layer for layer in ristretto() if "b" in layer.trimmed], ids=lambda recorded: recorded.label
)
def test_bias(recorded: RistrettoLayer) -> None:
    _, quantization, blobs = opened(recorded.label)
    assert_same_values(quantization.trim(blobs[1], "bias"), recorded.trimmed["b"])


# Tops that float32 sums, as Ristretto makes them, hold exactly: fixed point of 16 bits at most, one weighted layer.
IN_INTEGERS = [
    recorded
    for recorded in ristretto()
    if "_dfp" in recorded.case or "dynamic_fixed" in recorded.case or recorded.case.startswith("net_")
    if not recorded.case.startswith("deconv") and "default" not in recorded.case
]


def sums(recorded: RistrettoLayer, unpacked: Opened) -> Int64s:
    """The layer's exact sums with the bias, fl_layer_in + fl_params fractional bits."""
    params, quantization = unpacked.layer.params, unpacked.format
    codes = qformat.quantize(recorded.bottom, quantization.bw_layer_in, quantization.fl_layer_in)
    weights, *bias = (qformat.quantize(blob, quantization.bw_params, quantization.fl_params) for blob in unpacked.blobs)
    if isinstance(params, convolution.Params):
        windows = convolution.windows_of(params, codes.shape)
        result = integer.convolution(codes, weights, windows, recorded.top.shape[2:], params.group)
    else:
        assert isinstance(params, inner_product.Params)
        vectors = codes.reshape(*codes.shape[: params.axis], -1)
        result = integer.inner_product(vectors, weights.T if params.transpose else weights)
    axis = 1 if isinstance(params, convolution.Params) else result.ndim - 1
    for each in bias:
        result += along(integer.shift_truncating(each, -quantization.fl_layer_in), axis, result.ndim)
    return result


def in_integers(recorded: RistrettoLayer, unpacked: Opened, shift: integer.Shift) -> Array:
    quantization = unpacked.format
    places = quantization.fl_layer_in + quantization.fl_params - quantization.fl_layer_out
    codes = saturate(shift(sums(recorded, unpacked), places), quantization.bw_layer_out)
    return qformat.dequantize(codes, quantization.fl_layer_out)


@pytest.mark.parametrize("recorded", IN_INTEGERS, ids=lambda recorded: recorded.label)
def test_top_in_integers_with_a_rounding_shift(recorded: RistrettoLayer) -> None:
    top = in_integers(recorded, opened(recorded.label), shift_half_away)
    np.testing.assert_array_equal(top, recorded.top)


# tops that are all at a limit, shifted left, or multiples of the step before they are rounded
NOTHING_CUT_OFF = {"conv_dfp_1bit", "conv_dfp_mixed_bw", "fc_dfp_mixed_bw", "conv_dfp_probe_identity"}


@pytest.mark.parametrize(
    "recorded",
    [recorded for recorded in IN_INTEGERS if recorded.case not in NOTHING_CUT_OFF],
    ids=lambda recorded: recorded.label,
)
def test_top_in_integers_with_a_truncating_shift_is_low(recorded: RistrettoLayer) -> None:
    top = in_integers(recorded, opened(recorded.label), shift_truncating)
    assert (top <= recorded.top).all()
    assert (top < recorded.top).any()
