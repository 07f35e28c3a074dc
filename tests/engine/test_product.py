"""Products in strips are products."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xportdnn.engine import product
from xportdnn.engine.product import Factor


@settings(max_examples=40, deadline=None)
@given(
    stack=st.integers(1, 3),
    rows=st.integers(1, 150),
    inner=st.sampled_from([1, 7, 100, 600, 1100]),
    columns=st.integers(1, 140),
)
def test_strips_put_together_are_the_whole_product(stack: int, rows: int, inner: int, columns: int) -> None:
    rng = np.random.default_rng(rows)
    x = rng.standard_normal((stack, rows, inner)).astype(np.float32)
    weights = rng.standard_normal((stack, inner, columns)).astype(np.float32)
    factor = Factor(tuple(product.strips(weights, product.width(columns, inner, rows))))
    assert (factor.stack, factor.inner, factor.columns) == weights.shape
    out = np.full((stack, rows, columns), np.nan, np.float32)
    for each in factor.products(x, out):
        np.matmul(each.x, each.strips, out=each.out)
    expected = np.matmul(x.astype(np.float64), weights.astype(np.float64))
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 3000), inner=st.integers(1, 5000), columns=st.integers(1, 3000))
def test_no_product_is_larger_than_blas_takes_as_it_lies(rows: int, inner: int, columns: int) -> None:
    width = product.width(columns, inner, rows)
    strips = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (-(-columns // width), 1, inner, width), (0,) * 4)
    x = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (1, rows, inner), (0, 0, 0))
    out = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (1, rows, strips.shape[0] * width), (0, 0, 0))
    for each in Factor((strips,)).products(x, out):
        assert each.x.shape[1] * inner * width <= 1_000_000


def test_strips_lie_in_one_piece_each() -> None:
    weights = np.arange(3 * 5 * 70, dtype=np.float32).reshape(70, 5, 3).T
    wide, rest = product.strips(weights, 64)
    assert wide.shape == (1, 3, 5, 64)
    assert rest.shape == (1, 3, 5, 6)
    assert wide.flags.c_contiguous
    assert rest.flags.c_contiguous
    np.testing.assert_array_equal(np.concatenate((wide[0], rest[0]), axis=-1), weights)
