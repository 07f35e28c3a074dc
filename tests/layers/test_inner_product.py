"""InnerProduct: which axes it takes, which way round the weights lie, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, counting, decoded, shapes, values
from tests.layers.weighted import (
    assert_close,
    assert_images_alone,
    assert_refused,
    blob_shapes,
    opencv,
    random_blobs,
    top,
)
from xportdnn.layers import kind
from xportdnn.layers.inner_product import KIND


def inner(block: str) -> str:
    return f'type: "InnerProduct" inner_product_param {{ {block} }}'


def test_worked_by_hand() -> None:
    weight = values(1, 10, 100, 0, 0, -1).reshape(2, 3)
    result = top(inner("num_output: 2"), values(1, 2, 3, 4, 5, 6).reshape(2, 3), blobs=(weight, values(0.5, 0)))
    np.testing.assert_array_equal(result, [[321.5, -3], [654.5, -6]])


@settings(max_examples=30, deadline=None)
@given(axis=st.integers(-4, 3), transpose=st.booleans(), bias=st.booleans())
def test_is_a_sum_over_the_axes_from_axis_on(axis: int, transpose: bool, bias: bool) -> None:
    shape = (2, 3, 4, 5)
    body = inner(f"num_output: 7 axis: {axis} transpose: {str(transpose).lower()} bias_term: {str(bias).lower()}")
    x = blob(*shape)
    weight, *biases = random_blobs(body, shape)
    lead = shape[: axis % 4]
    rows = x.reshape(*lead, -1).astype(np.float64)
    expected = np.einsum("...k,nk->...n", rows, (weight.T if transpose else weight).astype(np.float64))
    assert_close(top(body, x, blobs=(weight, *biases)), expected + (biases[0] if bias else 0))


@pytest.mark.parametrize(
    ("axis", "expected"),
    [(0, (7,)), (1, (2, 7)), (2, (2, 3, 7)), (-1, (2, 3, 4, 7))],
)
def test_top_keeps_the_axes_before(axis: int, expected: tuple[int, ...]) -> None:
    assert shapes(inner(f"num_output: 7 axis: {axis}"), (2, 3, 4, 5)) == (expected,)


def test_weights() -> None:
    assert blob_shapes(inner("num_output: 7"), (2, 3, 4, 5)) == ((7, 60), (7,))


def test_transposed_weights_without_bias() -> None:
    assert blob_shapes(inner("num_output: 7 transpose: true bias_term: false"), (2, 3, 4, 5)) == ((60, 7),)


@pytest.mark.parametrize("axis", [1, 2])
def test_a_batch_gives_what_its_images_give(axis: int) -> None:
    body = inner(f"num_output: 70 axis: {axis}")
    x = blob(5, 3, 40, 6)
    assert_images_alone(body, x, random_blobs(body, x.shape))


def test_agrees_with_opencv() -> None:
    body = inner("num_output: 7")
    x = blob(2, 3, 4, 5)
    blobs = random_blobs(body, x.shape)
    assert_close(top(body, x, blobs=blobs), opencv(body, x, blobs=blobs))


@pytest.mark.parametrize("transpose", ["true", "false"])
def test_each_row_of_channels_makes_one_output(transpose: str) -> None:
    body = inner(f"num_output: 7 transpose: {transpose} bias_term: false")
    x = counting(2, 3, 4)
    (weight,) = random_blobs(body, x.shape)
    assert KIND.channels is not None
    rows = KIND.channels(decoded(body, 1, 1)[1], weight)
    assert_close(top(body, x, blobs=(weight,))[:, 4], x.reshape(2, 12) @ rows[4])


def test_name_in_ristretto() -> None:
    assert kind("FcRistretto") is KIND


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("", "num_output is missing or 0", id="no-num_output"),
        pytest.param("num_output: 7 axis: 4", "axis 4 is out of range", id="axis"),
    ],
)
def test_refused(block: str, message: str) -> None:
    assert_refused(inner(block), (2, 3, 4, 5), message=message)
