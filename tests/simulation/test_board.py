"""`chaidnn`: what the board computes inside what, what it refuses, what it does otherwise than the network says."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import ArrayLike

from tests.arithmetic import scalar_board
from tests.simulation.quantized import block, fixed, prepared, run, xilinx
from tests.small_nets import data, layer
from xportdnn.errors import LayerError, NetworkError
from xportdnn.layers import Array, Arrays
from xportdnn.simulation import Arithmetic, Simulation

CHAIDNN = Arithmetic.CHAIDNN
INPUT = data(3, 2, 6, 7)


def f32(values: ArrayLike) -> Array:
    return np.asarray(values, np.float32)


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


X = random(3, 2, 6, 7)


def conv(name: str, bottom: str, formats: str, top: str = "", more: str = "") -> str:
    params = f"convolution_param {{ num_output: 2 kernel_size: 1 {more} }}"
    return layer(name, "Convolution", bottom, top or name, f"{params}\n{formats}")


def same(formats: str, pool: str = "MAX", more: str = "kernel_size: 1") -> str:
    return f"pooling_param {{ pool: {pool} {more} }}\n{formats}"


TH = (2.0, 3.0)
WEIGHTS: Arrays = (random(2, 2, 1, 1, seed=1), random(2, seed=2))
CONV = xilinx(8, 3, 6, TH)
BLOBS: Mapping[str, Arrays] = {"a": WEIGHTS, "b": WEIGHTS}


def simulation(text: str, blobs: Mapping[str, Arrays] = BLOBS) -> Simulation:
    return prepared(text, blobs, {"data": X}, CHAIDNN)[0]


# ---- ReLU

FOLDED = {
    "in place": (layer("r", "ReLU", "a", "a"), ["r"]),
    "out of place": (layer("r", "ReLU", "a", "r"), ["r"]),
    "behind a Dropout": (layer("d", "Dropout", "a", "a") + layer("r", "ReLU", "a", "a"), ["r"]),
    "twice": (layer("r", "ReLU", "a", "a") + layer("s", "ReLU", "a", "a"), ["s"]),
}


@pytest.mark.parametrize(("relu", "stored"), FOLDED.values(), ids=FOLDED)
def test_a_relu_is_computed_inside_the_convolution(relu: str, stored: list[str]) -> None:
    text = INPUT + conv("a", "data", CONV)
    plain, folded = (run(text + more, BLOBS, {"data": X}, CHAIDNN) for more in ("", relu))
    (whole,) = plain["a"].integers
    np.testing.assert_array_equal(folded[stored[0]].integers[0], np.maximum(whole, 0))
    # what the layers before it would have put out never exists
    assert [name for name, each in folded.items() if each.tops] == ["data", *stored]


def test_what_a_folded_relu_hides_is_not_counted() -> None:
    text = INPUT + conv("a", "data", xilinx(8, 3, 1, TH))
    counts = [
        run(text + more, BLOBS, {"data": X}, CHAIDNN)["a"].saturated for more in ("", layer("r", "ReLU", "a", "a"))
    ]
    assert counts[0] > counts[1] > 0


def test_a_relu_that_others_would_see_is_refused() -> None:
    text = INPUT + conv("a", "data", CONV) + layer("r", "ReLU", "a", "r") + layer("p", "Pooling", "a", "p", same(CONV))
    with pytest.raises(
        NetworkError, match=r'layer "r" \(ReLU, line \d+\): .* inside a, whose top .a. has other readers'
    ):
        simulation(text)


def test_a_relu_behind_a_pooling_is_dropped() -> None:
    text = INPUT + conv("a", "data", CONV) + layer("p", "Pooling", "a", "p", same(xilinx(8, 6, 6)))
    text += layer("r", "ReLU", "p", "r")
    assert [warning for warning in simulation(text).warnings if "ReLU" in warning and "r (behind Pooling)" in warning]
    found = run(text, BLOBS, {"data": X}, CHAIDNN)
    np.testing.assert_array_equal(found["r"].integers[0], found["p"].integers[0])
    assert found["r"].integers[0].min() < 0


def test_a_slope_is_ignored() -> None:
    text = INPUT + conv("a", "data", CONV) + layer("r", "ReLU", "a", "a", "relu_param { negative_slope: 0.1 }")
    assert any("negative_slope" in warning for warning in simulation(text).warnings)
    assert run(text, BLOBS, {"data": X}, CHAIDNN)["r"].integers[0].min() == 0


def test_a_relu_behind_an_inner_product_is_float() -> None:
    text = INPUT + layer("ip", "InnerProduct", "data", "ip", "inner_product_param { num_output: 5 }")
    found = run(text + layer("r", "ReLU", "ip", "ip"), {"ip": (random(5, 84), random(5))}, {"data": X}, CHAIDNN)
    np.testing.assert_array_equal(found["r"].tops[0], np.maximum(found["ip"].tops[0], 0))
    assert found["ip"].integers == found["r"].integers == ()


def test_eltwise_has_its_relu_inside() -> None:
    text = (
        INPUT + conv("a", "data", CONV) + conv("b", "data", CONV) + layer("e", "Eltwise", "a b", "e", xilinx(8, 6, 6))
    )
    plain = run(text, BLOBS, {"data": X}, CHAIDNN)["e"]
    folded = run(text + layer("r", "ReLU", "e", "e"), BLOBS, {"data": X}, CHAIDNN)
    np.testing.assert_array_equal(folded["r"].integers[0], np.maximum(plain.integers[0], 0))
    assert folded["e"].tops == ()


# ---- BatchNorm and Scale

NORM: Mapping[str, Arrays] = {
    "a": (random(2, 2, 1, 1, seed=1), random(2, seed=2)),
    "bn": (random(2, seed=3), np.abs(random(2, seed=4)) + 1, f32([2])),
    "s": (random(2, seed=5), random(2, seed=6)),
}
BETA = "scale_param { bias_term: true }"


def normalised(scale: str, conv_formats: str = CONV, in_place: bool = True, more: str = "") -> str:
    tops = ("a", "a") if in_place else ("bn", "s")
    return (
        INPUT
        + conv("a", "data", conv_formats)
        + layer("bn", "BatchNorm", "a", tops[0])
        + layer("s", "Scale", tops[0], tops[1], f"{BETA}\n{scale}")
        + more
    )


def folded_by_hand() -> Arrays:
    """The convolution with the BatchNorm and Scale worked in."""
    (weight, bias), (total, squares, count), (gamma, beta) = NORM["a"], NORM["bn"], NORM["s"]
    factor = gamma / np.sqrt(squares / count + f32(1e-5))
    return weight * factor[:, None, None, None], factor * (bias - total / count) + beta


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "out of place"])
def test_batch_norm_and_scale_go_into_the_weights(in_place: bool) -> None:
    """Thresholds of the weights are those of the fused ones, th_layer_out is the Scale's without its fraction."""
    after = layer("p", "Pooling", "a" if in_place else "s", "p", same(xilinx(8, 5, 5)))
    found = run(normalised(xilinx(8, 9, 5.9), in_place=in_place, more=after), NORM, {"data": X}, CHAIDNN)
    weight, bias = folded_by_hand()
    rows = tuple(float(each) for each in np.abs(weight).max(axis=(1, 2, 3)))
    alone = run(INPUT + conv("a", "data", xilinx(8, 3, 5, rows)), {"a": (weight, bias)}, {"data": X}, CHAIDNN)["a"]
    np.testing.assert_array_equal(found["s"].integers[0], alone.integers[0])
    np.testing.assert_array_equal(found["s"].tops[0], alone.tops[0])
    assert found["a"].tops == found["bn"].tops == ()


def test_a_truncated_threshold_is_said() -> None:
    warnings = simulation(normalised(xilinx(8, 9, 5.9)), NORM).warnings
    assert any("whole part" in warning and "a (5.9)" in warning for warning in warnings)


def test_a_reader_with_the_written_threshold_is_told_of_the_difference() -> None:
    text = normalised(xilinx(8, 9, 5.9), more=layer("p", "Pooling", "a", "p", same(xilinx(8, 5.9, 5.9))))
    (warning,) = (warning for warning in simulation(text, NORM).warnings if "converts nothing" in warning)
    assert "p ('a' written with a threshold of 5 at 8 bits, read with a threshold of 5.9 at 8 bits)" in warning


def test_a_threshold_below_1_has_no_whole_part() -> None:
    with pytest.raises(NetworkError, match=r"the th_layer_out 0\.9 of its Scale becomes 0 on the board"):
        simulation(normalised(xilinx(8, 9, 0.9)), NORM)


def test_fused_weights_in_dynamic_fixed_mode_get_fractional_bits_of_their_own() -> None:
    found = run(normalised(fixed(8, 4, 3), fixed(8, 4, 4, 7)), NORM, {"data": X}, CHAIDNN)
    weight, bias = folded_by_hand()
    fl = 8 - (math.ceil(abs(math.log2(float(np.abs(weight).max())))) + 1)
    alone = run(INPUT + conv("a", "data", fixed(8, 4, 3, fl)), {"a": (weight, bias)}, {"data": X}, CHAIDNN)["a"]
    np.testing.assert_array_equal(found["s"].integers[0], alone.integers[0])


def test_a_relu_behind_the_scale_is_inside_too() -> None:
    text = normalised(xilinx(8, 9, 5))
    plain = run(text, NORM, {"data": X}, CHAIDNN)["s"].integers[0]
    found = run(text + layer("r", "ReLU", "a", "a"), NORM, {"data": X}, CHAIDNN)
    np.testing.assert_array_equal(found["r"].integers[0], np.maximum(plain, 0))
    assert found["s"].tops == ()


ALONE = {
    "BatchNorm alone": INPUT + conv("a", "data", CONV) + layer("bn", "BatchNorm", "a", "a"),
    "Scale alone": INPUT + conv("a", "data", CONV) + layer("s", "Scale", "a", "a", BETA),
    "before any Convolution": INPUT
    + layer("bn", "BatchNorm", "data", "data")
    + layer("s", "Scale", "data", "data", BETA),
    "one in place, one not": INPUT
    + conv("a", "data", CONV)
    + layer("bn", "BatchNorm", "a", "bn")
    + layer("s", "Scale", "bn", "bn", f"{BETA}\n{xilinx(8, 9, 5)}"),
    "out of place and last": normalised(xilinx(8, 9, 5), in_place=False),
}


@pytest.mark.parametrize("text", ALONE.values(), ids=ALONE)
def test_batch_norm_and_scale_that_the_board_does_not_fuse(text: str) -> None:
    with pytest.raises(NetworkError, match="only in a row behind a Convolution"):
        simulation(text, NORM)


# ---- what the board does otherwise


def test_eltwise_adds_the_integers_whatever_they_mean() -> None:
    text = INPUT + conv("a", "data", CONV) + conv("b", "data", xilinx(8, 3, 12, TH))
    text += layer("e", "Eltwise", "a b", "e", xilinx(8, 6, 6))
    found = run(text, BLOBS, {"data": X}, CHAIDNN)
    exact = found["a"].integers[0] + found["b"].integers[0]
    np.testing.assert_array_equal(found["e"].integers[0], np.clip(exact, -128, 127))
    assert any("converts nothing" in warning for warning in simulation(text).warnings)


def test_a_product_is_a_sum() -> None:
    text = INPUT + conv("a", "data", CONV)
    rest = f"eltwise_param {{ operation: PROD }}\n{xilinx(8, 6, 6)}"
    found = run(text + layer("e", "Eltwise", "a a", "e", rest), BLOBS, {"data": X}, CHAIDNN)
    np.testing.assert_array_equal(found["e"].integers[0], np.clip(2 * found["a"].integers[0], -128, 127))


def test_pooling_reads_its_integers_in_its_own_format() -> None:
    """MAX pooling rescales nothing: software behind it takes the same integers for other numbers."""
    text = INPUT + conv("a", "data", CONV) + layer("p", "Pooling", "a", "p", same(xilinx(8, 6, 12)))
    found = run(text + layer("s", "Softmax", "p", "s"), BLOBS, {"data": X}, CHAIDNN)
    np.testing.assert_array_equal(found["p"].integers[0], found["a"].integers[0])
    np.testing.assert_allclose(found["p"].tops[0], 2 * found["a"].tops[0], rtol=1e-6)
    assert any("does not rescale" in warning for warning in simulation(text).warnings)


def test_concat_puts_integers_side_by_side() -> None:
    text = INPUT + conv("a", "data", CONV) + conv("b", "data", xilinx(8, 3, 12, TH)) + layer("c", "Concat", "a b", "c")
    found = run(text, BLOBS, {"data": X}, CHAIDNN)
    both = np.concatenate([found[name].integers[0] for name in "ab"], 1)
    np.testing.assert_array_equal(found["c"].integers[0], both)


@pytest.mark.parametrize("kind", ["Split", "Dropout"])
def test_layers_that_the_parser_does_not_take_but_that_change_nothing(kind: str) -> None:
    text = INPUT + conv("a", "data", CONV) + layer("x", kind, "a", "x")
    found = run(text, BLOBS, {"data": X}, CHAIDNN)
    np.testing.assert_array_equal(found["x"].integers[0], found["a"].integers[0])
    assert any(kind in warning for warning in simulation(text).warnings)


def test_faults_of_the_kernel_are_said() -> None:
    text = (
        INPUT
        + conv("a", "data", CONV)
        + layer("p", "Pooling", "a", "p", same(xilinx(8, 6, 6), "AVE", "kernel_size: 2"))
    )
    assert any(
        "the average of 2 channels" in warning and warning.endswith(": p") for warning in simulation(text).warnings
    )


def test_depthwise_weights_in_xilinx_mode() -> None:
    text = INPUT.replace("dim: 2", "dim: 4", 1)
    params = "convolution_param { num_output: 4 kernel_size: 1 group: 4 }"
    text += layer("a", "Convolution", "data", "a", f"{params}\n{xilinx(8, 3, 6, (1.0, 2.0, 3.0, 4.0))}")
    blobs = {"a": (random(4, 1, 1, 1), random(4))}
    warnings = prepared(text, blobs, {"data": random(3, 4, 6, 7)}, CHAIDNN)[0].warnings
    assert any("rounds depthwise weights" in warning for warning in warnings)


def test_software_goes_back_rounded_half_up() -> None:
    """-0.5 steps become 0, where everything else would say -1."""
    text = (
        data(1, 1, 2, 3)
        + layer("c", "Crop", "data data", "c")
        + layer("p", "Pooling", "c", "p", same(xilinx(8, 127, 127)))
    )
    x = f32([-1.5, -0.5, 0.5, 1.5, 2.5, -2.5]).reshape(1, 1, 2, 3)
    assert run(text, {}, {"data": x}, CHAIDNN)["p"].integers[0].ravel().tolist() == [-1, 0, 1, 2, 3, -2]
    fed = data(1, 1, 2, 3) + layer("p", "Pooling", "data", "p", same(xilinx(8, 127, 127)))
    assert run(fed, {}, {"data": x}, CHAIDNN)["p"].integers[0].ravel().tolist() == [-2, -1, 1, 2, 3, -3]


def test_normalize_goes_back_to_integers() -> None:
    rest = f"norm_param {{ across_spatial: false }}\n{xilinx(8, 6, 2, TH)}"
    text = INPUT + conv("a", "data", CONV) + layer("n", "Normalize", "a", "n", rest)
    found = run(text, {**BLOBS, "n": (f32(3.0),)}, {"data": X}, CHAIDNN)
    norm = np.sqrt((found["a"].tops[0] ** 2).sum(axis=1, keepdims=True) + 1e-10)
    expected = np.clip(3 * found["a"].tops[0] / norm, -2, 2) / np.float32(2 / 127)
    assert np.abs(found["n"].integers[0] - expected).max() <= 0.51


# ---- batches


@pytest.mark.parametrize("bits", [6, 8])
def test_a_batch_of_any_size(bits: int) -> None:
    """Images count in pairs from the first one; the last of an odd number is the first of a pair."""
    x = random(5, 2, 6, 7) * 9
    text = data(5, 2, 6, 7) + conv("a", "data", xilinx(bits, 3, 1, (0.1, 0.2)), more="bias_term: false")
    blobs = {"a": WEIGHTS[:1]}
    together = run(text, blobs, {"data": x}, CHAIDNN)["a"]
    parts = [run(text, blobs, {"data": x[start : start + 2]}, CHAIDNN)["a"] for start in (0, 2, 4)]
    np.testing.assert_array_equal(together.integers[0], np.concatenate([part.integers[0] for part in parts]))
    assert together.saturated == sum(part.saturated for part in parts)


def test_the_second_image_of_a_pair_differs_where_sums_leave_20_bits() -> None:
    x = np.full((2, 2044, 1, 1), 31.0)
    params = "convolution_param { num_output: 2 kernel_size: 1 bias_term: false }"
    text = data(2, 2044, 1, 1) + layer(
        "a", "Convolution", "data", "a", f"{params}\n{xilinx(6, 31, 31 * 2**16, (31.0, 31.0))}"
    )
    found = run(text, {"a": (f32(np.full((2, 2044, 1, 1), 31)),)}, {"data": x}, CHAIDNN)["a"]
    half = 1022 * 31 * 31
    sums = [scalar_board.wrap(half, 20)] * 2
    assert scalar_board.sat(sum(sums), 18) == -131072
    assert found.wrapped == 4
    assert found.integers[0][0].tolist() != found.integers[0][1].tolist() or found.saturated == 4


# ---- what the board cannot run


def test_all_layers_that_cannot_run_are_named_with_their_lines() -> None:
    text = (
        INPUT
        + layer("n", "LRN", "data", "n")
        + conv("a", "n", CONV)
        + layer("s", "Sigmoid", "a", "s")
        + layer("d", "Deconvolution", "s", "d", "convolution_param { num_output: 2 kernel_size: 1 bias_term: false }")
        + layer("p", "Pooling", "d", "p", same(xilinx(8, 6, 6)))
        + layer("ip", "InnerProduct", "p", "ip", "inner_product_param { num_output: 5 bias_term: false }")
    )
    blobs = {**BLOBS, "d": (random(2, 2, 1, 1),), "ip": (random(5, 84),)}
    with pytest.raises(NetworkError) as caught:
        prepared(text, blobs, {"data": X}, CHAIDNN)
    lines = {name: 1 + text[: text.index(f'name: "{name}"')].count("\n") - 1 for name in "nsd"}
    assert caught.value.problems == (
        f'layer "n" (LRN, line {lines["n"]}): the board knows no such type',
        f'layer "s" (Sigmoid, line {lines["s"]}): the board knows no such type',
        f'layer "d" (Deconvolution, line {lines["d"]}): its arithmetic on the board is not known',
    )


A = conv("a", "data", CONV)
REFUSED = {
    "no block": (conv("a", "data", ""), "has no precision_param"),
    "half a block": (conv("a", "data", xilinx(8, 3, 6)), "has no bw_params, th_params in its precision_param"),
    "no block of an average": (A + layer("p", "Pooling", "a", "p", same("", "AVE", "kernel_size: 2")), "no complete"),
    "7 bits": (conv("a", "data", xilinx(7, 3, 6, TH)), "is 7, the board computes with 6 or 8 bits"),
    "a kernel of 1 x 2": (conv("a", "data", CONV).replace("kernel_size: 1", "kernel_h: 1 kernel_w: 2"), "only squares"),
    "a shift of 0": (conv("a", "data", fixed(8, 4, 8, 4)), "is 0, the board shifts by 1 to 31"),
    "a shift of an average": (
        A + layer("p", "Pooling", "a", "p", same(fixed(8, 4, 12), "AVE", "kernel_size: 2")),
        "is 0; the board shifts by 1 to 31",
    ),
    "three bottoms": (A + layer("e", "Eltwise", "a a a", "e", xilinx(8, 6, 6)), "adds two bottoms"),
    "a maximum": (A + layer("e", "Eltwise", "a a", "e", "eltwise_param { operation: MAX }"), "adds two bottoms"),
    "a mask": (A + layer("p", "Pooling", "a", "p m", same(xilinx(8, 6, 6))), "no mask"),
    "a pad in one direction": (
        A + layer("p", "Pooling", "a", "p", same(xilinx(8, 6, 6), more="kernel_size: 3 pad_h: 1 pad_w: 0")),
        "same stride and pad",
    ),
    "a window that Caffe drops": (
        A + layer("p", "Pooling", "a", "p", same(xilinx(8, 6, 6), more="kernel_size: 2 stride: 3 pad: 1")),
        "the board makes 3 x 4 windows where Caffe makes 3 x 3",
    ),
    "another order": (A + layer("p", "Permute", "a", "p", "permute_param { order: 1 }"), "only the order 0, 2, 3, 1"),
    "floats without a format": (layer("p", "Pooling", "data", "p", same("")), "'data' holds floats"),
    "software behind steps above 1": (
        conv("a", "data", fixed(8, 4, -1, 4)) + layer("s", "Softmax", "a", "s"),
        "runs in software and reads 'a' with fl_layer_out -1",
    ),
    "another type of numbers": (
        layer("a", "ConvolutionRistretto", "data", "a", "convolution_param { num_output: 2 kernel_size: 1 }\n"
              + block({"precision": "MINIFLOAT"}, "quantization_param")),
        "MINIFLOAT is no format of the board",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        prepared(
            INPUT + text,
            {"a": (random(2, 2, 1, 2), WEIGHTS[1])} if "kernel_w: 2" in text else BLOBS,
            {"data": X},
            CHAIDNN,
        )
    (problem,) = caught.value.problems
    assert message in problem


def test_ristrettos_dynamic_fixed_point_is_dynamic_fixed() -> None:
    fields = {"bw_layer_in": 8, "bw_layer_out": 8, "bw_params": 8, "fl_layer_in": 4, "fl_layer_out": 3, "fl_params": 5}
    theirs = conv("a", "data", block(fields, "quantization_param")).replace('"Convolution"', '"ConvolutionRistretto"')
    ours = conv("a", "data", fixed(8, 4, 3, 5))
    found = [run(INPUT + text, BLOBS, {"data": X}, CHAIDNN)["a"].integers[0] for text in (theirs, ours)]
    np.testing.assert_array_equal(found[0], found[1])


def test_software_takes_no_notice_of_a_block() -> None:
    rest = f"inner_product_param {{ num_output: 5 }}\n{block({'precision': 'MINIFLOAT'}, 'quantization_param')}"
    text = INPUT + layer("ip", "FcRistretto", "data", "ip", rest)
    found = run(text, {"ip": (random(5, 84), random(5))}, {"data": X}, CHAIDNN)["ip"]
    np.testing.assert_allclose(found.tops[0], X.reshape(3, -1) @ random(5, 84).T + random(5), atol=1e-4)


def test_an_input_that_is_no_number() -> None:
    x = X.copy()
    x[1, 1, 1, 1] = np.nan
    with pytest.raises(LayerError, match=r'layer "a" .* NaN or infinite'):
        run(INPUT + conv("a", "data", CONV), BLOBS, {"data": x}, CHAIDNN)


def test_weights_and_biases_that_were_clipped_are_counted() -> None:
    text = INPUT + conv("a", "data", xilinx(8, 3, 0.5, (0.01, 0.01)))
    assert simulation(text).clipped == {1: int(np.sum(np.abs(WEIGHTS[0]) > 0.01) + np.sum(np.abs(WEIGHTS[1]) > 0.5))}
