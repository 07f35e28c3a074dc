"""The pieces that layers with windows share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xportdnn import kernels
from xportdnn.kernels import Windows, padded, reduce_windows, row_blocks, sliding


def plane(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def test_padded_fills_around_the_image() -> None:
    result = padded(plane(1, 1, 2), (1, 1), (3, 4), fill=9)
    np.testing.assert_array_equal(result, [[[9, 9, 9, 9], [9, 1, 2, 9], [9, 9, 9, 9]]])


def test_padded_cuts_what_sticks_out() -> None:
    np.testing.assert_array_equal(padded(plane(1, 2, 3), (-1, 1), (1, 3)), [[[0, 4, 5]]])


def test_padded_may_leave_nothing_of_the_image() -> None:
    np.testing.assert_array_equal(padded(plane(1, 2, 3), (3, 0), (2, 3)), np.zeros((1, 2, 3)))


def test_padded_copies_nothing_without_need() -> None:
    image = plane(2, 3, 4)
    assert np.shares_memory(padded(image, (0, -1), (3, 3)), image)


def test_extent_counts_the_cells_between_dilated_taps() -> None:
    windows = Windows(kernel=(3, 1), stride=(1, 1), pad=(0, 0), dilation=(2, 5))
    assert windows.extent == (5, 1)


def test_sliding_lists_taps_before_windows() -> None:
    windows = Windows(kernel=(2,), stride=(2,), pad=(1,), dilation=(2,))
    taps = sliding(plane(1, 4), windows, (2,))
    np.testing.assert_array_equal(taps, [[[0, 2], [2, 4]]])


@settings(max_examples=30, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    counts=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_reducing_axis_by_axis_reduces_the_windows(
    kernel: tuple[int, int], stride: tuple[int, int], counts: tuple[int, int]
) -> None:
    windows = Windows(kernel, stride, pad=(0, 0), dilation=(1, 1))
    image = plane(2, *windows.span(counts))
    expected = sliding(image, windows, counts).sum(axis=(1, 2))
    np.testing.assert_array_equal(reduce_windows(np.add, image, windows, counts), expected)


@pytest.mark.parametrize("rows", [1, 5, 8])
def test_blocks_cover_all_rows_within_the_buffer(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "COLUMN_BUFFER", 30)
    blocks = list(row_blocks(rows, row_bytes=10))
    assert [row for block in blocks for row in range(block.start, block.stop)] == list(range(rows))
    assert max(block.stop - block.start for block in blocks) <= 3


def test_a_row_larger_than_the_buffer_is_a_block() -> None:
    assert list(row_blocks(2, row_bytes=kernels.COLUMN_BUFFER + 1)) == [slice(0, 1), slice(1, 2)]
