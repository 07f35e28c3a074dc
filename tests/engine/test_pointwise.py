"""Layers that change every number by itself, alone and behind a convolution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.networks import assert_like_the_reference, assert_program_like_the_reference, network, one_layer
from tests.small_nets import conv, data, layer
from xportdnn.engine.pointwise import Affine, merged
from xportdnn.layers import Shape

SHAPES = [
    pytest.param((1, 5, 7, 6), id="image"),
    pytest.param((1, 11), id="vector"),
    pytest.param((2, 3, 4), id="plain"),
]
LAYERS = {
    "relu": ("ReLU", ""),
    "leaky": ("ReLU", "relu_param { negative_slope: 0.25 }"),
    "steeper-below": ("ReLU", "relu_param { negative_slope: 1.5 }"),
    "prelu": ("PReLU", ""),
    "prelu-shared": ("PReLU", "prelu_param { channel_shared: true }"),
    "relu6": ("ReLU6", ""),
    "clip": ("Clip", "clip_param { min: -0.5 max: 0.75 }"),
    "batch-norm": ("BatchNorm", ""),
    "batch-norm-of-the-batch": ("BatchNorm", "batch_norm_param { use_global_stats: false }"),
    "scale": ("Scale", ""),
    "scale-bias": ("Scale", "scale_param { bias_term: true }"),
    "scale-last-axis": ("Scale", "scale_param { axis: -1 }"),
    "scale-two-axes": ("Scale", "scale_param { num_axes: -1 bias_term: true }"),
    "bias": ("Bias", ""),
    "bias-of-one-value": ("Bias", "bias_param { num_axes: 0 }"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", LAYERS)
def test_one_bottom(name: str, shape: Shape) -> None:
    assert_like_the_reference(one_layer(*LAYERS[name], shape))


def test_a_large_mean_is_taken_off_before_anything_is_rounded() -> None:
    case = one_layer("BatchNorm", "", (1, 3, 5, 4))
    (index,) = (layer.index for layer in case.net.layers if layer.name == "it")
    blobs = (np.full(3, 3e4, np.float32), np.full(3, 0.01, np.float32), np.ones(1, np.float32))
    feeds = case.feeds()
    near = {value: np.float32(3e4) + array for value, array in feeds.items()}
    changed = type(case)(case.net, {**case.weights, index: blobs}, case.shapes)
    expected = changed.reference(near)
    for value, array in changed.program().run(near):
        np.testing.assert_allclose(array, expected[value], rtol=1e-6, err_msg=value.blob)


values = st.lists(st.floats(-4, 4), min_size=3, max_size=3).map(np.array)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(values, values, values), min_size=1, max_size=4), x=values)
def test_affine_steps_merge_to_one(steps: list[tuple[Shape, Shape, Shape]], x: Shape) -> None:
    parts = [Affine(*map(np.asarray, step)) for step in steps]
    (whole,) = merged(parts)
    assert isinstance(whole, Affine)
    expected = np.asarray(x, np.float64)
    for part in parts:
        expected = (expected - part.mean) * part.scale + part.shift
    found = (x - whole.mean) * whole.scale + whole.shift
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


CHAIN = data(1, 3, 10, 12) + conv("conv", "data", "conv", 6, "kernel_size: 3")
FOLLOWERS = {
    "batch-norm-scale-relu": (("BatchNorm", ""), ("Scale", "scale_param { bias_term: true }"), ("ReLU", "")),
    "prelu": (("PReLU", ""),),
    "relu-scale": (("ReLU", ""), ("Scale", "")),
    "bias-clip-bias": (("Bias", ""), ("Clip", "clip_param { min: -1 max: 1 }"), ("Bias", "")),
    "dropout-between": (("Dropout", ""), ("ReLU", "")),
}


@pytest.mark.parametrize("in_place", [True, False], ids=["in-place", "own-tops"])
@pytest.mark.parametrize("name", FOLLOWERS)
def test_what_follows_a_convolution_is_done_with_it(name: str, in_place: bool) -> None:
    text, bottom = CHAIN, "conv"
    for index, (kind, params) in enumerate(FOLLOWERS[name]):
        top = "conv" if in_place else f"top{index}"
        text += layer(f"after{index}", kind, bottom, top, params)
        bottom = top
    case = network(text)
    last = case.net.layers[-1].tops[0]
    assert_program_like_the_reference(case, [last])
    assert_program_like_the_reference(case)
