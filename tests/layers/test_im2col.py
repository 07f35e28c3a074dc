"""Im2col: what a convolution multiplies with its weights."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.layers import naive
from tests.layers.one_layer import blob, counting
from tests.layers.weighted import assert_close, assert_images_alone, assert_refused, top


def im2col(block: str) -> str:
    return f'type: "Im2col" convolution_param {{ {block} }}'


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=30, deadline=None)
@given(kernel=pairs, stride=pairs, dilation=pairs, pad=st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_times_weights_is_convolution(
    kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], pad: tuple[int, int]
) -> None:
    steps = naive.Steps(kernel, stride, pad, dilation)
    assume(min(naive.convolved_size(steps, (5, 7))) > 0)
    x, weight = blob(2, 3, 5, 7), blob(4, 3, *kernel, seed=1)
    columns = top(
        im2col(
            f"kernel_h: {kernel[0]} kernel_w: {kernel[1]} stride_h: {stride[0]} stride_w: {stride[1]} "
            f"pad_h: {pad[0]} pad_w: {pad[1]} dilation: {dilation[0]} dilation: {dilation[1]}"
        ),
        x,
    )
    product = np.einsum("mk,nkyx->nmyx", weight.reshape(4, -1), columns)
    assert_close(product, naive.convolution(x, weight, np.zeros(4, np.float32), steps, group=1))


def test_taps_of_a_channel_stand_next_to_each_other() -> None:
    columns = top(im2col("kernel_size: 2"), counting(1, 2, 2, 2))
    np.testing.assert_array_equal(columns.ravel(), [0, 1, 2, 3, 4, 5, 6, 7])


def test_a_batch_gives_what_its_images_give() -> None:
    assert_images_alone(im2col("kernel_size: 3 stride: 2 pad: 1"), blob(3, 4, 5, 7))


def test_refuses_a_missing_kernel() -> None:
    assert_refused(im2col(""), (2, 3, 5, 7), message="kernel_size is missing")


def test_refuses_a_kernel_beyond_the_input() -> None:
    assert_refused(im2col("kernel_size: 8"), (2, 3, 5, 9), message="spans 8 cells")
