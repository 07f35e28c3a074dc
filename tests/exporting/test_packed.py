"""Six-bit codes in three quarters of the bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xportdnn.arithmetic.packed import pack6, packed_size, unpack6


def test_the_layout_of_the_bits() -> None:
    """Written by hand: 000001, 111111, 100000, 011111, the first one lowest."""
    codes = np.array([1, -1, -32, 31], np.int8)
    assert pack6(codes).tolist() == [0b11_000001, 0b0000_1111, 0b011111_10]


@given(st.lists(st.integers(-32, 31), max_size=40))
def test_unpacking_gives_the_codes_again(codes: list[int]) -> None:
    array = np.array(codes, np.int8)
    packed = pack6(array)
    assert packed.nbytes == packed_size(len(codes))
    np.testing.assert_array_equal(unpack6(packed, array.shape), array)


@pytest.mark.parametrize(("count", "size"), [(0, 0), (1, 3), (4, 3), (5, 6), (4000, 3000)])
def test_size(count: int, size: int) -> None:
    assert packed_size(count) == size


def test_shapes_come_back() -> None:
    codes = np.arange(-30, 30).reshape(2, 5, 3, 2)
    np.testing.assert_array_equal(unpack6(pack6(codes), codes.shape), codes)
