"""BatchReindex: images by index."""

from __future__ import annotations

import numpy as np
import pytest

from tests.layers.one_layer import counting, forward, shapes, top, values
from xportdnn.errors import LayerError
from xportdnn.layers import Shape
from xportdnn.layers.batch_reindex import KIND


def test_images_are_repeated_and_reordered() -> None:
    x = counting(3, 2, 4, 5)
    np.testing.assert_array_equal(top('type: "BatchReindex"', x, values(2, 0, 2, 1.9)), x[[2, 0, 2, 1]])


def test_only_the_first_bottom_shares_the_threshold() -> None:
    assert KIND.ties == "first"


@pytest.mark.parametrize("index", [-1.0, 3.0, float("nan")], ids=str)
def test_an_index_outside_the_batch_is_refused(index: float) -> None:
    with pytest.raises(LayerError, match=f"index {index:g} in bottom 1 is outside the batch of 3; use 0 to 2"):
        forward('type: "BatchReindex"', counting(3, 2), values(0, index))


@pytest.mark.parametrize(
    ("bottom", "index", "message"),
    [
        pytest.param((3, 2), (2, 1), "bottom 1 is 2x1; .* single axis", id="index-with-two-axes"),
        pytest.param((), (2,), "bottom 0 has no axes", id="no-batch"),
    ],
)
def test_refused(bottom: Shape, index: Shape, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes('type: "BatchReindex"', bottom, index)
