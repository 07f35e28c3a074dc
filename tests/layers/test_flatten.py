"""Flatten: several axes become one."""

from __future__ import annotations

import numpy as np
import pytest

from tests.layers.one_layer import blob, opencv, shapes, top
from xportdnn.errors import LayerError
from xportdnn.layers import Shape
from xportdnn.layers.flatten import KIND


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        pytest.param("", (2, 60), id="default"),
        pytest.param("axis: 2", (2, 3, 20), id="axis"),
        pytest.param("axis: 0", (120,), id="everything"),
        pytest.param("end_axis: 2", (2, 12, 5), id="end-axis"),
        pytest.param("axis: -3 end_axis: -2", (2, 12, 5), id="negative-axes"),
        pytest.param("axis: 2 end_axis: 2", (2, 3, 4, 5), id="one-axis"),
        pytest.param("axis: 2 end_axis: 1", (2, 3, 1, 4, 5), id="no-axis-inserts-one"),
    ],
)
def test_values_keep_their_order(block: str, shape: Shape) -> None:
    x = blob(2, 3, 4, 5)
    result = top(f'type: "Flatten" flatten_param {{ {block} }}', x)
    np.testing.assert_array_equal(result, x.reshape(shape))


def test_agrees_with_opencv() -> None:
    body = 'type: "Flatten" flatten_param { axis: 1 end_axis: 2 }'
    x = blob(2, 3, 4, 5)
    np.testing.assert_array_equal(top(body, x), opencv(body, x))


def test_not_in_place() -> None:
    assert not KIND.in_place


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("axis: 4", "axis 4 is out of range", id="no-such-axis"),
        pytest.param("end_axis: -5", "end_axis -5 is out of range", id="no-such-end-axis"),
        pytest.param("axis: 3 end_axis: 1", "end_axis 1 comes before axis 3", id="crossed"),
    ],
)
def test_refused(block: str, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(f'type: "Flatten" flatten_param {{ {block} }}', (2, 3, 4, 5))
