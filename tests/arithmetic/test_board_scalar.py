"""The board against an independent implementation in loops, on layers made to meet every limit."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.arithmetic import scalar_board
from tests.arithmetic.arrays import f32
from tests.arithmetic.scalar_board import Events, Geometry, Stage
from xportdnn.arithmetic.board import eltwise, pooling, weights
from xportdnn.arithmetic.board.convolution import Result, convolution
from xportdnn.arithmetic.board.saturations import Saturations
from xportdnn.arithmetic.board.weights import Stored
from xportdnn.choices import Triple
from xportdnn.kernels import Windows

Integers = NDArray[np.int8]


class Layer(NamedTuple):
    """A convolution over one pair of images."""

    images: Integers
    stored: Stored
    kernel: int
    geometry: Geometry
    size: tuple[int, int]
    relu: bool


def ours(layer: Layer) -> Result:
    geometry = layer.geometry
    windows = Windows(*((side, side) for side in (layer.kernel, *geometry[:3])))
    return convolution(layer.images, layer.stored, windows, layer.size, geometry.group, layer.relu)


def theirs(layer: Layer) -> tuple[Any, Events]:
    stored = layer.stored
    factors = [1] * len(stored.bias) if stored.scale is None else [int(scale) % 2**24 for scale in stored.scale]
    places = 0 if stored.scale is None else 14
    stages = [Stage(f, int(b) * 2**places, stored.shift) for f, b in zip(factors, stored.bias, strict=True)]
    images, weight = layer.images.tolist(), stored.weights.tolist()
    return scalar_board.convolution(images, weight, stages, layer.geometry, layer.size, six=stored.six, relu=layer.relu)


def events(saturations: Saturations) -> Events:
    counted = saturations
    return Events(counted.wraps, counted.accumulators, counted.words, counted.roundings, counted.outputs)


def integers(rng: np.random.Generator, shape: tuple[int, ...], bits: int, one_sided: float) -> Integers:
    """Codes of a width; `one_sided` of them near the limits, with signs that do not cancel."""
    top = 2 ** (bits - 1) - 1
    codes = rng.integers(-top - 1, top + 1, shape)
    large = rng.integers(top * 3 // 4, top + 1, shape)
    return np.where(rng.random(shape) < one_sided, large, codes).astype(np.int8)


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits = draw(st.sampled_from([6, 8]))
    group = draw(st.sampled_from([1, 2]))
    # the channel counts are chosen for one, two or four chunks
    kernel, channels = draw(
        st.sampled_from([(1, 3), (1, 12), (1, 1400), (1, 2048), (3, 5), (3, 16), (3, 256), (5, 88), (7, 48)])
    )
    channels += channels % group
    small = kernel * kernel * channels < 200
    num_output = group * draw(st.integers(1, 3 if small else 1))
    size = (2, 3) if small else (1, 1)
    stride, dilation = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    pad = draw(st.integers(0, kernel - 1))
    extent = dilation * (kernel - 1) + 1
    height, width = (max(1, (count - 1) * stride + extent - 2 * pad) for count in size)
    one_sided = draw(st.sampled_from([0.0, 0.5, 1.0]))
    images = integers(rng, (2, channels, height, width), bits, one_sided)
    weight = integers(rng, (num_output, channels // group, kernel, kernel), bits, one_sided)
    weight *= rng.choice(np.array([-1, 1], np.int8), (num_output, 1, 1, 1))
    if draw(st.booleans()):  # two chunks of opposite signs
        weight[:, weight.shape[1] // 2 :] *= -1
    for place in draw(st.sets(st.integers(0, 3), max_size=2)):  # only some of every four channels
        weight[:, place::4] = 0
    bias = rng.integers(-(2**15), 2**15, num_output).astype(np.int16)
    scale = None
    shift = draw(st.integers(1, 31))
    if draw(st.booleans()):
        scale, shift = (2 ** rng.uniform(0, 26, num_output)).astype(np.uint32), 22
    stored = Stored(weight, bias, scale, shift, bits == 6, Saturations())
    return Layer(images, stored, kernel, Geometry(stride, pad, dilation, group), size, draw(st.booleans()))


@settings(max_examples=120, deadline=None)
@given(layers())
def test_convolution(layer: Layer) -> None:
    result = ours(layer)
    top, met = theirs(layer)
    assert result.top.tolist() == top
    assert events(result.saturations) == met


def uniform(bits: int, channels: int, weight: int, image: int, scale: int = 1 << 11, opposite: int = 0) -> Layer:
    """A 1x1 convolution of constant images: one pixel, one output.

    Args:
        opposite: that many of the last channels have the negative weight.
    """
    codes = np.full((2, channels, 1, 1), image, np.int8)
    matrix = np.full((1, channels, 1, 1), weight, np.int8)
    matrix[:, channels - opposite :] *= -1
    stored = Stored(matrix, np.zeros(1, np.int16), np.array([scale], np.uint32), 22, bits == 6, Saturations())
    return Layer(codes, stored, 1, Geometry(1, 0, 1, 1), (1, 1), relu=False)


def silenced(layer: Layer, places: list[int]) -> Layer:
    """Without some of every four channels."""
    for place in places:
        layer.stored.weights[:, place::4] = 0
    return layer


LIMITS = {
    "24 bits hold 520 full products": (uniform(8, 520, 127, 127), {"accumulators"}),
    "24 bits wrap with 512 of -128": (uniform(8, 512, -128, -128), {"wraps", "accumulators"}),
    "24 bits wrap with 521": (uniform(8, 521, 127, 127), {"wraps", "accumulators"}),
    "18 bits hold 136 products of 6 bits": (uniform(6, 136, 31, 31), {"outputs"}),
    "18 bits saturate with 137": (uniform(6, 137, 31, 31), {"accumulators", "outputs"}),
    "20 bits hold 545 products of 6 bits": (uniform(6, 545, 31, 31), {"accumulators", "outputs"}),
    "20 bits of image 1 wrap with 546": (uniform(6, 546, 31, 31), {"wraps", "accumulators", "outputs"}),
    "20 bits of image 1 wrap with 512 of -32": (uniform(6, 512, -32, -32), {"wraps", "accumulators", "outputs"}),
    "20 bits of both wrap with 546 in one half": (
        silenced(uniform(6, 1092, 31, 31), [2, 3]),
        {"wraps", "accumulators", "outputs"},
    ),
    "20 bits of both wrap with 546 in each half": (uniform(6, 1092, 31, 31), {"wraps", "accumulators", "outputs"}),
    "a running sum returns within its chunk": (uniform(8, 16, 127, 127, opposite=4), set()),
    "a limit sticks and positive wins": (uniform(8, 2048, 8, 127, opposite=1024), {"accumulators"}),
    "18 bits saturate with two chunks": (uniform(8, 2048, 1, 127), {"accumulators"}),
    "32 bits wrap": (uniform(8, 1, 127, 127, 1 << 18), {"words"}),
    "rounding wraps from 511.5 on": (uniform(8, 1, 93, 11, 1 << 21), {"roundings", "outputs"}),
    "rounding wraps": (uniform(8, 1, 127, 127, 2**31 // 127**2), {"roundings", "outputs"}),
    "a factor of 4 is lost": (uniform(8, 1, 127, 127, 1 << 24), set()),
}


@pytest.mark.parametrize(("layer", "met"), LIMITS.values(), ids=LIMITS)
def test_each_limit_is_counted(layer: Layer, met: set[str]) -> None:
    counted = events(ours(layer).saturations)
    assert counted == theirs(layer)[1]
    assert {name for name, count in asdict(counted).items() if count} == met


@pytest.mark.parametrize(("layer", "met"), LIMITS.values(), ids=LIMITS)
def test_outputs_at_each_limit(layer: Layer, met: set[str]) -> None:
    assert ours(layer).top.tolist() == theirs(layer)[0]


@settings(max_examples=200, deadline=None)
@given(
    image=st.integers(-128, 127),
    weight=st.integers(-127, 127),
    bias=st.integers(-(2**15), 2**15 - 1),
    beyond=st.integers(-(2**23), 2**23),
    relu=st.booleans(),
)
def test_the_output_stage_near_its_32_bit_limits(image: int, weight: int, bias: int, beyond: int, relu: bool) -> None:
    layer = uniform(8, 1, weight, image, abs(2**31 + beyond - bias * 2**14) // max(1, abs(image * weight)) % 2**24)
    layer.stored.bias[:] = bias
    layer = layer._replace(relu=relu)
    result = ours(layer)
    top, met = theirs(layer)
    assert (result.top.tolist(), events(result.saturations)) == (top, met)


def test_image_1_receives_what_image_0_carries() -> None:
    """A black image beside one whose half sums pass 2**19: one carry for each half."""
    layer = uniform(6, 1200, 31, 31, 1 << 22)
    layer.images[1] = 0
    assert ours(layer).top[1].tolist() == theirs(layer)[0][1] == [[[2]]]


def test_the_last_of_an_odd_number_of_images_is_an_image_0() -> None:
    layer = uniform(6, 1200, 31, 31)
    third = ours(layer._replace(images=np.concatenate((layer.images, layer.images[:1])))).top[2]
    np.testing.assert_array_equal(third, ours(layer).top[0])


FLOATS = st.floats(-40, 40, width=32)
POSITIVE = st.floats(2.0**-4, 2.0**4, width=32)
WIDTHS = st.sampled_from([6, 8])


@settings(max_examples=200, deadline=None)
@given(
    weight=st.lists(FLOATS, min_size=1, max_size=8),
    bias=FLOATS,
    bits=st.builds(Triple, WIDTHS, WIDTHS, WIDTHS),
    th=st.tuples(POSITIVE, st.one_of(POSITIVE, st.just(0.0)), POSITIVE),
)
def test_stored_in_xilinx_mode(weight: list[float], bias: float, bits: Triple, th: tuple[float, float, float]) -> None:
    th_in, th_params, th_out = th
    scale = scalar_board.xilinx_scale(th_params, bits.params, th_in, bits.layer_in, th_out, bits.layer_out)
    matrix, biases = f32(weight).reshape(1, -1, 1, 1), f32([bias])
    stored = weights.xilinx(matrix, biases, bits, th_in, [th_params], th_out)
    assert stored.scale is not None
    assert stored.weights.ravel().tolist() == [scalar_board.by_threshold(w, th_params, bits.params) for w in weight]
    assert stored.bias.tolist() == [scalar_board.xilinx_bias(bias, th_out, bits.layer_out)]
    assert stored.scale.tolist() == [scale]
    assert stored.saturations == Saturations(
        weights=sum(abs(w) > th_params for w in weight), biases=int(abs(bias) > th_out), factors=int(scale >= 2**24)
    )


@settings(max_examples=200, deadline=None)
@given(
    weight=st.lists(FLOATS, min_size=1, max_size=8),
    bias=FLOATS,
    bits=st.builds(Triple, WIDTHS, WIDTHS, WIDTHS),
    fl_in=st.integers(0, 8),
    fl_params=st.integers(0, 10),
    shift=st.integers(1, 20),
)
def test_stored_in_dynamic_fixed_mode(
    weight: list[float], bias: float, bits: Triple, fl_in: int, fl_params: int, shift: int
) -> None:
    fl = Triple(fl_in, fl_params, fl_in + fl_params - shift)
    stored = weights.dynamic_fixed(f32(weight).reshape(1, -1, 1, 1), f32([bias]), bits, fl)
    expected = scalar_board.dynamic_fixed_bias(bias, bits.layer_out, *fl)
    assert stored.weights.ravel().tolist() == [scalar_board.by_format(w, bits.params, fl_params) for w in weight]
    assert stored.bias.tolist() == [expected]
    assert stored.shift == shift


class Pooled(NamedTuple):
    """A pooling layer over one image."""

    images: Integers
    kernel: int
    stride: int
    pad: int

    @property
    def windows(self) -> Windows:
        return Windows(*((side, side) for side in (*self[1:], 1)))


POOLED_SIZE = (2, 3)


@st.composite
def pooled(draw: st.DrawFn) -> Pooled:
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    pad = draw(st.integers(0, kernel - 1))
    overhang = draw(st.integers(0, 1))
    height, width = (max(1, (count - 1) * stride + kernel - 2 * pad - overhang) for count in POOLED_SIZE)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = rng.integers(-128, 128, (1, 2, height, width)).astype(np.int8)
    return Pooled(images if draw(st.booleans()) else -np.abs(images // 2), kernel, stride, pad)


@settings(max_examples=60, deadline=None)
@given(pooled())
def test_max_pooling(layer: Pooled) -> None:
    top = pooling.maximum(layer.images, layer.windows, POOLED_SIZE)
    image = layer.images[0].tolist()
    assert top[0].tolist() == scalar_board.max_pooling(image, layer.kernel, layer.stride, layer.pad, POOLED_SIZE)


def scalar_average(layer: Pooled, one: int, shift: int) -> scalar_board.Image:
    image, steps = layer.images[0].tolist(), (layer.kernel, layer.stride, layer.pad)
    return scalar_board.average_pooling(image, *steps, POOLED_SIZE, one, shift)


@settings(max_examples=60, deadline=None)
@given(pooled())
def test_average_pooling_in_xilinx_mode(layer: Pooled) -> None:
    top = pooling.average_xilinx(layer.images, layer.windows, POOLED_SIZE)
    assert top[0].tolist() == scalar_average(layer, 65536, 16)


@settings(max_examples=60, deadline=None)
@given(pooled(), st.integers(-3, 7), st.integers(1, 18))
def test_average_pooling_in_dynamic_fixed_mode(layer: Pooled, fl_in: int, shift: int) -> None:
    result = pooling.average_dynamic_fixed(layer.images, layer.windows, POOLED_SIZE, fl_in, fl_in + 8 - shift)
    assert result.top[0].tolist() == scalar_average(layer, 256, shift)


@pytest.mark.parametrize("bits", [6, 8])
@pytest.mark.parametrize("relu", [False, True], ids=["plain", "relu"])
def test_eltwise_of_all_pairs_of_codes(bits: int, relu: bool) -> None:
    codes = np.arange(-128, 128).astype(np.int8)
    first, second = np.repeat(codes, 256), np.tile(codes, 256)
    expected = [scalar_board.eltwise(int(a), int(b), bits == 6, relu) for a in codes for b in codes]
    assert eltwise.add(first, second, bits, relu).top.tolist() == expected
