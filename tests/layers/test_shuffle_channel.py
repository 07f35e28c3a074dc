"""ShuffleChannel: channels dealt out over groups."""

from __future__ import annotations

import numpy as np
import pytest

from tests.layers.one_layer import blob, counting, opencv, shapes, top
from xportdnn.errors import LayerError
from xportdnn.layers import Shape
from xportdnn.layers.shuffle_channel import KIND


def body(group: int) -> str:
    return f'type: "ShuffleChannel" shuffle_channel_param {{ group: {group} }}'


def test_worked_by_hand() -> None:
    np.testing.assert_array_equal(top(body(2), counting(1, 6)), [[0, 3, 1, 4, 2, 5]])


@pytest.mark.parametrize("group", [1, 2, 3, 6])
def test_agrees_with_opencv(group: int) -> None:
    x = blob(2, 6, 4, 5)
    np.testing.assert_array_equal(top(body(group), x), opencv(body(group), x))


@pytest.mark.parametrize("group", [1, 2, 3, 4, 6, 12])
def test_the_complementary_group_undoes_it(group: int) -> None:
    x = counting(2, 12, 3)
    np.testing.assert_array_equal(top(body(12 // group), top(body(group), x)), x)


def test_shares_one_threshold() -> None:
    assert KIND.ties == "all"


@pytest.mark.parametrize(
    ("group", "bottom", "message"),
    [
        pytest.param(4, (2, 6, 3, 5), "group 4 does not divide the 6 channels", id="not-divisible"),
        pytest.param(0, (2, 6, 3, 5), "group 0 does not divide", id="group-0"),
        pytest.param(1, (2,), "channel axis 1 is out of range", id="no-channels"),
    ],
)
def test_refused(group: int, bottom: Shape, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(body(group), bottom)
