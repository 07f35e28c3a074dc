"""Embed: rows by index, and indices outside the weights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.layers.one_layer import counting, values
from tests.layers.weighted import assert_images_alone, assert_refused, blob_shapes, top
from xportdnn.errors import LayerError


def embed(block: str) -> str:
    return f'type: "Embed" embed_param {{ {block} }}'


ROWS = embed("input_dim: 4 num_output: 3 bias_term: false")


def test_takes_rows() -> None:
    np.testing.assert_array_equal(top(ROWS, values(2, 0), blobs=(counting(4, 3),)), [[6, 7, 8], [0, 1, 2]])


def test_adds_a_bias_by_default() -> None:
    result = top(embed("input_dim: 4 num_output: 3"), values(1), blobs=(counting(4, 3), values(0.5, 0, -1)))
    np.testing.assert_array_equal(result, [[3.5, 4, 4]])


def test_the_top_has_one_more_axis() -> None:
    assert top(ROWS, np.ones((2, 5), np.float32), blobs=(counting(4, 3),)).shape == (2, 5, 3)


def test_indices_are_cut_to_whole_numbers() -> None:
    np.testing.assert_array_equal(top(ROWS, values(1.9), blobs=(counting(4, 3),)), [[3, 4, 5]])


def test_a_batch_gives_what_its_images_give() -> None:
    assert_images_alone(ROWS, values(3, 0, 1).reshape(3, 1), (counting(4, 3),))


def test_weights() -> None:
    assert blob_shapes(embed("input_dim: 4 num_output: 3"), (2, 5)) == ((4, 3), (3,))


@pytest.mark.parametrize(("index", "written"), [(4, "4"), (-1, "-1"), (math.nan, "nan")])
def test_refuses_an_index_outside_the_weights(index: float, written: str) -> None:
    with pytest.raises(LayerError, match=rf"holds {written}, an index must be 0 to 3 \(input_dim\)"):
        top(ROWS, values(0, index), blobs=(counting(4, 3),))


@pytest.mark.parametrize("missing", ["num_output", "input_dim"])
def test_refuses_a_missing_size(missing: str) -> None:
    given = {"num_output": "input_dim: 4", "input_dim": "num_output: 3"}[missing]
    assert_refused(embed(given), (2, 5), message=f"{missing} is missing or 0")
