"""Pooling against the reference rule on random windows."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.engine.networks import assert_like_the_reference, one_layer
from tests.layers.naive import Steps, pooled_size


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    pad=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    size=st.sampled_from([(5, 7), (7, 4), (4, 9)]),
    pool=st.sampled_from(["MAX", "AVE"]),
    floor=st.booleans(),
)
def test_windows(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    size: tuple[int, int],
    pool: str,
    floor: bool,
) -> None:
    steps = Steps(kernel, stride, pad)
    assume(all(border < side for border, side in zip(pad, kernel, strict=True)))
    assume(min(pooled_size(steps, size, floor)) > 0)
    block = (
        f"pooling_param {{ pool: {pool} kernel_h: {kernel[0]} kernel_w: {kernel[1]} stride_h: {stride[0]} "
        f"stride_w: {stride[1]} pad_h: {pad[0]} pad_w: {pad[1]} round_mode: {'FLOOR' if floor else 'CEIL'} }}"
    )
    assert_like_the_reference(one_layer("Pooling", block, (1, 3, *size)))


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_the_whole_plane(pool: str) -> None:
    block = f"pooling_param {{ pool: {pool} global_pooling: true }}"
    assert_like_the_reference(one_layer("Pooling", block, (1, 5, 13, 11)))


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_windows_without_a_pixel(pool: str) -> None:
    """Strides beyond the kernel reach them; Caffe gives -FLT_MAX and 0/0."""
    block = f"pooling_param {{ pool: {pool} kernel_size: 1 stride: 3 }}"
    assert_like_the_reference(one_layer("Pooling", block, (1, 2, 5, 6)))


def test_no_cell_that_all_windows_have() -> None:
    """The first window begins outside and the last one ends there, so that no tap lies inside for both."""
    block = "pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 }"
    assert_like_the_reference(one_layer("Pooling", block, (1, 3, 4, 6)))
