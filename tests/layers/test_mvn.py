"""MVN: with and without variance, over planes and images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, shapes, values
from tests.layers.weighted import assert_close, assert_images_alone, assert_refused, opencv, top


def mvn(block: str) -> str:
    return f'type: "MVN" mvn_param {{ {block} }}'


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param("", [-1, 1, -1, 1], id="each-plane"),
        pytest.param("normalize_variance: false", [-1, 1, -2, 2], id="mean-only"),
        pytest.param("across_channels: true normalize_variance: false", [-4.5, -2.5, 1.5, 5.5], id="each-image"),
        pytest.param("eps: 1", [-1 / 2, 1 / 2, -2 / 3, 2 / 3], id="eps-outside-the-root"),
    ],
)
def test_worked_by_hand(block: str, expected: list[float]) -> None:
    x = values(1, 3, 7, 11).reshape(1, 2, 1, 2)
    np.testing.assert_allclose(top(mvn(block), x).ravel(), expected, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(offset=st.floats(-1e4, 1e4, width=32))
def test_an_offset_changes_nothing(offset: float) -> None:
    x = np.round(blob(2, 3, 4, 5) * 64)
    np.testing.assert_allclose(top(mvn(""), x + np.float32(round(offset))), top(mvn(""), x.copy()), atol=1e-5)


def test_a_constant_plane_gives_zeros() -> None:
    x = np.full((2, 3, 4, 5), 0.1, np.float32)
    np.testing.assert_array_equal(top(mvn(""), x), np.zeros((2, 3, 4, 5)))


@pytest.mark.parametrize("across", ["false", "true"])
def test_agrees_with_opencv(across: str) -> None:
    body = mvn(f"across_channels: {across}")
    x = blob(2, 3, 4, 5)
    assert_close(top(body, x), opencv(body, x))


@pytest.mark.parametrize("across", ["false", "true"])
def test_a_batch_gives_what_its_images_give(across: str) -> None:
    assert_images_alone(mvn(f"across_channels: {across}"), blob(3, 4, 5, 7))


def test_the_top_has_four_axes() -> None:
    assert shapes(mvn(""), (2, 3, 4)) == ((2, 3, 4, 1),)


def test_three_axes_are_a_plane_of_width_one() -> None:
    x = blob(2, 3, 4)
    np.testing.assert_array_equal(top(mvn(""), x), top(mvn(""), x[..., None].copy()))


def test_refuses_more_than_four_axes() -> None:
    assert_refused(mvn(""), (2, 3, 4, 5, 6), message="more than 4 axes, it is 2x3x4x5x6")
