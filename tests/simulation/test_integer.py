"""`integer` against exact arithmetic: sums in loops, then one rounding of the real value."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from tests.layers import naive
from tests.layers.naive import Steps
from tests.simulation.quantized import block, fixed, prepared, run, xilinx
from tests.small_nets import data, layer
from xportdnn.errors import LayerError, NetworkError
from xportdnn.layers import Array, Arrays
from xportdnn.simulation import Arithmetic
from xportdnn.simulation.integer.level import Integer

INTEGER = Arithmetic.INTEGER


def f32(values: ArrayLike) -> Array:
    return np.asarray(values, np.float32)


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def nearest(real: Fraction, limits: tuple[int, int]) -> int:
    """Half away from zero, then limited."""
    magnitude = int(abs(real) + Fraction(1, 2))
    return max(limits[0], min(limits[1], magnitude if real >= 0 else -magnitude))


def quantized(values: Array, step: Fraction, limits: tuple[int, int]) -> NDArray[np.float64]:
    return np.array([nearest(Fraction(float(x)) / step, limits) for x in values.ravel()], float).reshape(values.shape)


# ---- layers with weights

CONVOLUTION = Steps((3, 2), (2, 1), (1, 0), (1, 2))
LAYERS = {
    "Convolution": ("kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 dilation: 1 dilation: 2", 1),
    "Convolution in groups": ("kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 dilation: 1 dilation: 2", 2),
    "Deconvolution": ("kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 dilation: 1 dilation: 2", 1),
    "Deconvolution in groups": ("kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 dilation: 1 dilation: 2", 2),
}
X = random(2, 4, 5, 7) * 2
BIAS = random(6, seed=1) * 2


def case(name: str) -> tuple[str, str, Array, int]:
    kind, group = name.split()[0], LAYERS[name][1]
    params = f"convolution_param {{ num_output: 6 group: {group} {LAYERS[name][0]} }}"
    shape = (6, 4 // group, 3, 2) if kind == "Convolution" else (4, 6 // group, 3, 2)
    return kind, params, random(*shape, seed=2), group


def sums(kind: str, x: NDArray[np.float64], weight: NDArray[np.float64], group: int) -> NDArray[np.float64]:
    rule = naive.convolution if kind == "Convolution" else naive.deconvolution
    return rule(f32(x), f32(weight), f32(np.zeros(6)), CONVOLUTION, group)


@pytest.mark.parametrize("name", LAYERS)
def test_weighted_layers_in_dynamic_fixed_mode(name: str) -> None:
    """Exact to the last integer: a shift divides by a power of two."""
    kind, params, weight, group = case(name)
    text = data(2, 4, 5, 7) + layer("c", kind, "data", "c", f"{params}\n{fixed(8, 4, 2, 5)}")
    found = run(text, {"c": (weight, BIAS)}, {"data": X}, INTEGER)["c"]
    whole = (-128, 127)
    total = sums(kind, quantized(X, Fraction(1, 16), whole), quantized(weight, Fraction(1, 32), whole), group)
    bias = quantized(BIAS, Fraction(1, 512), (-(2**40), 2**40))[:, None, None]
    expected = [nearest(Fraction(int(value), 128), whole) for value in (total + bias).ravel()]
    assert found.integers[0].ravel().tolist() == expected
    np.testing.assert_array_equal(found.tops[0], found.integers[0] / np.float32(4))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("bits", [6, 8, 12])
def test_weighted_layers_in_xilinx_mode(name: str, bits: int) -> None:
    """The nearest integer to the real sum, as far as the multiplier's bits reach."""
    kind, params, weight, group = case(name)
    th = f32([1, 2, 3, 1.5, 2.5, 0.75])
    formats = xilinx(bits, 4, 21, tuple(th.tolist()))
    text = data(2, 4, 5, 7) + layer("c", kind, "data", "c", f"{params}\n{formats}")
    found = run(text, {"c": (weight, BIAS)}, {"data": X}, INTEGER)["c"]
    levels = 2 ** (bits - 1) - 1
    step = (th.astype(np.float64) / levels).astype(np.float32).astype(np.float64)
    rows = step[:, None, None, None]
    if kind == "Deconvolution":
        rows = np.stack([np.tile(step.reshape(group, -1)[i // (4 // group)], 1) for i in range(4)])[:, :, None, None]
    whole_x = np.clip(np.rint(X / np.float32(4 / levels)), -levels, levels).astype(np.float64)
    whole_w = np.rint(np.clip(weight, -rows * levels, rows * levels) / rows)
    total = sums(kind, whole_x, whole_w, group)
    real = (total * step[:, None, None] * (4 / levels) + BIAS[:, None, None]) / (21 / levels)
    off = np.abs(found.integers[0] - np.clip(real, -levels, levels))
    assert (off <= 0.5 + np.abs(total) * 2.0**-23 + 1e-4).all()
    assert np.abs(found.integers[0]).max() <= levels


@pytest.mark.parametrize("transpose", ["false", "true"])
@pytest.mark.parametrize("axis", [1, 2])
def test_inner_product(axis: int, transpose: str) -> None:
    x, weight, bias = random(2, 3, 4), random(5, 12 if axis == 1 else 4, seed=1), random(5, seed=2)
    params = f"inner_product_param {{ num_output: 5 axis: {axis} transpose: {transpose} }}"
    text = data(2, 3, 4) + layer("ip", "InnerProduct", "data", "ip", f"{params}\n{fixed(8, 4, 3, 5)}")
    stored = weight.T.copy() if transpose == "true" else weight
    found = run(text, {"ip": (stored, bias)}, {"data": x}, INTEGER)["ip"].integers[0]
    whole = (-128, 127)
    rows = quantized(x, Fraction(1, 16), whole).reshape((2, 12) if axis == 1 else (2, 3, 4))
    total = rows @ quantized(weight, Fraction(1, 32), whole).T + quantized(bias, Fraction(1, 512), (-(2**40), 2**40))
    assert found.ravel().tolist() == [nearest(Fraction(int(value), 64), whole) for value in total.ravel()]
    assert found.shape == total.shape


def test_a_bias_is_as_fine_as_the_sums() -> None:
    """1/512 of a bias counts, although an output step is 1/4."""
    text = data(1, 1, 1, 1) + layer("c", "Convolution", "data", "c", _one(fixed(8, 4, 2, 5)))
    blobs = {"c": (f32([[[[1]]]]), f32([1 / 512]))}
    outputs = [
        run(text, blobs, {"data": f32([[[[x]]]])}, INTEGER)["c"].integers[0].item() for x in (0.125, 0.0625)
    ]  # 0.125 is the tie of 0 and 1: away from zero with and without the bias
    assert outputs == [1, 0]
    negative = {"c": (f32([[[[1]]]]), f32([-1 / 512]))}
    assert run(text, negative, {"data": f32([[[[0.125]]]])}, INTEGER)["c"].integers[0].item() == 0


def _one(formats: str) -> str:
    return f"convolution_param {{ num_output: 1 kernel_size: 1 }}\n{formats}"


def test_batch_norm_and_scale_with_their_own_formats() -> None:
    x, gamma, beta = random(2, 3, 4, 5), random(3, seed=1), random(3, seed=2)
    more = {"scale_gamma_bw": 8, "scale_gamma_fl": 6, "scale_beta_bw": 8, "scale_beta_fl": 3}
    rest = f"scale_param {{ bias_term: true }}\n{fixed(8, 4, 4, **more)}"
    text = data(2, 3, 4, 5) + layer("s", "Scale", "data", "s", rest)
    found = run(text, {"s": (gamma, beta)}, {"data": x}, INTEGER)["s"].integers[0]
    whole = (-128, 127)
    factor, offset = quantized(gamma, Fraction(1, 64), whole), quantized(beta, Fraction(1, 8), whole) * 128
    total = quantized(x, Fraction(1, 16), whole) * factor[:, None, None] + offset[:, None, None]
    assert found.ravel().tolist() == [nearest(Fraction(int(value), 64), whole) for value in total.ravel()]


@pytest.mark.parametrize("kind", ["BatchNorm", "Scale"])
def test_affine_layers_are_close_to_fake(kind: str) -> None:
    x = random(2, 3, 4, 5)
    blobs: Arrays = (random(3, seed=1),)
    if kind == "BatchNorm":
        blobs = (random(3, seed=1), np.abs(random(3, seed=2)) + 1, f32([2]))
    text = data(2, 3, 4, 5) + layer("a", kind, "data", "a", xilinx(8, 3, 4))
    tops = [run(text, {"a": blobs}, {"data": x}, arithmetic)["a"].tops[0] for arithmetic in (INTEGER, Arithmetic.FAKE)]
    assert np.abs(tops[0] - tops[1]).max() <= 4 / 127 + 1e-6
    assert np.mean(tops[0] != tops[1]) < 0.02


# ---- layers in their bottoms' format


def only(kind: str, params: str, integers: ArrayLike, out: str) -> NDArray[np.int64]:
    """The integers of a layer whose bottom holds these, with 2 fractional bits."""
    x = f32(integers) / 4
    text = whole_input(*x.shape) + layer("l", kind, "data", "l", f"{params}\n{out}")
    return run(text, {}, {"data": x}, INTEGER)["l"].integers[0]


def whole_input(*shape: int, name: str = "data", bits: int = 8, fl: int = 2) -> str:
    """An input that is quantized by its own block."""
    formats = block({"bw_layer_out": bits, "fl_layer_out": fl})
    return data(*shape, name=name).replace("input_param", f"{formats} input_param")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1), st.integers(0, 4), st.integers(0, 99))
def test_average_pooling(kernel: int, stride: int, pad: int, fl: int, seed: int) -> None:
    """Caffe's divisor, and one rounding for average and format together."""
    pad = min(pad, kernel - 1)
    x = np.random.default_rng(seed).integers(-128, 128, (1, 2, 5, 6))
    params = f"pooling_param {{ pool: AVE kernel_size: {kernel} stride: {stride} pad: {pad} }}"
    steps = Steps((kernel, kernel), (stride, stride), (pad, pad))
    averages = naive.average_pooling(f32(x), steps)
    if np.isnan(averages).any():
        return
    found = only("Pooling", params, x, fixed(8, 2, fl))
    counts = naive.average_pooling(f32(np.ones_like(x)), steps)  # cells inside over the divisor
    assert counts.min() > 0
    exact = np.clip(np.abs(averages) * 2.0 ** (fl - 2) + 0.5 + 1e-9, None, 200)
    expected = np.clip(np.sign(averages) * np.floor(exact), -128, 127)
    np.testing.assert_array_equal(found, expected)


def test_max_pooling_ignores_what_is_outside() -> None:
    """The board's kernel takes 0 there; Caffe does not."""
    x = -np.arange(1, 10).reshape(1, 1, 3, 3)
    found = only("Pooling", "pooling_param { pool: MAX kernel_size: 2 pad: 1 }", x, fixed(8, 2, 2))
    np.testing.assert_array_equal(found[0, 0, 0], [-1, -1, -2, -3])


def test_relu_with_a_slope_rounds_to_the_nearest() -> None:
    found = only("ReLU", "relu_param { negative_slope: 0.25 }", [[-1, -2, -3, -6, 5]], fixed(8, 2, 2))
    assert found.tolist() == [[0, -1, -1, -2, 5]]


def test_relu6_stops_at_the_nearest_step_to_6() -> None:
    assert only("ReLU6", "", [[-3, 10, 23, 24, 90]], fixed(8, 2, 2)).tolist() == [[0, 10, 23, 24, 24]]


def test_clip_has_both_limits() -> None:
    found = only("Clip", "clip_param { min: -1.1 max: 2.9 }", [[-30, -3, 8, 90]], fixed(8, 2, 2))
    assert found.tolist() == [[-4, -3, 8, 12]]


ELTWISE = {
    "a sum": ("operation: SUM", 2, [[127, -128, 3, 55]]),
    "a sum with coefficients": ("operation: SUM coeff: 0.5 coeff: -1", 2, [[-50, 50, 1, -15]]),
    "a product": ("operation: PROD", 2, [[127, 127, 1, 63]]),
    "a maximum": ("operation: MAX", 2, [[100, -100, 2, 50]]),
    "a sum in coarser steps": ("operation: SUM", 0, [[50, -50, 1, 14]]),
}


@pytest.mark.parametrize(("operation", "fl", "expected"), ELTWISE.values(), ids=ELTWISE)
def test_eltwise(operation: str, fl: int, expected: list[list[int]]) -> None:
    x, y = f32([[100, -100, 1, 50]]) / 4, f32([[100, -100, 2, 5]]) / 4
    if "coeff" in operation:
        y = f32([[100, -100, 0, 40]]) / 4
    rest = f"eltwise_param {{ {operation} }}\n{fixed(8, 2, fl)}"
    text = data(1, 4, name="x") + data(1, 4, name="y") + layer("e", "Eltwise", "x y", "e", rest)
    assert run(text, {}, {"x": x, "y": y}, INTEGER)["e"].integers[0].tolist() == expected


def test_eltwise_counts_what_it_cuts_off() -> None:
    rest = f"eltwise_param {{ operation: SUM }}\n{fixed(8, 2, 2)}"
    text = data(1, 4, name="x") + layer("e", "Eltwise", "x x", "e", rest)
    x = {"x": f32([[25, -25, 15, -16]])}
    assert run(text, {}, x, INTEGER)["e"].saturated == 2
    assert run(text + layer("r", "ReLU", "e", "e"), {}, x, INTEGER)["e"].saturated == 1


def test_concat_brings_its_bottoms_to_one_format() -> None:
    text = whole_input(1, 2, name="p", fl=4) + whole_input(1, 2, name="q", fl=1)
    text += layer("c", "Concat", "p q", "c", fixed(8, 2, 2))
    both = {"p": f32([[1.125, -2]]), "q": f32([[1.125, -2]])}
    found = run(text, {}, both, INTEGER)["c"].integers[0]
    # 18/16 is 4.5/4; 2/2 is 1
    assert found.tolist() == [[5, -8, 4, -8]]


def test_a_reader_in_another_format_requantizes() -> None:
    text = data(1, 1, 1, 2, name="x") + layer("p", "Pooling", "x", "p", _same(xilinx(8, 2, 2)))
    text += layer("q", "Pooling", "p", "q", _same(xilinx(8, 1, 1)))
    found = run(text, {}, {"x": f32([[[[0.5, 1.5]]]])}, INTEGER)["q"]
    assert found.integers[0].tolist() == [[[[64, 127]]]]
    assert found.saturated == 1


def test_layers_without_a_block_that_only_move_keep_the_integers() -> None:
    text = data(1, 1, 2, 3, name="x") + layer("p", "Pooling", "x", "p", _same(xilinx(8, 2, 2)))
    text += layer("s", "Split", "p", "a b") + layer("f", "Flatten", "a", "f")
    text += layer("g", "Flatten", "b", "g") + layer("c", "Concat", "f g", "c")
    found = run(text, {}, {"x": random(1, 1, 2, 3)}, INTEGER)
    assert found["c"].integers[0].tolist() == [2 * found["p"].integers[0].ravel().tolist()]


def _same(formats: str) -> str:
    return f"pooling_param {{ pool: MAX kernel_size: 1 }}\n{formats}"


@pytest.mark.parametrize("kind", ["Sigmoid", "Power"])
def test_software_computes_in_float(kind: str) -> None:
    text = data(1, 1, 2, 3, name="x") + layer("p", "Pooling", "x", "p", _same(xilinx(8, 2, 2)))
    found = run(text + layer("s", kind, "p", "s"), {}, {"x": random(1, 1, 2, 3)}, INTEGER)
    assert found["s"].integers == ()
    assert found["p"].integers != ()


# ---- laws


@settings(max_examples=20, deadline=None)
@given(bits=st.sampled_from([6, 8]), th=st.floats(4, 40, width=32), seed=st.integers(0, 99))
def test_a_single_layer_is_at_most_one_step_from_fake(bits: int, th: float, seed: int) -> None:
    weight, bias, x = random(4, 3, 3, 3, seed=seed), random(4, seed=seed + 1), random(2, 3, 5, 6, seed=seed + 2)
    params = f"convolution_param {{ num_output: 4 kernel_size: 3 }}\n{xilinx(bits, 3, th, (2.0, 1.0, 3.0, 2.5))}"
    text = data(2, 3, 5, 6) + layer("c", "Convolution", "data", "c", params)
    found = [run(text, {"c": (weight, bias)}, {"data": x}, each)["c"].tops[0] for each in (INTEGER, Arithmetic.FAKE)]
    step = th / (2 ** (bits - 1) - 1)
    assert np.abs(found[0] - found[1]).max() <= step * 1.001
    assert np.mean(np.abs(found[0] - found[1]) > step / 2) < 0.03


# ---- what cannot be simulated


def test_every_layer_without_integers_is_named() -> None:
    formats = {"precision": "MINIFLOAT"}, {"rounding_scheme": "STOCHASTIC"}
    text = data(1, 1, 2, 3)
    for name, fields in zip("ab", formats, strict=True):
        text += layer(name, "ConvolutionRistretto", "data", name, _one(block(fields, "quantization_param")))
    blobs = (random(1, 1, 1, 1), random(1))
    with pytest.raises(NetworkError) as caught:
        prepared(text, {"a": blobs, "b": blobs}, {"data": random(1, 1, 2, 3)}, INTEGER)
    assert len(caught.value.problems) == 2
    assert "--arithmetic fake" in caught.value.message


def test_sums_that_do_not_fit_into_64_bits() -> None:
    text = data(1, 1, 2, 3) + layer("c", "Convolution", "data", "c", _one(fixed(32, 30, 30, 30)))
    with pytest.raises(LayerError, match=r'layer "c" \(Convolution, net.prototxt:\d+\): .*62 bits'):
        run(text, {"c": (f32([[[[1.9]]]]), f32([1]))}, {"data": np.full((1, 1, 2, 3), 1.9)}, INTEGER)


def test_a_ratio_that_does_not_fit() -> None:
    text = data(1, 1, 2, 3) + layer("c", "Convolution", "data", "c", _one(xilinx(8, 1e30, 1e-30, (1e10,))))
    with pytest.raises(NetworkError, match=r'layer "c" .* a ratio of .* does not fit'):
        prepared(text, {"c": (random(1, 1, 1, 1), random(1))}, {"data": random(1, 1, 2, 3)}, INTEGER)


def test_an_output_without_a_step() -> None:
    text = data(1, 1, 2, 3) + layer("c", "Convolution", "data", "c", _one(xilinx(8, 1, 0, (1.0,))))
    with pytest.raises(NetworkError, match="its th_layer_out is 0; give a positive threshold"):
        prepared(text, {"c": (random(1, 1, 1, 1), random(1))}, {"data": random(1, 1, 2, 3)}, INTEGER)


def test_an_input_that_is_no_number() -> None:
    text = data(1, 1, 2, 3) + layer("p", "Pooling", "data", "p", _same(xilinx(8, 1, 1)))
    with pytest.raises(LayerError, match=r'layer "p" .* NaN or infinite'):
        run(text, {}, {"data": np.full((1, 1, 2, 3), np.nan)}, INTEGER)


def test_weights_are_kept_in_the_smallest_type() -> None:
    text = data(1, 1, 2, 3) + layer("c", "Convolution", "data", "c", _one(xilinx(8, 1, 1, (1.0,))))
    simulation, _ = prepared(text, {"c": (random(1, 1, 1, 1), random(1))}, {"data": random(1, 1, 2, 3)}, INTEGER)
    assert isinstance(simulation.level, Integer)
    (found,) = simulation.level.jobs.values()
    assert found.weights is not None
    assert found.weights.dtype == np.int8
