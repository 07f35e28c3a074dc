"""Pooling: against literal loops, at the borders worked by hand, against OpenCV, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.layers import naive
from tests.layers.one_layer import blob, counting, shapes, values
from tests.layers.weighted import assert_close, assert_images_alone, assert_refused, forward, opencv, top
from xportdnn.layers.pooling import KIND


def pool(block: str) -> str:
    return f'type: "Pooling" pooling_param {{ {block} }}'


ROUNDING = {"": False, "round_mode: FLOOR": True, "round_mode: CEIL": False, "ceil_mode: false": True}


@settings(max_examples=80, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    pad=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    size=st.sampled_from([(5, 7), (7, 4), (1, 6)]),
    rounding=st.sampled_from(sorted(ROUNDING)),
    method=st.sampled_from(["MAX", "AVE"]),
)
def test_agrees_with_literal_loops(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    size: tuple[int, int],
    rounding: str,
    method: str,
) -> None:
    assume(pad[0] < kernel[0] and pad[1] < kernel[1])
    steps = naive.Steps(kernel, stride, pad)
    assume(min(naive.pooled_size(steps, size, ROUNDING[rounding])) > 0)
    x = blob(2, 3, *size)
    block = (
        f"kernel_h: {kernel[0]} kernel_w: {kernel[1]} stride_h: {stride[0]} stride_w: {stride[1]} "
        f"pad_h: {pad[0]} pad_w: {pad[1]} {rounding}"
    )
    if method == "MAX":
        tops = forward(pool(f"pool: MAX {block}"), x, tops=2)
        for actual, expected in zip(tops, naive.max_pooling(x, steps, ROUNDING[rounding]), strict=True):
            np.testing.assert_array_equal(actual, expected.astype(np.float32))
    else:
        assert_close(top(pool(f"pool: AVE {block}"), x), naive.average_pooling(x, steps, ROUNDING[rounding]))


def test_default_is_max_with_stride_1() -> None:
    np.testing.assert_array_equal(top(pool("kernel_size: 2"), counting(1, 1, 2, 3)), [[[[4, 5]]]])


def test_sizes_are_rounded_up_and_the_last_window_is_clipped() -> None:
    np.testing.assert_array_equal(top(pool("pool: AVE kernel_size: 2 stride: 2"), counting(1, 1, 1, 3)), [[[[0.5, 2]]]])


@pytest.mark.parametrize("field", ["round_mode: FLOOR", "ceil_mode: false"])
def test_sizes_are_rounded_down_on_request(field: str) -> None:
    assert shapes(pool(f"kernel_size: 2 stride: 2 {field}"), (2, 3, 5, 7)) == ((2, 3, 2, 3),)


def test_a_last_window_behind_the_image_is_dropped_where_there_is_pad() -> None:
    assert shapes(pool("kernel_size: 2 stride: 2 pad: 1"), (2, 3, 5, 6)) == ((2, 3, 3, 4),)


def test_pad_along_one_axis_drops_the_last_window_of_both() -> None:
    assert shapes(pool("kernel_size: 2 stride_h: 3 stride_w: 3 pad_h: 1 pad_w: 0"), (2, 3, 5, 6)) == ((2, 3, 2, 2),)


def test_averages_count_pad_but_not_what_hangs_over() -> None:
    x = values(1, 1, 1, 1).reshape(1, 1, 1, 4)
    result = top(pool("pool: AVE kernel_h: 1 kernel_w: 3 stride: 2 pad_h: 0 pad_w: 1"), x)
    np.testing.assert_allclose(result, [[[[2 / 3, 1, 1 / 2]]]])


def test_an_empty_window_has_the_least_float_as_maximum() -> None:
    result, mask = forward(pool("kernel_size: 1 stride: 2"), counting(1, 1, 1, 2), tops=2)
    np.testing.assert_array_equal(result, np.array([[[[0, -naive.FLT_MAX]]]], np.float32))
    np.testing.assert_array_equal(mask, [[[[0, -1]]]])


def test_an_empty_window_has_no_average() -> None:
    result = top(pool("pool: AVE kernel_size: 1 stride: 2"), counting(1, 1, 1, 2))
    np.testing.assert_array_equal(result, [[[[0, math.nan]]]])


def test_global_pooling_takes_the_whole_plane() -> None:
    x = counting(2, 3, 4, 5)
    result = top(pool("pool: AVE global_pooling: true"), x)
    np.testing.assert_allclose(result, x.mean(axis=(2, 3), keepdims=True))


def test_mask_names_the_first_of_equal_maxima() -> None:
    x = values(1, 2, 2, 0).reshape(1, 1, 2, 2)
    mask = forward(pool("kernel_size: 2"), x, tops=2)[1]
    np.testing.assert_array_equal(mask, [[[[1]]]])


def test_not_a_number_is_never_the_maximum() -> None:
    x = values(math.nan, 1, 0, math.nan).reshape(1, 1, 2, 2)
    result, mask = forward(pool("kernel_size: 2"), x, tops=2)
    assert (result.item(), mask.item()) == (1, 1)


def test_averages_of_many_cells_stay_exact() -> None:
    x = np.full((1, 1, 300, 400), 0.1, np.float32)
    np.testing.assert_allclose(top(pool("pool: AVE global_pooling: true"), x), x[:, :, :1, :1], rtol=1e-7)


@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_a_batch_gives_what_its_images_give(method: str) -> None:
    assert_images_alone(pool(f"pool: {method} kernel_size: 3 stride: 2"), blob(3, 4, 5, 7))


@pytest.mark.parametrize(
    "block",
    [
        "pool: MAX kernel_size: 3 stride: 2",
        "pool: MAX kernel_size: 3 stride: 2 pad: 1",
        "pool: AVE kernel_size: 3 stride: 2",
        "pool: AVE kernel_size: 3 pad: 1",
        "pool: AVE global_pooling: true",
    ],
)
def test_agrees_with_opencv(block: str) -> None:
    x = blob(2, 3, 7, 9)
    assert_close(top(pool(block), x), opencv(pool(block), x))


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("", "kernel_size is missing", id="no-kernel"),
        pytest.param("kernel_size: 0", "kernel_size must be at least 1", id="kernel-0"),
        pytest.param("kernel_h: 2", "kernel_h is given without kernel_w", id="kernel_h-alone"),
        pytest.param("kernel_size: 2 kernel_w: 2", "kernel_size and kernel_h/kernel_w", id="both-ways"),
        pytest.param("kernel_size: 2 stride: 0", "stride must be at least 1", id="stride-0"),
        pytest.param("kernel_size: 2 stride_h: 2", "stride_h is given without stride_w", id="stride_h-alone"),
        pytest.param("kernel_size: 2 pad_w: 1", "pad_w is given without pad_h", id="pad_w-alone"),
        pytest.param("kernel_size: 2 pad: 2", r"pad 2 must be smaller than the kernel \(2\)", id="pad-as-kernel"),
        pytest.param("kernel_size: 9", r"kernel \(9\) does not fit into 5", id="kernel-beyond-input"),
        pytest.param("kernel_size: 7 stride: 3 round_mode: FLOOR", "does not fit into 5", id="floor-of-nothing"),
        pytest.param("global_pooling: true kernel_size: 2", "global_pooling takes the whole", id="global-kernel"),
        pytest.param("global_pooling: true stride: 2", "global_pooling has one window", id="global-stride"),
        pytest.param("global_pooling: true pad: 1", "global_pooling has one window", id="global-pad"),
        pytest.param("pool: STOCHASTIC kernel_size: 2", "STOCHASTIC has no forward", id="stochastic"),
    ],
)
def test_refused(block: str, message: str) -> None:
    assert_refused(pool(block), (2, 3, 5, 7), message=message)


def test_refuses_other_numbers_of_axes() -> None:
    assert_refused(pool("kernel_size: 2"), (2, 5), message="must have 4 axes .* it is 2x5")


def test_refuses_a_mask_of_averages() -> None:
    assert_refused(pool("pool: AVE kernel_size: 2"), (2, 3, 5, 7), tops=2, message="needs pool: MAX")
