"""Normalize: the norm over channels or images, one scale or one per channel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, values
from tests.layers.weighted import assert_close, assert_images_alone, assert_refused, blob_shapes, opencv, top


def normalize(block: str) -> str:
    return f'type: "Normalize" norm_param {{ {block} }}'


PER_CHANNEL = normalize("across_spatial: false channel_shared: false")


def test_each_place_by_itself() -> None:
    x = values(3, 0, 4, 2).reshape(1, 2, 1, 2)
    result = top(PER_CHANNEL, x, blobs=(values(10, 20),))
    np.testing.assert_allclose(result, [[[[6, 0]], [[16, 20]]]], rtol=1e-6)


def test_the_whole_image_with_one_scale_by_default() -> None:
    x = values(1, 1, 1, 1).reshape(1, 2, 1, 2)
    result = top(normalize(""), x, blobs=(np.array(6, np.float32),))
    np.testing.assert_allclose(result, [[[[3, 3]], [[3, 3]]]], rtol=1e-6)


def test_eps_is_under_the_root() -> None:
    result = top(normalize("eps: 9"), values(4).reshape(1, 1, 1, 1), blobs=(np.array(1, np.float32),))
    np.testing.assert_allclose(result.item(), 4 / 5, rtol=1e-6)


def test_zeros_stay_zeros() -> None:
    x = np.zeros((2, 3, 4, 5), np.float32)
    np.testing.assert_array_equal(top(PER_CHANNEL, x, blobs=(values(1, 2, 3),)), x)


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(0.125, 1000, width=32))
def test_the_length_of_the_input_does_not_matter(factor: float) -> None:
    x, scales = blob(2, 3, 4, 5), blob(3, seed=1)
    assert_close(top(PER_CHANNEL, x * np.float32(factor), blobs=(scales,)), top(PER_CHANNEL, x.copy(), blobs=(scales,)))


def test_agrees_with_opencv() -> None:
    x, scales = blob(2, 3, 4, 5), blob(3, seed=1)
    assert_close(top(PER_CHANNEL, x, blobs=(scales,)), opencv(PER_CHANNEL, x, blobs=(scales,)))


@pytest.mark.parametrize("across", ["false", "true"])
def test_a_batch_gives_what_its_images_give(across: str) -> None:
    body = normalize(f"across_spatial: {across} channel_shared: false")
    assert_images_alone(body, blob(2, 3, 4, 5), (blob(3, seed=1),))


def test_weights() -> None:
    assert blob_shapes(PER_CHANNEL, (2, 3, 4, 5)) == ((3,),)


def test_shared_weights_have_no_axes() -> None:
    assert blob_shapes(normalize(""), (2, 3, 4, 5)) == ((),)


def test_refuses_a_bottom_without_channels() -> None:
    assert_refused(PER_CHANNEL, (5,), message=r"channel axis \(axis 1\), it is 5")
