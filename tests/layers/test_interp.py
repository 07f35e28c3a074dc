"""Interp: sizes from factors, fields or a second bottom, and values between the corners."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, counting, shapes, values
from tests.layers.weighted import assert_close, assert_images_alone, assert_refused, top
from xportdnn.layers import Array


def interp(block: str) -> str:
    return f'type: "Interp" interp_param {{ {block} }}'


def literal(x: Array, height: int, width: int) -> Array:
    """Two neighbours along each axis, weighed by their distance; corners map to corners."""
    top = np.zeros((*x.shape[:2], height, width))
    for oy, ox in np.ndindex(height, width):
        y = oy * (x.shape[2] - 1) / (height - 1) if height > 1 else 0.0
        x_ = ox * (x.shape[3] - 1) / (width - 1) if width > 1 else 0.0
        y0, x0 = int(y), int(x_)
        y1, x1 = min(y0 + 1, x.shape[2] - 1), min(x0 + 1, x.shape[3] - 1)
        above = x[:, :, y0, x0] * (1 - x_ + x0) + x[:, :, y0, x1] * (x_ - x0)
        below = x[:, :, y1, x0] * (1 - x_ + x0) + x[:, :, y1, x1] * (x_ - x0)
        top[:, :, oy, ox] = above * (1 - y + y0) + below * (y - y0)
    return top.astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 9), st.integers(1, 9))
def test_agrees_with_literal_loops(height: int, width: int, top_height: int, top_width: int) -> None:
    x = blob(2, 3, height, width)
    result = top(interp(f"height: {top_height} width: {top_width}"), x)
    assert_close(result, literal(x, top_height, top_width))


def test_worked_by_hand() -> None:
    x = values(0, 4, 8, 12).reshape(1, 1, 2, 2)
    np.testing.assert_array_equal(top(interp("zoom_factor: 2"), x), [[[[0, 2, 4], [4, 6, 8], [8, 10, 12]]]])


def test_shrinking_by_a_factor_keeps_every_second_cell() -> None:
    x = counting(2, 3, 5, 7)
    np.testing.assert_array_equal(top(interp("shrink_factor: 2"), x), x[:, :, ::2, ::2])


def test_negative_pads_cut_the_bottom_first() -> None:
    x = blob(2, 3, 6, 8)
    result = top(interp("zoom_factor: 2 pad_beg: -1 pad_end: -2"), x)
    np.testing.assert_array_equal(result, top(interp("zoom_factor: 2"), x[:, :, 1:4, 1:6].copy()))


@pytest.mark.parametrize(
    ("block", "size"),
    [
        pytest.param("height: 9 width: 11", (9, 11), id="height-and-width"),
        pytest.param("zoom_factor: 3", (13, 19), id="zoom"),
        pytest.param("shrink_factor: 2", (3, 4), id="shrink"),
        pytest.param("shrink_factor: 2 zoom_factor: 3", (7, 10), id="shrink-then-zoom"),
        pytest.param("zoom_factor: 3 height: 9 width: 11", (13, 19), id="one-factor-wins"),
        pytest.param("shrink_factor: 2 zoom_factor: 3 height: 9 width: 11", (9, 11), id="fields-win-over-both-factors"),
    ],
)
def test_size(block: str, size: tuple[int, int]) -> None:
    assert shapes(interp(block), (2, 3, 5, 7)) == ((2, 3, *size),)


@pytest.mark.parametrize("block", ["use_blob_size: true", "", "use_blob_size: true zoom_factor: 2"])
def test_size_of_a_second_bottom(block: str) -> None:
    assert shapes(interp(block), (2, 3, 5, 7), (2, 4, 9, 11)) == ((2, 3, 9, 11),)


def test_a_factor_wins_over_a_second_bottom_without_flag() -> None:
    assert shapes(interp("zoom_factor: 2"), (2, 3, 5, 7), (2, 4, 20, 30)) == ((2, 3, 9, 13),)


def test_missing_axes_are_added() -> None:
    assert shapes(interp("height: 9 width: 1"), (2, 3, 5)) == ((2, 3, 9, 1),)


def test_a_batch_gives_what_its_images_give() -> None:
    assert_images_alone(interp("height: 9 width: 11"), blob(3, 4, 5, 7))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("", "size of the top is not given", id="nothing"),
        pytest.param("height: 9", "height and width need each other", id="height-alone"),
        pytest.param("height: 9 width: 0", "width must be at least 1, not 0", id="width-0"),
        pytest.param("zoom_factor: 0", "zoom_factor must be at least 1, not 0", id="zoom-0"),
        pytest.param("shrink_factor: -1", "shrink_factor must be at least 1, not -1", id="shrink-below-0"),
        pytest.param("zoom_factor: 2 pad_beg: 1", r"pad_beg \(1\) .* can only cut", id="positive-pad"),
        pytest.param("zoom_factor: 2 pad_beg: -3 pad_end: -2", "leave nothing of 2x3x5x7", id="nothing-left"),
        pytest.param("use_blob_size: true", "use_blob_size needs a second bottom", id="no-second-bottom"),
    ],
)
def test_refused(block: str, message: str) -> None:
    assert_refused(interp(block), (2, 3, 5, 7), message=message)
