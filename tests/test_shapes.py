"""Axes and their names in messages."""

from __future__ import annotations

import pytest

from xportdnn.errors import LayerError
from xportdnn.shapes import axis_index, axis_or_legacy, written


@pytest.mark.parametrize(("axis", "index"), [(0, 0), (3, 3), (-1, 3), (-4, 0)], ids=str)
def test_negative_axes_count_from_the_end(axis: int, index: int) -> None:
    assert axis_index((2, 3, 4, 5), axis) == index


@pytest.mark.parametrize("axis", [4, -5])
def test_a_missing_axis_is_refused_with_the_axes_there_are(axis: int) -> None:
    with pytest.raises(LayerError, match=f"concat_dim {axis} is out of range for a bottom of 2x3x4x5; use -4 to 3"):
        axis_index((2, 3, 4, 5), axis, "concat_dim")


def test_a_value_without_axes_has_no_axis() -> None:
    with pytest.raises(LayerError, match=r"axis 0 .* one value without axes; the layer needs a bottom with axes"):
        axis_index((), 0)


@pytest.mark.parametrize(
    ("axis", "legacy", "index"),
    [
        pytest.param(None, None, 1, id="default"),
        pytest.param(-1, None, 3, id="axis"),
        pytest.param(None, 2, 2, id="legacy"),
    ],
)
def test_axis_or_its_legacy_name(axis: int | None, legacy: int | None, index: int) -> None:
    assert axis_or_legacy((2, 3, 4, 5), axis, legacy, "slice_dim") == index


def test_both_names_are_refused() -> None:
    with pytest.raises(LayerError, match="axis 1 and slice_dim 1 are both given; keep axis only"):
        axis_or_legacy((2, 3, 4, 5), 1, 1, "slice_dim")


def test_written() -> None:
    assert written((1, 3, 224, 224)) == "1x3x224x224"
