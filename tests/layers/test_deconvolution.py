"""Deconvolution: against literal loops, worked by hand, against OpenCV, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.layers import naive
from tests.layers.one_layer import blob, decoded, shapes, values
from tests.layers.weighted import (
    assert_close,
    assert_images_alone,
    assert_refused,
    blob_shapes,
    forward,
    opencv,
    random_blobs,
    top,
)
from xportdnn import kernels
from xportdnn.layers.deconvolution import KIND


def deconv(block: str) -> str:
    return f'type: "Deconvolution" convolution_param {{ {block} }}'


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=40, deadline=None)
@given(
    kernel=pairs,
    stride=pairs,
    dilation=pairs,
    pad=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    size=st.sampled_from([(3, 5), (5, 3), (4, 1)]),
    groups=st.sampled_from([(1, 3, 4), (2, 4, 6), (3, 3, 3), (3, 3, 6)]),
)
def test_agrees_with_literal_loops(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pad: tuple[int, int],
    size: tuple[int, int],
    groups: tuple[int, int, int],
) -> None:
    steps = naive.Steps(kernel, stride, pad, dilation)
    assume(all(stride[axis] * (size[axis] - 1) + steps.extent(axis) > 2 * pad[axis] for axis in (0, 1)))
    group, channels, num_output = groups
    body = deconv(
        f"num_output: {num_output} group: {group} kernel_h: {kernel[0]} kernel_w: {kernel[1]} "
        f"stride_h: {stride[0]} stride_w: {stride[1]} pad: {pad[0]} pad: {pad[1]} "
        f"dilation: {dilation[0]} dilation: {dilation[1]}"
    )
    x = blob(2, channels, *size)
    weight, bias = random_blobs(body, x.shape)
    assert_close(top(body, x, blobs=(weight, bias)), naive.deconvolution(x, weight, bias, steps, group))


def test_worked_by_hand() -> None:
    x = values(1, 2).reshape(1, 1, 1, 2)
    weight = values(1, 10, 100).reshape(1, 1, 1, 3)
    result = top(deconv("num_output: 1 kernel_h: 1 kernel_w: 3 stride: 2"), x, blobs=(weight, values(0.5)))
    np.testing.assert_array_equal(result, [[[[1.5, 10.5, 102.5, 20.5, 200.5]]]])


def test_a_stride_beyond_the_kernel_leaves_gaps_of_bias() -> None:
    x, weight = values(1, 2).reshape(1, 1, 2), values(10).reshape(1, 1, 1)
    result = top(deconv("num_output: 1 kernel_size: 1 stride: 3"), x, blobs=(weight, values(0.5)))
    np.testing.assert_array_equal(result, [[[10.5, 0.5, 0.5, 20.5]]])


def test_is_the_transpose_of_convolution() -> None:
    block = "kernel_size: 3 stride: 2 pad: 1 group: 2 bias_term: false"
    x, y = blob(2, 4, 7, 9), blob(2, 6, 4, 5, seed=1)
    weight = blob(6, 2, 3, 3, seed=2)
    convolved = top(f'type: "Convolution" convolution_param {{ num_output: 6 {block} }}', x, blobs=(weight,))
    spread = top(deconv(f"num_output: 4 {block}"), y, blobs=(weight,))
    np.testing.assert_allclose(np.vdot(convolved, y), np.vdot(x, spread), rtol=1e-4)


def test_bottoms_share_the_weights() -> None:
    body = deconv("num_output: 4 kernel_size: 3")
    first, second = blob(2, 3, 5, 6), blob(2, 3, 5, 6, seed=1)
    blobs = random_blobs(body, first.shape)
    tops = forward(body, first, second, blobs=blobs, tops=2)
    np.testing.assert_array_equal(tops[1], top(body, second, blobs=blobs))


def test_a_batch_gives_what_its_images_give() -> None:
    body = deconv("num_output: 6 kernel_size: 4 stride: 2 pad: 1 group: 2")
    x = blob(3, 4, 5, 7)
    assert_images_alone(body, x, random_blobs(body, x.shape))


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    body = deconv("num_output: 4 kernel_size: 3 stride: 2 pad: 1")
    x = blob(2, 3, 5, 7)
    blobs = random_blobs(body, x.shape)
    whole = top(body, x, blobs=blobs)
    monkeypatch.setattr(kernels, "COLUMN_BUFFER", 1)
    assert_close(top(body, x, blobs=blobs), whole)


@pytest.mark.parametrize(
    ("block", "channels"),
    [
        pytest.param("num_output: 6 kernel_size: 4 stride: 2 pad: 1", 4, id="plain"),
        pytest.param("num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 4 bias_term: false", 4, id="upsampling"),
    ],
)
def test_agrees_with_opencv(block: str, channels: int) -> None:
    x = blob(2, channels, 5, 7)
    blobs = random_blobs(deconv(block), x.shape)
    assert_close(top(deconv(block), x, blobs=blobs), opencv(deconv(block), x, blobs=blobs))


def test_weights_have_the_bottoms_channels_first() -> None:
    body = deconv("num_output: 6 group: 2 kernel_h: 2 kernel_w: 3")
    assert blob_shapes(body, (2, 4, 5, 7)) == ((4, 3, 2, 3), (6,))


@pytest.mark.parametrize("channel", range(6))
def test_each_row_of_channels_makes_one_output_channel(channel: int) -> None:
    body = deconv("num_output: 6 group: 2 kernel_size: 3 bias_term: false")
    x = blob(2, 4, 5, 7)
    (weight,) = random_blobs(body, x.shape)
    places = np.arange(weight.size, dtype=np.float32).reshape(weight.shape)
    assert KIND.channels is not None
    row = KIND.channels(decoded(body, 1, 1)[1], places)[channel].astype(int)
    lone = np.zeros_like(weight)
    lone.flat[row] = weight.flat[row]
    alone, whole = top(body, x, blobs=(lone,)), top(body, x, blobs=(weight,))
    np.testing.assert_array_equal(alone[:, channel], whole[:, channel])


def test_rows_of_channels_hold_every_weight_once() -> None:
    places = np.arange(4 * 3 * 2 * 2, dtype=np.float32).reshape(4, 3, 2, 2)
    assert KIND.channels is not None
    rows = KIND.channels(decoded(deconv("num_output: 6 group: 2 kernel_size: 2"), 1, 1)[1], places)
    assert rows.shape == (6, 8)
    assert sorted(rows.ravel()) == list(range(places.size))


def test_top_size() -> None:
    assert shapes(deconv("num_output: 4 kernel_size: 4 stride: 2 pad: 1"), (2, 3, 5, 7)) == ((2, 4, 10, 14),)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("kernel_size: 3", "num_output is missing or 0", id="no-num_output"),
        pytest.param("num_output: 4", "kernel_size is missing", id="no-kernel"),
        pytest.param("num_output: 4 kernel_size: 3 group: 2", r"channels \(3\).*2 groups", id="group"),
        pytest.param("num_output: 4 kernel_size: 1 pad: 3", "pad 3 leaves -1 cells", id="pad-takes-all"),
    ],
)
def test_refused(block: str, message: str) -> None:
    assert_refused(deconv(block), (2, 3, 5, 7), message=message)
