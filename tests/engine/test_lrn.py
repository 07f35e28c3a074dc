"""LRN against the reference rule."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.networks import assert_like_the_reference, one_layer


@settings(max_examples=25, deadline=None)
@given(
    size=st.sampled_from([1, 3, 5, 9]),
    channels=st.integers(1, 7),
    beta=st.sampled_from([0.75, 0.5, 1.2]),
    k=st.sampled_from([1.0, 2.0]),
)
def test_across_channels(size: int, channels: int, beta: float, k: float) -> None:
    block = f"lrn_param {{ local_size: {size} alpha: 0.3 beta: {beta} k: {k} }}"
    assert_like_the_reference(one_layer("LRN", block, (1, channels, 8, 6)))


def test_several_blocks_of_pixels() -> None:
    block = "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
    assert_like_the_reference(one_layer("LRN", block, (1, 96, 31, 29)))


@pytest.mark.parametrize("size", [3, 5])
def test_within_a_channel(size: int) -> None:
    block = f"lrn_param {{ local_size: {size} alpha: 0.3 norm_region: WITHIN_CHANNEL }}"
    assert_like_the_reference(one_layer("LRN", block, (1, 3, 7, 9)))
