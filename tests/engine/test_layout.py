"""Channels last in memory, Caffe's axes to look at."""

from __future__ import annotations

import numpy as np
import pytest

from xportdnn.engine import layout
from xportdnn.layers import Shape


def test_an_image_has_its_channels_side_by_side() -> None:
    array = layout.empty((1, 3, 4, 5))
    assert array.shape == (1, 3, 4, 5)
    assert array.strides[1:] == (4, 5 * 3 * 4, 3 * 4)


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 3, 4, 5), (1, 6), (3, 4, 5), (7,), ()], ids=str)
def test_laying_out_changes_no_number(shape: Shape) -> None:
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = layout.laid_out(array)
    np.testing.assert_array_equal(found, array)
    assert layout.laid_out(found) is found


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (1, 6)], ids=str)
def test_views_are_views(shape: Shape) -> None:
    array = layout.laid_out(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    height, width, channels = layout.size(shape)
    image, pixels, rows = layout.image(array), layout.pixels(array), layout.rows(array)
    assert (image.shape, pixels.shape, rows.shape) == (
        (height, width, channels), (height * width, channels), (height, width * channels),
    )  # fmt: skip
    assert all(np.shares_memory(array, view) and view.flags.c_contiguous for view in (image, pixels, rows))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 3, 4, 5), True), ((1, 7), True), ((2, 3, 4, 5), False), ((2, 7), False), ((1, 2, 3), False), ((7,), False)],
    ids=str,
)
def test_an_image_is_one_image_or_a_vector(shape: Shape, expected: bool) -> None:
    assert layout.is_image(shape) is expected
