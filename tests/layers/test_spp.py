"""SPP: bins worked by hand, against Pooling, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests.layers.one_layer import blob, counting, shapes
from tests.layers.weighted import assert_images_alone, assert_refused, top


def spp(block: str) -> str:
    return f'type: "SPP" spp_param {{ {block} }}'


def test_worked_by_hand() -> None:
    result = top(spp("pyramid_height: 2"), counting(1, 2, 2, 4))
    np.testing.assert_array_equal(result, [[7, 15, 1, 3, 5, 7, 9, 11, 13, 15]])


def test_levels_are_pooling_layers_padded_to_cover_the_plane() -> None:
    x = blob(2, 3, 9, 7)
    level = (
        'type: "Pooling" pooling_param { pool: AVE kernel_h: 5 kernel_w: 4 stride_h: 5 stride_w: 4 pad_h: 1 pad_w: 1 }'
    )
    result = top(spp("pyramid_height: 2 pool: AVE"), x)
    np.testing.assert_array_equal(result[:, 3:], top(level, x).reshape(2, -1))


def test_one_level_keeps_four_axes() -> None:
    assert shapes(spp("pyramid_height: 1"), (2, 3, 5, 7)) == ((2, 3, 1, 1),)


def test_a_batch_gives_what_its_images_give() -> None:
    assert_images_alone(spp("pyramid_height: 2 pool: AVE"), blob(4, 3, 9, 7))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("", "pyramid_height is missing or 0", id="no-height"),
        pytest.param("pyramid_height: 3", "4x4 bins do not fit a plane of 5x7", id="too-many-bins"),
        pytest.param("pyramid_height: 2 pool: STOCHASTIC", "STOCHASTIC has no forward", id="stochastic"),
    ],
)
def test_refused(block: str, message: str) -> None:
    assert_refused(spp(block), (2, 3, 5, 7), message=message)


def test_refuses_other_numbers_of_axes() -> None:
    assert_refused(spp("pyramid_height: 2"), (2, 3, 5), message="must have 4 axes")
