"""Scale: which axes it covers, one and two bottoms, the bias, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, values
from tests.layers.weighted import (
    assert_images_alone,
    assert_refused,
    blob_shapes,
    opencv,
    random_blobs,
    top,
)

SHAPE = (2, 3, 4, 5)


def scale(block: str) -> str:
    return f'type: "Scale" scale_param {{ {block} }}'


@settings(max_examples=40, deadline=None)
@given(axis=st.integers(-4, 3), length=st.integers(-1, 4), bias=st.booleans())
def test_covers_num_axes_from_axis_on(axis: int, length: int, bias: bool) -> None:
    start = axis % 4
    length = min(length, 4 - start)
    end = 4 if length < 0 else start + length
    body = scale(f"axis: {axis} num_axes: {length} bias_term: {str(bias).lower()}")
    covered = SHAPE[start:end]
    assert blob_shapes(body, SHAPE) == (covered,) * (1 + bias)
    x, blobs = blob(*SHAPE), random_blobs(body, SHAPE)
    whole = [np.broadcast_to(each.reshape(each.shape + (1,) * (4 - end)), SHAPE[start:]) for each in blobs]
    expected = x * whole[0] + (whole[1] if bias else np.float32(0))
    np.testing.assert_array_equal(top(body, x, blobs=blobs), expected)


def test_scales_channels_by_default() -> None:
    x = values(1, 2, 3, 4).reshape(1, 2, 2)
    np.testing.assert_array_equal(top(scale(""), x, blobs=(values(10, 100),)), [[[10, 20], [300, 400]]])


def test_a_single_value() -> None:
    x = values(1, 2).reshape(1, 2)
    result = top(scale("num_axes: 0 bias_term: true"), x, blobs=(np.array(3, np.float32), np.array(0.5, np.float32)))
    np.testing.assert_array_equal(result, [[3.5, 6.5]])


def test_a_second_bottom_is_the_scale() -> None:
    x, gate = blob(2, 3, 4, 5), blob(2, 3, seed=1)
    np.testing.assert_array_equal(top(scale("axis: 0"), x, gate), x * gate[:, :, None, None])


def test_a_second_bottom_of_one_value_needs_no_axis() -> None:
    x = blob(2, 3)
    np.testing.assert_array_equal(top(scale("axis: 9"), x, np.array(3, np.float32)), 3 * x)


def test_with_two_bottoms_the_bias_is_the_only_blob() -> None:
    x, gate, bias = blob(2, 3, 4, 5), blob(3, 4, seed=1), blob(3, 4, seed=2)
    result = top(scale("bias_term: true"), x, gate, blobs=(bias,))
    np.testing.assert_array_equal(result, x * gate[..., None] + bias[..., None])


def test_agrees_with_opencv() -> None:
    body = scale("bias_term: true")
    x, blobs = blob(*SHAPE), random_blobs(body, SHAPE)
    np.testing.assert_allclose(top(body, x, blobs=blobs), opencv(body, x, blobs=blobs), rtol=1e-5, atol=1e-6)


def test_a_batch_gives_what_its_images_give() -> None:
    assert_images_alone(scale("bias_term: true"), blob(2, 3, 4, 5), (blob(3, seed=1), blob(3, seed=2)))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("axis: 4", "axis 4 is out of range", id="axis"),
        pytest.param("axis: 2 num_axes: 3", "num_axes 3 from axis 2 does not fit 2x3x4x5", id="too-many-axes"),
        pytest.param("num_axes: -2", "num_axes -2 from axis 1", id="num_axes-below-all"),
    ],
)
def test_refused(block: str, message: str) -> None:
    assert_refused(scale(block), SHAPE, message=message)


@pytest.mark.parametrize(
    "second",
    [
        pytest.param((2, 4), id="other-size"),
        pytest.param((4, 5, 6), id="past-the-end"),
        pytest.param((2, 3, 1, 1), id="no-broadcasting"),
    ],
)
def test_refuses_a_second_bottom_that_does_not_match(second: tuple[int, ...]) -> None:
    assert_refused(
        scale("axis: 0"), SHAPE, second, message=r"second bottom \(.*\) does not match the first \(2x3x4x5\)"
    )
