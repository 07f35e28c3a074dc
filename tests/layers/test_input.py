"""Input: the shapes of the network's inputs."""

from __future__ import annotations

import pytest

from tests.layers.one_layer import counting, decoded, shapes
from xportdnn.errors import LayerError

ONE = "shape { dim: 2 dim: 3 dim: 4 dim: 5 }"
OTHER = "shape { dim: 2 dim: 1 }"


def test_one_shape_serves_all_tops() -> None:
    assert shapes(f'type: "Input" input_param {{ {ONE} }}', tops=3) == ((2, 3, 4, 5),) * 3


def test_each_top_can_have_its_own_shape() -> None:
    assert shapes(f'type: "Input" input_param {{ {ONE} {OTHER} }}', tops=2) == ((2, 3, 4, 5), (2, 1))


def test_forward_hands_on_what_it_is_fed() -> None:
    kind, params = decoded(f'type: "Input" input_param {{ {ONE} }}', 0, 1)
    fed = (counting(2, 3, 4, 5),)
    assert kind.forward(params, fed, ()) is fed


@pytest.mark.parametrize(
    ("block", "tops", "message"),
    [
        pytest.param("", 2, "has 0 shape entries for 2 tops", id="no-shape"),
        pytest.param(ONE + OTHER, 3, "has 2 shape entries for 3 tops", id="too-few-shapes"),
        pytest.param(ONE + OTHER, 1, "has 2 shape entries for 1 tops", id="too-many-shapes"),
        pytest.param("shape { dim: 2 dim: 0 }", 1, "shape 2x0 is empty", id="dim-0"),
        pytest.param("shape { dim: -2 dim: 3 }", 1, "shape -2x3 is empty", id="dim-negative"),
        pytest.param("shape { }", 1, "shape .* is empty", id="no-dims"),
    ],
)
def test_refused(block: str, tops: int, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(f'type: "Input" input_param {{ {block} }}', tops=tops)
