"""Upsample: back to the places of a mask, or every cell repeated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, counting, shapes, values
from tests.layers.weighted import assert_images_alone, assert_refused, forward, top
from xportdnn.errors import LayerError

SHAPE = (2, 3, 4, 5)


def upsample(block: str) -> str:
    return f'type: "Upsample" upsample_param {{ {block} }}'


def test_every_cell_becomes_a_square() -> None:
    result = top(upsample("scale: 2"), counting(1, 1, 1, 2))
    np.testing.assert_array_equal(result, [[[[0, 0, 1, 1], [0, 0, 1, 1]]]])


@settings(max_examples=10, deadline=None)
@given(scale=st.integers(1, 4))
def test_average_pooling_undoes_the_squares(scale: int) -> None:
    x = blob(2, 3, 4, 5)
    larger = top(upsample(f"scale: {scale}"), x)
    pooled = top(f'type: "Pooling" pooling_param {{ pool: AVE kernel_size: {scale} stride: {scale} }}', larger)
    np.testing.assert_allclose(pooled[:, :, :4, :5], x, rtol=1e-6)


def test_values_go_to_their_places() -> None:
    x, mask = values(5, 6).reshape(1, 1, 1, 2), values(7, 0).reshape(1, 1, 1, 2)
    np.testing.assert_array_equal(top(upsample(""), x, mask), [[[[6, 0, 0, 0], [0, 0, 0, 5]]]])


def test_of_two_values_at_one_place_the_last_one_stays() -> None:
    x, mask = values(5, 6).reshape(1, 1, 1, 2), values(3, 3).reshape(1, 1, 1, 2)
    np.testing.assert_array_equal(top(upsample(""), x, mask).ravel(), [0, 0, 0, 6, 0, 0, 0, 0])


def test_puts_back_what_max_pooling_took() -> None:
    x = blob(2, 3, 8, 10)
    pooled, mask = forward('type: "Pooling" pooling_param { kernel_size: 2 stride: 2 }', x, tops=2)
    restored = top(upsample("scale: 2"), pooled, mask)
    np.testing.assert_array_equal(restored[restored != 0], x[restored != 0])
    assert np.count_nonzero(restored) == pooled.size


@pytest.mark.parametrize(
    ("block", "size"),
    [
        pytest.param("", (8, 10), id="scale-2-by-default"),
        pytest.param("scale: 3", (12, 15), id="scale"),
        pytest.param("scale_h: 2 scale_w: 3", (8, 15), id="scale_h-and-scale_w"),
        pytest.param("pad_out_h: true", (7, 10), id="pad_out_h"),
        pytest.param("scale: 2 pad_out_w: true", (8, 9), id="pad_out_w"),
        pytest.param("upsample_h: 9 upsample_w: 11", (9, 11), id="upsample_h-and-upsample_w"),
    ],
)
def test_size_with_a_mask(block: str, size: tuple[int, int]) -> None:
    assert shapes(upsample(block), SHAPE, SHAPE) == ((2, 3, *size),)


def test_a_batch_gives_what_its_images_give() -> None:
    assert_images_alone(upsample("scale: 3"), blob(2, 3, 4, 5))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("scale: 1", "scale must be at least 2", id="scale-1"),
        pytest.param("scale_h: 2", "scale_h is given without scale_w", id="scale_h-alone"),
        pytest.param("scale: 2 scale_h: 2 scale_w: 2", "scale and scale_h/scale_w", id="both-ways"),
        pytest.param("upsample_h: 9", "upsample_h and upsample_w need each other", id="upsample_h-alone"),
        pytest.param("upsample_h: 9 upsample_w: 1", "must be at least 2", id="upsample_w-1"),
        pytest.param("scale: 3 pad_out_h: true", "pad_out_h needs a scale of 2, not 3", id="pad_out-of-scale-3"),
    ],
)
def test_refused_with_a_mask(block: str, message: str) -> None:
    assert_refused(upsample(block), SHAPE, SHAPE, message=message)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("", "scale is missing or 0", id="no-scale"),
        pytest.param("scale: 2 pad_out_h: true", "only scale counts", id="fields-of-the-other-form"),
    ],
)
def test_refused_without_a_mask(block: str, message: str) -> None:
    assert_refused(upsample(block), SHAPE, message=message)


def test_refuses_a_mask_of_another_shape() -> None:
    assert_refused(upsample(""), SHAPE, (2, 3, 4, 6), message="mask is 2x3x4x6 but the bottom 2x3x4x5")


def test_refuses_other_numbers_of_axes() -> None:
    assert_refused(upsample("scale: 2"), (2, 3, 4), message="must have 4 axes")


@pytest.mark.parametrize(("place", "written"), [(8, "8"), (-1, "-1"), (math.nan, "nan")])
def test_refuses_places_outside_the_top(place: float, written: str) -> None:
    x, mask = values(5, 6).reshape(1, 1, 1, 2), values(0, place).reshape(1, 1, 1, 2)
    with pytest.raises(LayerError, match=f"mask holds {written}, a place in 2x4 is 0 to 7"):
        top(upsample(""), x, mask)
