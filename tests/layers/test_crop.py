"""Crop: the first bottom cut to the size of the second."""

from __future__ import annotations

import numpy as np
import pytest

from tests.layers.one_layer import counting, shapes, top
from xportdnn.errors import LayerError
from xportdnn.layers import Shape
from xportdnn.layers.crop import KIND


def test_worked_by_hand() -> None:
    body = 'type: "Crop" crop_param { axis: 0 offset: 1 }'
    np.testing.assert_array_equal(top(body, counting(3, 4), counting(1, 2)), [[5, 6]])


@pytest.mark.parametrize(
    ("block", "window"),
    [
        pytest.param("", np.s_[:, :, :2, :3], id="height-and-width-by-default"),
        pytest.param("offset: 2", np.s_[:, :, 2:4, 2:5], id="one-offset-for-all"),
        pytest.param("offset: 1 offset: 3", np.s_[:, :, 1:3, 3:6], id="an-offset-each"),
        pytest.param("axis: 1", np.s_[:, :1, :2, :3], id="axis"),
        pytest.param("axis: -1 offset: 4", np.s_[:, :, :, 4:7], id="negative-axis"),
        pytest.param("axis: 1 offset: 3 offset: 2 offset: 1", np.s_[:, 3:4, 2:4, 1:4], id="three-offsets"),
    ],
)
def test_agrees_with_slices(block: str, window: tuple[slice, ...]) -> None:
    x = counting(2, 4, 5, 7)
    result = top(f'type: "Crop" crop_param {{ {block} }}', x, counting(9, 1, 2, 3))
    np.testing.assert_array_equal(result, x[window])


def test_not_in_place() -> None:
    assert not KIND.in_place


def test_only_the_first_bottom_shares_the_threshold() -> None:
    assert KIND.ties == "first"


@pytest.mark.parametrize(
    ("block", "size", "message"),
    [
        pytest.param("axis: 4", (2, 3, 4, 5), "axis 4 is out of range", id="no-such-axis"),
        pytest.param("offset: 1 offset: 1 offset: 1", (2, 3, 1, 1), "3 offset entries for 2", id="offset-count"),
        pytest.param("", (2, 3, 4, 6), "offset 0 and size 6 do not fit axis 3", id="larger-than-the-bottom"),
        pytest.param("offset: 2", (2, 3, 3, 1), "offset 2 and size 3 do not fit axis 2", id="offset-too-large"),
        pytest.param("", (2, 3, 4), "bottom 1 is 2x3x4 .* as many axes", id="missing-axes"),
    ],
)
def test_refused(block: str, size: Shape, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(f'type: "Crop" crop_param {{ {block} }}', (2, 3, 4, 5), size)
