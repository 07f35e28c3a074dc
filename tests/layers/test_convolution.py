"""Convolution: against literal loops, worked by hand, against OpenCV, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.layers import naive
from tests.layers.one_layer import blob, counting, decoded, shapes, values
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
from xportdnn.layers import Array, kind
from xportdnn.layers.convolution import KIND


def conv(block: str) -> str:
    return f'type: "Convolution" convolution_param {{ {block} }}'


def ones(*shape: int) -> Array:
    return np.ones(shape, np.float32)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=40, deadline=None)
@given(
    kernel=pairs,
    stride=pairs,
    dilation=pairs,
    pad=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    size=st.sampled_from([(5, 7), (7, 5), (4, 9)]),
    # (group, channels, num_output): plain, grouped, depthwise, depthwise with two outputs each
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
    assume(min(naive.convolved_size(steps, size)) > 0)
    group, channels, num_output = groups
    body = conv(
        f"num_output: {num_output} group: {group} kernel_h: {kernel[0]} kernel_w: {kernel[1]} "
        f"stride: {stride[0]} stride: {stride[1]} pad_h: {pad[0]} pad_w: {pad[1]} "
        f"dilation: {dilation[0]} dilation: {dilation[1]}"
    )
    x = blob(2, channels, *size)
    weight, bias = random_blobs(body, x.shape)
    assert_close(top(body, x, blobs=(weight, bias)), naive.convolution(x, weight, bias, steps, group))


def test_worked_by_hand() -> None:
    x = counting(1, 1, 3, 3)
    weight = np.array([[[[1, 10], [100, 1000]]]], np.float32)
    result = top(conv("num_output: 1 kernel_size: 2"), x, blobs=(weight, values(0.5)))
    np.testing.assert_array_equal(result, [[[[4310.5, 5421.5], [7643.5, 8754.5]]]])


def test_kernel_beyond_the_input_gives_one_output_if_a_stride_covers_it() -> None:
    result = top(conv("num_output: 1 kernel_size: 3 stride: 2"), ones(1, 1, 2, 2), blobs=(ones(1, 1, 3, 3), values(0)))
    np.testing.assert_array_equal(result, [[[[4]]]])


def test_pad_larger_than_the_kernel_leaves_a_border_of_bias() -> None:
    result = top(conv("num_output: 1 kernel_size: 1 pad: 2"), ones(1, 1, 1, 1), blobs=(ones(1, 1, 1, 1), values(7)))
    np.testing.assert_array_equal(result[0, 0, 2], [7, 7, 8, 7, 7])


def test_pad_h_alone_leaves_the_width_without_pad() -> None:
    assert shapes(conv("num_output: 4 kernel_size: 3 pad_h: 1"), (2, 3, 5, 7)) == ((2, 4, 5, 5),)


def test_one_spatial_axis_is_a_plane_of_height_one() -> None:
    x, weight, bias = blob(2, 3, 7), blob(4, 3, 3, seed=1), blob(4, seed=2)
    line = top(conv("num_output: 4 kernel_size: 3 stride: 2 pad: 1"), x, blobs=(weight, bias))
    plane = top(
        conv("num_output: 4 kernel_h: 1 kernel_w: 3 stride: 1 stride: 2 pad_w: 1"),
        x[:, :, None].copy(),
        blobs=(weight[:, :, None].copy(), bias),
    )
    assert_close(line, plane[:, :, 0])


def test_three_spatial_axes_sum_over_the_planes() -> None:
    x, weight = blob(2, 3, 2, 5, 6), blob(4, 3, 2, 3, 3, seed=1)
    volume = top(
        conv("num_output: 4 kernel_size: 2 kernel_size: 3 kernel_size: 3 bias_term: false"), x, blobs=(weight,)
    )
    body = conv("num_output: 4 kernel_size: 3 bias_term: false")
    planes = [top(body, x[:, :, depth].copy(), blobs=(weight[:, :, depth].copy(),)) for depth in (0, 1)]
    assert_close(volume[:, :, 0], planes[0] + planes[1])


def test_axes_before_the_channel_axis_count_images() -> None:
    x, blobs = blob(2, 3, 4, 5, 6), (blob(7, 4, 3, 3, seed=1), blob(7, seed=2))
    deeper = top(conv("num_output: 7 kernel_size: 3 axis: -3"), x, blobs=blobs)
    flat = top(conv("num_output: 7 kernel_size: 3"), x.reshape(6, 4, 5, 6), blobs=blobs)
    np.testing.assert_array_equal(deeper, flat.reshape(2, 3, 7, 3, 4))


def test_bottoms_share_the_weights() -> None:
    body = conv("num_output: 4 kernel_size: 3")
    first, second = blob(2, 3, 5, 6), blob(2, 3, 5, 6, seed=1)
    blobs = random_blobs(body, first.shape)
    tops = forward(body, first, second, blobs=blobs, tops=2)
    np.testing.assert_array_equal(tops[1], top(body, second, blobs=blobs))


def test_a_batch_gives_what_its_images_give() -> None:
    body = conv("num_output: 6 kernel_size: 3 group: 2 pad: 1")
    x = blob(3, 4, 5, 7)
    assert_images_alone(body, x, random_blobs(body, x.shape))


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    body = conv("num_output: 4 kernel_size: 3 stride: 2 pad: 1")
    x = blob(2, 3, 9, 7)
    blobs = random_blobs(body, x.shape)
    whole = top(body, x, blobs=blobs)
    monkeypatch.setattr(kernels, "COLUMN_BUFFER", 1)
    assert_close(top(body, x, blobs=blobs), whole)


@pytest.mark.parametrize(
    ("block", "channels"),
    [
        pytest.param("num_output: 4 kernel_size: 3 pad: 1 stride: 2", 3, id="stride"),
        pytest.param("num_output: 4 kernel_size: 3 dilation: 2", 3, id="dilation"),
        pytest.param("num_output: 6 kernel_h: 1 kernel_w: 3 group: 2", 4, id="group"),
        pytest.param("num_output: 4 kernel_size: 3 group: 4 bias_term: false", 4, id="depthwise"),
    ],
)
def test_agrees_with_opencv(block: str, channels: int) -> None:
    x = blob(2, channels, 7, 9)
    blobs = random_blobs(conv(block), x.shape)
    assert_close(top(conv(block), x, blobs=blobs), opencv(conv(block), x, blobs=blobs))


def test_weights() -> None:
    body = conv("num_output: 6 group: 2 kernel_h: 2 kernel_w: 3")
    assert blob_shapes(body, (2, 4, 5, 7)) == ((6, 2, 2, 3), (6,))


def test_weights_without_bias() -> None:
    assert blob_shapes(conv("num_output: 6 kernel_size: 3 bias_term: false"), (2, 4, 5, 7)) == ((6, 4, 3, 3),)


def test_each_row_of_channels_makes_one_output_channel() -> None:
    body = conv("num_output: 6 group: 2 kernel_size: 3 bias_term: false")
    x = blob(2, 4, 5, 7)
    (weight,) = random_blobs(body, x.shape)
    params = decoded(body, 1, 1)[1]
    assert KIND.channels is not None
    rows = KIND.channels(params, weight)
    lone = np.zeros_like(weight)
    lone[4] = rows[4].reshape(weight.shape[1:])
    np.testing.assert_array_equal(top(body, x, blobs=(lone,))[:, 4], top(body, x, blobs=(weight,))[:, 4])


@pytest.mark.parametrize("name", ["DepthwiseConvolution", "ConvolutionDepthwise", "ConvolutionRistretto"])
def test_names_in_other_forks(name: str) -> None:
    assert kind(name) is KIND


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("kernel_size: 3", "num_output is missing or 0", id="no-num_output"),
        pytest.param("num_output: 4", "kernel_size is missing", id="no-kernel"),
        pytest.param("num_output: 4 kernel_size: 0", "kernel_size must be at least 1", id="kernel-0"),
        pytest.param("num_output: 4 kernel_size: 3 stride: 0", "stride must be at least 1", id="stride-0"),
        pytest.param("num_output: 4 kernel_size: 3 dilation: 0", "dilation must be at least 1", id="dilation-0"),
        pytest.param("num_output: 4 kernel_size: 3 kernel_h: 3", "kernel_size and kernel_h/kernel_w", id="both-ways"),
        pytest.param("num_output: 4 kernel_h: 3", "kernel_h is given without kernel_w", id="kernel_h-alone"),
        pytest.param("num_output: 4 kernel_h: 3 kernel_w: 0", "kernel_h and kernel_w must be", id="kernel_w-0"),
        pytest.param("num_output: 4 kernel_size: 3 stride_w: 2", "stride_w is given without", id="stride_w-alone"),
        pytest.param("num_output: 4 kernel_size: [1, 2, 3]", "kernel_size is given 3 times", id="three-kernels"),
        pytest.param("num_output: 4 kernel_size: 3 group: 2", r"channels \(3\).*2 groups", id="group-of-channels"),
        pytest.param("num_output: 4 kernel_size: 3 group: 3", r"num_output \(4\).*3 groups", id="group-of-outputs"),
        pytest.param("num_output: 4 kernel_size: 3 group: 0", "into 0 groups", id="group-0"),
        pytest.param("num_output: 4 kernel_size: 8", "spans 8 cells.* has 5", id="kernel-beyond-input"),
        pytest.param("num_output: 4 kernel_size: 3 axis: 4", "axis 4 is out of range", id="axis"),
    ],
)
def test_refused(block: str, message: str) -> None:
    assert_refused(conv(block), (2, 3, 5, 7), message=message)


def test_refuses_height_and_width_of_a_single_axis() -> None:
    assert_refused(conv("num_output: 4 kernel_h: 3 kernel_w: 3"), (2, 3, 5), message="need 2 spatial axes")


def test_refuses_a_bottom_without_spatial_axes() -> None:
    assert_refused(conv("num_output: 4 kernel_size: 1"), (2, 3), message="2x3.* no spatial axis")


def test_refuses_bottoms_of_two_shapes() -> None:
    body = conv("num_output: 4 kernel_size: 3")
    assert_refused(body, (2, 3, 5, 7), (2, 3, 5, 6), tops=2, message="2x3x5x7 and 2x3x5x6 differ")


def test_refuses_bottoms_without_a_top() -> None:
    body = conv("num_output: 4 kernel_size: 3")
    assert_refused(body, (2, 3, 5, 7), (2, 3, 5, 7), message="2 bottoms but 1 tops")
