"""Bias: which axes it covers, one and two bottoms, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests.layers.one_layer import blob, values
from tests.layers.weighted import assert_images_alone, assert_refused, blob_shapes, random_blobs, top

SHAPE = (2, 3, 4, 5)


def bias(block: str) -> str:
    return f'type: "Bias" bias_param {{ {block} }}'


@pytest.mark.parametrize(
    ("block", "covered", "behind"),
    [
        pytest.param("", (3,), 2, id="channels-by-default"),
        pytest.param("axis: 0 num_axes: 2", (2, 3), 2, id="two-axes"),
        pytest.param("axis: -2 num_axes: -1", (4, 5), 0, id="to-the-end"),
        pytest.param("num_axes: 0", (), 0, id="one-value"),
    ],
)
def test_adds_a_blob_along_some_axes(block: str, covered: tuple[int, ...], behind: int) -> None:
    assert blob_shapes(bias(block), SHAPE) == (covered,)
    x, (blob_,) = blob(*SHAPE), random_blobs(bias(block), SHAPE)
    result = top(bias(block), x, blobs=(blob_,))
    np.testing.assert_array_equal(result, x + blob_.reshape(covered + (1,) * behind))


def test_worked_by_hand() -> None:
    x = values(1, 2, 3, 4).reshape(1, 2, 2)
    np.testing.assert_array_equal(top(bias(""), x, blobs=(values(10, 100),)), [[[11, 12], [103, 104]]])


def test_a_second_bottom_is_the_bias() -> None:
    x, added = blob(*SHAPE), blob(2, 3, seed=1)
    np.testing.assert_array_equal(top(bias("axis: 0"), x, added), x + added[:, :, None, None])


def test_a_batch_gives_what_its_images_give() -> None:
    assert_images_alone(bias(""), blob(*SHAPE), (blob(3, seed=1),))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("axis: -5", "axis -5 is out of range", id="axis"),
        pytest.param("num_axes: 4", "num_axes 4 from axis 1 does not fit", id="too-many-axes"),
    ],
)
def test_refused(block: str, message: str) -> None:
    assert_refused(bias(block), SHAPE, message=message)


def test_refuses_a_second_bottom_that_does_not_match() -> None:
    assert_refused(bias(""), SHAPE, (4,), message=r"second bottom \(4\) does not match the first \(2x3x4x5\)")
