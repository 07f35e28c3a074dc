"""`fake`: what is quantized with which format, and what is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from tests.simulation.quantized import block, fixed, prepared, run, xilinx
from tests.small_nets import RESIDUAL, conv, data, layer, net_of, random_weights
from xportdnn import execute
from xportdnn.errors import CalibrationError, LayerError, NetworkError
from xportdnn.layers import Array
from xportdnn.simulation import Arithmetic
from xportdnn.simulation.formats import Threshold

FAKE = Arithmetic.FAKE


def f32(values: ArrayLike) -> Array:
    return np.asarray(values, np.float32)


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def trim_th(values: Array, th: float, bits: int) -> Array:
    """By the rule's own words, in float32."""
    step = np.float32(np.float32(th) / np.float32(2 ** (bits - 1) - 1))
    scaled = np.clip(values, -np.float32(th), np.float32(th)) / step
    return np.asarray(np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5)) * step, np.float32)


def trim_fl(values: Array, bits: int, fl: int) -> Array:
    unit, limit = 2.0**-fl, 2 ** (bits - 1)
    scaled = np.clip(values, -limit * unit, (limit - 1) * unit) / unit
    return np.asarray(np.sign(scaled) * np.floor(np.abs(scaled) + 0.5) * unit, np.float32)


# ---- weights


def test_thresholds_of_a_convolution_go_along_its_output_channels() -> None:
    th = (0.5, 1.0, 2.0, 4.0)
    weight, bias, x = random(4, 3, 1, 1), random(4, seed=1), random(2, 3, 5, 6, seed=2)
    text = data(2, 3, 5, 6) + conv("c", "data", "c", 4, "kernel_size: 1").replace(
        "}\n}", f"}} {xilinx(6, 3, 5, th)}\n}}"
    )
    top = run(text, {"c": (weight, bias)}, {"data": x}, FAKE)["c"].tops[0]
    rows = np.stack([trim_th(row, each, 6) for row, each in zip(weight, th, strict=True)])
    sums = np.einsum("oi,nihw->nohw", rows[:, :, 0, 0], trim_th(x, 3, 6)) + bias[:, None, None]
    np.testing.assert_allclose(top, trim_th(f32(sums), 5, 6), atol=1e-6)


def test_thresholds_of_a_deconvolution_go_along_its_output_channels() -> None:
    """Weights are (channels, num_output / group, kernel): the output channels are spread over groups and axis 1."""
    th = (0.5, 1.0, 2.0, 4.0, 0.25, 3.0)
    weight, x = random(4, 3, 1, 1), random(2, 4, 5, 7, seed=2)
    params = "convolution_param { num_output: 6 group: 2 kernel_size: 1 bias_term: false }"
    text = data(2, 4, 5, 7) + layer("d", "Deconvolution", "data", "d", f"{params}\n{xilinx(8, 3, 5, th)}")
    top = run(text, {"d": (weight,)}, {"data": x}, FAKE)["d"].tops[0]
    trimmed = np.array(
        [[trim_th(weight[i, o], th[i // 2 * 3 + o], 8)[0, 0] for o in range(3)] for i in range(4)], np.float32
    )
    halves = [np.einsum("io,nihw->nohw", trimmed[s], trim_th(x, 3, 8)[:, s]) for s in (slice(0, 2), slice(2, 4))]
    np.testing.assert_allclose(top, trim_th(f32(np.concatenate(halves, 1)), 5, 8), atol=1e-6)


@pytest.mark.parametrize("transpose", ["false", "true"])
def test_thresholds_of_an_inner_product(transpose: str) -> None:
    th = (0.5, 1.0, 2.0)
    weight, x = random(3, 7), random(2, 7, seed=2)
    params = f"inner_product_param {{ num_output: 3 bias_term: false transpose: {transpose} }}"
    text = data(2, 7) + layer("ip", "InnerProduct", "data", "ip", f"{params}\n{xilinx(8, 3, 5, th)}")
    stored = weight.T.copy() if transpose == "true" else weight
    top = run(text, {"ip": (stored,)}, {"data": x}, FAKE)["ip"].tops[0]
    rows = np.stack([trim_th(row, each, 8) for row, each in zip(weight, th, strict=True)])
    np.testing.assert_allclose(top, trim_th(trim_th(x, 3, 8) @ rows.T, 5, 8), atol=1e-6)


@pytest.mark.parametrize("formats", [xilinx(8, 4, 4, (4.0,)), fixed(8, 4, 4, 5)], ids=["Xilinx", "DynamicFixed"])
def test_a_bias_stays_float(formats: str) -> None:
    bias = f32([100.3])
    text = data(1, 1, 2, 3) + layer("c", "Convolution", "data", "c", _one(formats))
    simulation, _ = prepared(text, {"c": (np.ones((1, 1, 1, 1), np.float32), bias)}, {"data": random(1, 1, 2, 3)}, FAKE)
    assert simulation.clipped == {1: 0}


def test_the_bias_of_ristretto_is_trimmed_like_its_weights() -> None:
    text = data(1, 1, 2, 3) + layer("c", "ConvolutionRistretto", "data", "c", _one(ristretto(8, 4, 5, 5)))
    blobs = {"c": (np.ones((1, 1, 1, 1), np.float32), f32([100.3]))}
    found = run(text, blobs, {"data": np.zeros((1, 1, 2, 3))}, FAKE)["c"]
    np.testing.assert_array_equal(found.tops[0], np.full((1, 1, 2, 3), 127 / 32))


def _one(formats: str) -> str:
    return f"convolution_param {{ num_output: 1 kernel_size: 1 }}\n{formats}"


def ristretto(bits: int, fl_in: int, fl_out: int, fl_params: int) -> str:
    fields = {"bw_layer_in": bits, "bw_layer_out": bits, "bw_params": bits}
    return block(fields | {"fl_layer_in": fl_in, "fl_layer_out": fl_out, "fl_params": fl_params}, "quantization_param")


def test_batch_norm_in_dynamic_fixed_mode() -> None:
    x, total, squares, count = random(2, 3, 4, 5), random(3, seed=1), np.abs(random(3, seed=2)) * 9, f32([4.0])
    more = {"batchnorm_mean_bw": 6, "batchnorm_mean_fl": 4, "batchnorm_variance_bw": 5, "batchnorm_variance_fl": 3}
    text = data(2, 3, 4, 5) + layer("bn", "BatchNorm", "data", "bn", fixed(8, 5, 4, **more))
    top = run(text, {"bn": (total, squares, count)}, {"data": x}, FAKE)["bn"].tops[0]
    mean, variance = trim_fl(f32(total / 4), 6, 4), trim_fl(f32(squares / 4), 5, 3)
    expected = (trim_fl(x, 8, 5) - mean[:, None, None]) / np.sqrt(variance + 1e-5)[:, None, None]
    np.testing.assert_allclose(top, trim_fl(f32(expected), 8, 4), atol=1e-6)


def test_scale_in_dynamic_fixed_mode() -> None:
    x, gamma, beta = random(2, 3, 4, 5), random(3, seed=1), random(3, seed=2)
    more = {"scale_gamma_bw": 6, "scale_gamma_fl": 4, "scale_beta_bw": 5, "scale_beta_fl": 2}
    rest = f"scale_param {{ bias_term: true }}\n{fixed(8, 5, 4, **more)}"
    text = data(2, 3, 4, 5) + layer("s", "Scale", "data", "s", rest)
    top = run(text, {"s": (gamma, beta)}, {"data": x}, FAKE)["s"].tops[0]
    trimmed = trim_fl(gamma, 6, 4)[:, None, None], trim_fl(beta, 5, 2)[:, None, None]
    np.testing.assert_array_equal(top, trim_fl(f32(trim_fl(x, 8, 5) * trimmed[0] + trimmed[1]), 8, 4))


def test_another_number_of_th_params_than_of_channels() -> None:
    text = data(1, 1, 2, 3) + layer("c", "Convolution", "data", "c", _one(xilinx(8, 1, 1, (1.0, 2.0))))
    with pytest.raises(NetworkError, match=r'layer "c" \(Convolution, line \d+\): has 2 th_params for 1 output'):
        prepared(text, {"c": (random(1, 1, 1, 1), random(1))}, {"data": random(1, 1, 2, 3)}, FAKE)


# ---- blobs


def test_layers_without_a_block_compute_in_float() -> None:
    net = net_of(RESIDUAL)
    shapes = {net.inputs[0]: (1, 3, 8, 9)}
    blobs = random_weights(net, shapes)
    x = random(1, 3, 8, 9)
    found = run(RESIDUAL, blobs, {"data": x}, FAKE)
    weights = {each.index: blobs.get(each.name, ()) for each in net.layers}
    for step in execute.run(net, weights, {net.inputs[0]: x}):
        np.testing.assert_array_equal(found[step.layer.name].tops[0], step.tops[0])


def test_fields_that_are_absent_leave_their_part_in_float() -> None:
    x, weight = random(1, 1, 2, 3), random(1, 1, 1, 1, seed=1)
    half = block({"bw_layer_out": 8, "th_layer_out": 2.0, "quant_type": "Xilinx"})
    text = data(1, 1, 2, 3) + layer("c", "Convolution", "data", "c", _one(half))
    top = run(text, {"c": (weight, np.zeros(1, np.float32))}, {"data": x}, FAKE)["c"].tops[0]
    np.testing.assert_array_equal(top, trim_th(x * weight[0, 0], 2.0, 8))


def test_the_input_is_quantized_by_its_own_block() -> None:
    x = random(1, 2, 3, 4)
    text = data(1, 2, 3, 4).replace("input_param", f"{block({'bw_layer_out': 6, 'th_layer_out': 1.5})} input_param")
    (found,) = run(text, {}, {"data": x}, FAKE).values()
    np.testing.assert_array_equal(found.tops[0], trim_th(x, 1.5, 6))
    assert found.saturated == np.count_nonzero(np.abs(x) > 1.5)


def test_the_mask_of_a_pooling_is_no_number_to_quantize() -> None:
    x = random(1, 2, 4, 6) * 40
    rest = f"pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }}\n{xilinx(8, 1, 1)}"
    found = run(data(1, 2, 4, 6) + layer("p", "Pooling", "data", "p mask", rest), {}, {"data": x}, FAKE)["p"]
    assert np.abs(found.tops[0]).max() == 1
    assert found.tops[1].max() > 1


@pytest.mark.parametrize("kind", ["ReLU", "Concat"])
def test_a_block_behind_float_layers_quantizes_nothing(kind: str) -> None:
    """On the board InnerProduct computes in float and its ReLU with it."""
    text = data(2, 7) + layer("ip", "InnerProduct", "data", "ip", "inner_product_param { num_output: 5 }")
    text += layer("next", kind, "ip", "next", xilinx(8, 0.1, 0.1))
    found = run(text, {"ip": (random(5, 7), random(5))}, {"data": random(2, 7)}, FAKE)
    expected = found["ip"].tops[0]
    np.testing.assert_array_equal(found["next"].tops[0], np.maximum(expected, 0) if kind == "ReLU" else expected)


def test_what_a_relu_hides_does_not_count_as_saturated() -> None:
    x = f32([-5, -0.5, 0.5, 5]).reshape(1, 1, 2, 2)
    one = layer("c", "Convolution", "data", "c", _one(xilinx(8, 10, 1, (1.0,))))
    blobs = {"c": (np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32))}
    alone = run(data(1, 1, 2, 2) + one, blobs, {"data": x}, FAKE)["c"]
    followed = run(data(1, 1, 2, 2) + one + layer("r", "ReLU", "c", "c"), blobs, {"data": x}, FAKE)["c"]
    leaky = layer("r", "ReLU", "c", "c", "relu_param { negative_slope: 0.1 }")
    assert (alone.saturated, followed.saturated) == (2, 1)
    assert run(data(1, 1, 2, 2) + one + leaky, blobs, {"data": x}, FAKE)["c"].saturated == 2


def test_several_readers_quantize_for_themselves() -> None:
    x = random(1, 1, 2, 3)
    text = data(1, 1, 2, 3) + layer("coarse", "Pooling", "data", "coarse", _same(xilinx(3, 4, 4)))
    found = run(text + layer("fine", "Pooling", "data", "fine", _same(xilinx(8, 4, 4))), {}, {"data": x}, FAKE)
    np.testing.assert_array_equal(found["fine"].tops[0], trim_th(x, 4, 8))


def _same(formats: str) -> str:
    return f"pooling_param {{ pool: MAX kernel_size: 1 }}\n{formats}"


def reshaped(bottom: str, *dims: int) -> str:
    shape = " ".join(f"dim: {dim}" for dim in dims)
    return layer("view", "Reshape", bottom, "two", f"reshape_param {{ shape {{ {shape} }} }}")


SHARING = {
    "the same blob": ("", "data"),
    "Split": (layer("view", "Split", "data", "one two"), "two"),
    "Reshape": (reshaped("data", 1, 1, 6, 1), "two"),
    "Flatten and Reshape": (layer("flat", "Flatten", "data", "flat") + reshaped("flat", 1, 1, 3, 2), "two"),
}


@pytest.mark.parametrize(("between", "blob"), SHARING.values(), ids=SHARING)
def test_ristretto_trims_bottoms_in_place(between: str, blob: str) -> None:
    """A later sibling, of whatever type, sees what the first one did to their memory."""
    x = random(1, 1, 2, 3)
    first = "one" if blob == "two" and "Split" in between else "data"
    text = data(1, 1, 2, 3) + between + layer("c", "ConvolutionRistretto", first, "c", _one(ristretto(4, 2, 4, 5)))
    text += layer("later", "Power", blob, "later", "power_param { scale: 1 }")
    found = run(text, {"c": (random(1, 1, 1, 1), random(1))}, {"data": x}, FAKE)
    np.testing.assert_array_equal(found["later"].tops[0].ravel(), trim_fl(x, 4, 2).ravel())
    np.testing.assert_array_equal(found["data"].tops[0], x)


def test_a_copy_is_not_trimmed_in_place() -> None:
    x = random(1, 1, 2, 3)
    text = data(1, 1, 2, 3) + layer("copy", "Power", "data", "copy", "power_param { scale: 1 }")
    text += layer("c", "ConvolutionRistretto", "data", "c", _one(ristretto(4, 2, 4, 5)))
    text += layer("later", "Power", "copy", "later", "power_param { scale: 1 }")
    found = run(text, {"c": (random(1, 1, 1, 1), random(1))}, {"data": x}, FAKE)
    np.testing.assert_array_equal(found["later"].tops[0], x)


def test_layers_of_other_types_take_no_notice_of_ristrettos_block() -> None:
    x, weight = random(1, 1, 2, 3), random(1, 1, 1, 1, seed=1)
    text = data(1, 1, 2, 3) + layer("c", "Convolution", "data", "c", _one(ristretto(4, 2, 4, 5)))
    found = run(text, {"c": (weight, np.zeros(1, np.float32))}, {"data": x}, FAKE)["c"]
    np.testing.assert_array_equal(found.tops[0], x * weight[0, 0])


def test_stochastic_rounding_is_the_same_in_every_run() -> None:
    stochastic = ristretto(8, 4, 4, 5).replace("{", "{ rounding_scheme: STOCHASTIC", 1)
    text = data(1, 1, 2, 3) + layer("c", "ConvolutionRistretto", "data", "c", _one(stochastic))
    blobs = {"c": (random(1, 1, 1, 1), random(1))}
    first, second = (run(text, blobs, {"data": random(1, 1, 2, 3)}, FAKE)["c"].tops[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


# ---- laws


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 16), st.floats(0.125, 8, width=32))
def test_the_largest_number_of_a_format_is_not_beyond_it(bits: int, th: float) -> None:
    """Its float, th / q * q, may be one above th."""
    form = Threshold(th, bits)
    assert form.clipped(form.dequantize(np.array([form.limits]))) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 16), st.floats(0.125, 8, width=32), st.integers(0, 99))
def test_quantizing_twice_changes_nothing(bits: int, th: float, seed: int) -> None:
    """What makes it right that a blob in its reader's format is not quantized once more."""
    x = random(1, 2, 3, 4, seed=seed) * 4
    text = data(1, 2, 3, 4) + layer("once", "Pooling", "data", "once", _same(xilinx(bits, th, th)))
    found = run(text + layer("twice", "Pooling", "once", "twice", _same(xilinx(bits, th, th))), {}, {"data": x}, FAKE)
    np.testing.assert_array_equal(found["twice"].tops[0], found["once"].tops[0])
    np.testing.assert_array_equal(trim_th(found["once"].tops[0], th, bits), found["once"].tops[0])


def error(arithmetic: Arithmetic, formats: str) -> float:
    """Mean squared difference from float, of two convolutions with a ReLU between them.

    Args:
        formats: a block; TH stands for four th_params.
    """
    x = random(2, 3, 6, 7)
    blobs = {"a": (random(4, 3, 3, 3), random(4, seed=1)), "b": (random(4, 4, 1, 1, seed=2), random(4, seed=3))}
    tops = []
    for each in ("", formats.replace("TH", "th_params: 4.0 " * 4)):
        text = data(2, 3, 6, 7) + convolution("a", "data", 3, each) + layer("r", "ReLU", "a", "a")
        found = run(text + convolution("b", "a", 1, each), blobs, {"data": x}, arithmetic)["b"]
        tops.append(found.tops[0].astype(np.float64))
    return float(np.mean((tops[1] - tops[0]) ** 2))


def convolution(name: str, bottom: str, kernel: int, formats: str) -> str:
    params = f"convolution_param {{ num_output: 4 kernel_size: {kernel} }}"
    return layer(name, "Convolution", bottom, name, f"{params}\n{formats}")


@pytest.mark.parametrize("arithmetic", [Arithmetic.FAKE, Arithmetic.INTEGER], ids=lambda arithmetic: arithmetic.value)
@pytest.mark.parametrize("mode", ["Xilinx", "DynamicFixed"])
def test_more_bits_less_error(arithmetic: Arithmetic, mode: str) -> None:
    widths = [4, 6, 8, 10, 12, 16]
    thresholds = [xilinx(bits, 40, 40).replace("th_layer_in", f"bw_params: {bits} TH th_layer_in") for bits in widths]
    fractions = [fixed(bits, bits - 7, bits - 7, bits - 3) for bits in widths]
    found = [error(arithmetic, formats) for formats in (thresholds if mode == "Xilinx" else fractions)]
    assert found == sorted(found, reverse=True)
    # 12 bits more are 72 dB, unless the smallest width is too coarse to tell
    assert found[-1] < 1e-5 * found[0]


# ---- what cannot be simulated


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=["nan", "inf"])
def test_an_input_that_is_no_number(value: float) -> None:
    x = random(1, 1, 2, 3)
    x[0, 0, 1, 1] = value
    text = data(1, 1, 2, 3) + layer("p", "Pooling", "data", "p", _same(xilinx(8, 1, 1)))
    with pytest.raises(LayerError, match=r'layer "p" \(Pooling, net.prototxt:\d+\): 1 values of 6 are NaN or infinite'):
        run(text, {}, {"data": x}, FAKE)


def test_weights_that_are_no_numbers() -> None:
    text = data(1, 1, 2, 3) + layer("c", "Convolution", "data", "c", _one(""))
    with pytest.raises(CalibrationError, match="NaN or infinite"):
        prepared(text, {"c": (f32([[[[np.nan]]]]), f32([0]))}, {"data": random(1, 1, 2, 3)}, FAKE)


WRONG = {
    "a width of 1 in Xilinx mode": (xilinx(1, 1, 1), "bw_layer_in is 1; 2 to 32"),
    "a width of 33": (fixed(33, 1, 1), "bw_layer_in is 33; 1 to 32"),
    "a negative threshold": (xilinx(8, -1, 1), r"th_layer_in holds -1\.0; thresholds"),
    "an infinite threshold": (xilinx(8, 1, np.inf), "th_layer_out holds inf; thresholds"),
    "a fraction beyond float32": (fixed(8, 127, 1), "fl_layer_in is 127; -126 to 126"),
}


@pytest.mark.parametrize(("formats", "message"), WRONG.values(), ids=WRONG)
def test_formats_that_no_arithmetic_has(formats: str, message: str) -> None:
    text = data(1, 1, 2, 3) + layer("p", "Pooling", "data", "p", _same(formats))
    with pytest.raises(NetworkError, match=message):
        prepared(text, {}, {"data": random(1, 1, 2, 3)}, FAKE)
