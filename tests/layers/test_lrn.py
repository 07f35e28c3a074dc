"""LRN: both regions against literal loops, worked by hand, against OpenCV, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers import naive
from tests.layers.one_layer import blob, values
from tests.layers.weighted import assert_close, assert_images_alone, assert_refused, opencv, top


def lrn(block: str) -> str:
    return f'type: "LRN" lrn_param {{ {block} }}'


factors = st.sampled_from([1e-4, 0.5, 3.0])


@settings(max_examples=40, deadline=None)
@given(size=st.sampled_from([1, 3, 5, 9]), alpha=factors, beta=st.sampled_from([0.5, 0.75, 2.0]), k=factors)
def test_across_channels_agrees_with_literal_loops(size: int, alpha: float, beta: float, k: float) -> None:
    x = blob(2, 7, 3, 4)
    body = lrn(f"local_size: {size} alpha: {alpha} beta: {beta} k: {k}")
    assert_close(top(body, x), naive.lrn_across(x, size, alpha, beta, k))


@settings(max_examples=30, deadline=None)
@given(size=st.sampled_from([1, 3, 5, 9]), alpha=factors, beta=st.sampled_from([0.5, 0.75, 2.0]), k=factors)
def test_within_channel_agrees_with_literal_loops(size: int, alpha: float, beta: float, k: float) -> None:
    x = blob(2, 3, 4, 6)
    body = lrn(f"norm_region: WITHIN_CHANNEL local_size: {size} alpha: {alpha} beta: {beta} k: {k}")
    assert_close(top(body, x), naive.lrn_within(x, size, alpha, beta))


def test_across_channels_worked_by_hand() -> None:
    x = values(1, 2, 3, 4).reshape(1, 4, 1, 1)
    result = top(lrn("local_size: 3 alpha: 3 beta: 1 k: 2"), x)
    np.testing.assert_allclose(result.ravel(), [1 / 7, 2 / 16, 3 / 31, 4 / 27], rtol=1e-6)


def test_within_channel_divides_by_the_whole_square_and_ignores_k() -> None:
    x = values(1, 2).reshape(1, 1, 1, 2)
    result = top(lrn("norm_region: WITHIN_CHANNEL local_size: 3 alpha: 9 beta: 1 k: 100"), x)
    np.testing.assert_allclose(result.ravel(), [1 / 6, 2 / 6], rtol=1e-6)


@pytest.mark.parametrize("region", ["ACROSS_CHANNELS", "WITHIN_CHANNEL"])
def test_agrees_with_opencv(region: str) -> None:
    body = lrn(f"norm_region: {region} local_size: 3 alpha: 0.7 beta: 0.75")
    x = blob(2, 7, 5, 6)
    assert_close(top(body, x), opencv(body, x))


@pytest.mark.parametrize("region", ["ACROSS_CHANNELS", "WITHIN_CHANNEL"])
def test_a_batch_gives_what_its_images_give(region: str) -> None:
    assert_images_alone(lrn(f"norm_region: {region}"), blob(3, 7, 5, 6))


@pytest.mark.parametrize("size", [0, 4])
def test_refuses_neighbourhoods_without_a_middle(size: int) -> None:
    assert_refused(lrn(f"local_size: {size}"), (2, 3, 5, 7), message=f"local_size must be odd, not {size}")


def test_refuses_other_numbers_of_axes() -> None:
    assert_refused(lrn(""), (2, 3), message="must have 4 axes .* it is 2x3")
