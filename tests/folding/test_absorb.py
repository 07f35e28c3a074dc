"""The arithmetic against the reference forward: a law for every shape of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.small_nets import by_name, data, layer, net_of
from xportdnn.folding.absorb import after, before
from xportdnn.folding.affine import Affine
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.network import Layer

GROUPS = st.sampled_from([(1, 3, 5), (2, 4, 6), (3, 6, 3), (4, 4, 4), (4, 4, 8)])  # group, channels, num_output
BITS = st.integers(0, 2**32 - 1)


@st.composite
def cases(draw: st.DrawFn, *kinds: str) -> tuple[Layer, Shape, np.random.Generator]:
    """A layer with weights, the shape of its bottom, and random numbers for it."""
    kind = draw(st.sampled_from(kinds))
    rng = np.random.default_rng(draw(BITS))
    bias = draw(st.booleans())
    if kind == "InnerProduct":
        transpose, channels, outputs = draw(st.booleans()), draw(st.integers(1, 4)), draw(st.integers(1, 5))
        fields = f"num_output: {outputs} bias_term: {str(bias).lower()} transpose: {str(transpose).lower()}"
        text, field = f"inner_product_param {{ {fields} }}", (2, channels, 3, 4)
    else:
        group, channels, outputs = draw(GROUPS)
        stride, dilation = draw(st.integers(1, 2)), draw(st.integers(1, 2))
        fields = f"num_output: {outputs} kernel_h: 2 kernel_w: 3 group: {group} stride: {stride} dilation: {dilation}"
        text = f"convolution_param {{ {fields} bias_term: {str(bias).lower()} }}"
        field = (2, channels, 6, 7)
    net = net_of(data(*field) + layer("it", kind, "data", "it", text))
    return by_name(net, "it"), field, rng


def numbers(rng: np.random.Generator, *shape: int) -> Array:
    return rng.uniform(-2, 2, shape).astype(np.float32)


def blobs_of(each: Layer, bottom: Shape, rng: np.random.Generator) -> Arrays:
    assert each.kind is not None
    return tuple(numbers(rng, *shape) for shape in each.kind.blobs(each.params, (bottom,)))


def forward(each: Layer, bottom: Array, blobs: Arrays) -> Array:
    """The layer's top, with a bias where there are two blobs."""
    assert each.kind is not None
    params: Any = type(each.params)(**{**vars(each.params), "bias_term": len(blobs) == 2})
    (top,) = each.kind.forward(params, (bottom,), blobs)
    return top


def assert_close(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(np.abs(expected).max(), 1))


def affine_of(rng: np.random.Generator, channels: int) -> Affine:
    return Affine(rng.uniform(-2, 2, channels), rng.uniform(-2, 2, channels))


def along_channels(affine: Affine, x: Array) -> Array:
    scale, shift = (each.reshape(1, -1, *(1,) * (x.ndim - 2)) for each in affine)
    return (x * scale + shift).astype(np.float32)


@settings(max_examples=60)
@given(cases("Convolution", "Deconvolution", "InnerProduct"))
def test_what_follows(case: tuple[Layer, Shape, np.random.Generator]) -> None:
    each, shape, rng = case
    bottom, blobs = numbers(rng, *shape), blobs_of(each, shape, rng)
    affine = affine_of(rng, each.params.num_output)
    expected = along_channels(affine, forward(each, bottom, blobs))
    assert_close(forward(each, bottom, after(each, blobs, affine)), expected)


@settings(max_examples=60)
@given(cases("Convolution", "InnerProduct"))
def test_what_stands_before(case: tuple[Layer, Shape, np.random.Generator]) -> None:
    each, shape, rng = case
    bottom, blobs = numbers(rng, *shape), blobs_of(each, shape, rng)
    affine = affine_of(rng, shape[1])
    expected = forward(each, along_channels(affine, bottom), blobs)
    assert_close(forward(each, bottom, before(each, blobs, affine, shape)), expected)


@settings(max_examples=20)
@given(BITS, st.integers(1, 5))
def test_one_after_the_other_is_both(seed: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    first, second, x = affine_of(rng, channels), affine_of(rng, channels), numbers(rng, 2, channels, 3)
    assert_close(along_channels(first.then(second), x), along_channels(second, along_channels(first, x)))


def test_the_arguments_stay_as_they_are() -> None:
    """Blobs are views of a file that is mapped read-only."""
    net = net_of(data(1, 2, 3, 4) + layer("it", "InnerProduct", "data", "it", "inner_product_param { num_output: 2 }"))
    blobs = blobs_of(by_name(net, "it"), (1, 2, 3, 4), np.random.default_rng(0))
    for blob in blobs:
        blob.flags.writeable = False
    affine = Affine(np.full(2, 3.0), np.full(2, 4.0))
    before(by_name(net, "it"), after(by_name(net, "it"), blobs, affine), affine, (1, 2, 3, 4))
