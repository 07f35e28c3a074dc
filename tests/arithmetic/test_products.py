"""Integer products by floating-point matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xportdnn.arithmetic import products
from xportdnn.errors import LayerError
from xportdnn.kernels import Windows


@pytest.mark.parametrize(
    ("limit", "dtype"),
    [(2**24, np.float32), (2**24 + 1, np.float64), (2**53, np.float64), (2**53 + 1, np.int64), (2**63 - 1, np.int64)],
)
def test_carrier(limit: int, dtype: type) -> None:
    assert products.carrier(limit) is dtype


def test_more_than_64_bits_are_refused() -> None:
    with pytest.raises(LayerError, match=r"may reach 9\.22e\+18, which needs more than 64 bits; use fewer bits"):
        products.carrier(2**63)


def test_bound_is_the_largest_row_sum_times_the_largest_value() -> None:
    weight = np.array([[[1, -2]], [[3, 4]], [[-5, 0]]], np.int8)
    assert products.bound(weight, 10) == 70


@pytest.mark.parametrize(("values", "expected"), [([-128, 127], 128), ([3, -2], 3), ([], 0)], ids=str)
def test_peak(values: list[int], expected: int) -> None:
    assert products.peak(np.array(values, np.int8)) == expected


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bits=st.integers(2, 27), inputs=st.integers(1, 60))
def test_the_carrier_holds_every_product(seed: int, bits: int, inputs: int) -> None:
    rng = np.random.default_rng(seed)
    top = 2 ** (bits - 1)
    weight = rng.integers(top // 2, top, (3, inputs))
    values = rng.integers(-top, top, (inputs, 5))
    dtype = products.carrier(products.bound(weight, products.peak(values)))
    product = np.matmul(weight.astype(dtype), values.astype(dtype))
    assert [[int(cell) for cell in row] for row in product] == np.matmul(weight.astype(object), values).tolist()


def test_unrolled_blocks_hold_the_windows_of_each_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xportdnn.kernels.COLUMN_BUFFER", 1)  # every row is a block
    image = np.arange(24, dtype=np.int8).reshape(4, 3, 2)
    windows = Windows((2, 1), (1, 1), (0, 0), (1, 1))
    blocks = list(products.unrolled(image, windows, (2, 2), np.float32, 2))
    assert [rows for rows, _ in blocks] == [slice(0, 1), slice(1, 2)]
    columns = blocks[1][1]
    assert columns.tolist() == [[[2, 3], [4, 5], [8, 9], [10, 11]], [[14, 15], [16, 17], [20, 21], [22, 23]]]
