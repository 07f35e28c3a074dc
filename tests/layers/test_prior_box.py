"""PriorBox: default boxes in SSD's order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, opencv, shapes, top
from xportdnn.errors import LayerError
from xportdnn.layers import Array, Shape


def body(block: str) -> str:
    return f'type: "PriorBox" prior_box_param {{ {block} }}'


def boxes(block: str, feature_map: Shape, image: Shape) -> Array:
    """The boxes in pixels, (n, 4)."""
    result = top(body(block), blob(1, 2, *feature_map), blob(1, 3, *image))
    pixels: Array = result[0, 0].reshape(-1, 4) * np.array([*image[::-1], *image[::-1]], np.float32)
    return pixels


def loops(
    minimum: list[float], maximum: list[float], ratios: list[float], steps: tuple[float, float], cells: Shape
) -> list[list[float]]:
    """Boxes in pixels, written as the layer is described: cell by cell, size by size."""
    found = []
    for row in range(cells[0]):
        for column in range(cells[1]):
            x, y = (column + 0.5) * steps[1], (row + 0.5) * steps[0]
            for index, size in enumerate(minimum):
                sides = [(size, size)]
                if maximum:
                    sides.append((math.sqrt(size * maximum[index]),) * 2)
                for ratio in ratios:
                    sides.append((size * math.sqrt(ratio), size / math.sqrt(ratio)))
                    sides.append((size / math.sqrt(ratio), size * math.sqrt(ratio)))
                for width, height in sides:
                    found.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    return found


def test_worked_by_hand() -> None:
    """One cell of 40x80 pixels, center (40, 20): squares of 8 and sqrt(8 * 18) = 12, then 8 as 4:1 and 1:4."""
    found = boxes("min_size: 8 max_size: 18 aspect_ratio: 4", (1, 1), (40, 80))
    expected = [[36, 16, 44, 24], [34, 14, 46, 26], [32, 18, 48, 22], [38, 12, 42, 28]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param("", [16, 6, 24, 14], id="step-from-the-sizes"),
        pytest.param("step: 10", [1, 1, 9, 9], id="step"),
        pytest.param("step_h: 10 step_w: 30", [11, 1, 19, 9], id="step-of-each-direction"),
        pytest.param("offset: 0", [-4, -4, 4, 4], id="offset"),
        pytest.param("offset: 0 clip: true", [0, 0, 4, 4], id="clip"),
    ],
)
def test_the_first_box(block: str, expected: list[float]) -> None:
    np.testing.assert_allclose(boxes(f"min_size: 8 {block}", (2, 3), (40, 120))[0], expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("block", ["img_size: 100", "img_h: 100 img_w: 100"], ids=["img-size", "img-h-and-img-w"])
def test_a_given_image_size_replaces_the_datas(block: str) -> None:
    result = top(body(f"min_size: 50 {block}"), blob(1, 2, 1, 1), blob(1, 3, 7, 9))
    np.testing.assert_allclose(result[0, 0], [0.25, 0.25, 0.75, 0.75])


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param("", [0.1, 0.1, 0.1, 0.1], id="default"),
        pytest.param("variance: 0.3", [0.3, 0.3, 0.3, 0.3], id="one-for-all"),
        pytest.param("variance: 1 variance: 2 variance: 3 variance: 4", [1, 2, 3, 4], id="one-each"),
    ],
)
def test_the_second_row_repeats_the_variances(block: str, expected: list[float]) -> None:
    result = top(body(f"min_size: 8 {block}"), blob(1, 2, 2, 3), blob(1, 3, 40, 80))
    np.testing.assert_allclose(result[0, 1].reshape(-1, 4), [expected] * 6)


@pytest.mark.parametrize(
    ("block", "count"),
    [
        pytest.param("aspect_ratio: 2 flip: true", 3, id="flipped"),
        pytest.param("aspect_ratio: 2 flip: false", 2, id="not-flipped"),
        pytest.param("aspect_ratio: 1", 1, id="square-again"),
        pytest.param("aspect_ratio: 2 aspect_ratio: 0.5", 3, id="inverse-is-there-already"),
        pytest.param("aspect_ratio: 2 aspect_ratio: 0.5 flip: false", 3, id="inverse-given"),
        pytest.param("aspect_ratio: 2 aspect_ratio: 3", 5, id="two-ratios"),
        pytest.param("min_size: 9 max_size: 20 max_size: 20 aspect_ratio: 2", 8, id="two-sizes"),
    ],
)
def test_boxes_per_cell(block: str, count: int) -> None:
    assert shapes(body(f"min_size: 8 {block}"), (1, 2, 4, 5), (1, 3, 40, 80)) == ((1, 2, 4 * 5 * count * 4),)


def test_sizes_count_as_whole_pixels() -> None:
    np.testing.assert_array_equal(
        boxes("min_size: 8.9 max_size: 18.9", (2, 3), (40, 80)), boxes("min_size: 8 max_size: 18", (2, 3), (40, 80))
    )


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(21, 60)), min_size=1, max_size=3),
    st.lists(st.sampled_from([2, 3, 1.5]), unique=True, max_size=2),
    st.booleans(),
    st.tuples(st.integers(1, 3), st.integers(4, 5)),
)
def test_agrees_with_loops(
    sizes: list[tuple[int, int]], ratios: list[float], with_maximum: bool, cells: tuple[int, int]
) -> None:
    minimum = [float(least) for least, _ in sizes]
    maximum = [float(most) for _, most in sizes] if with_maximum else []
    block = " ".join(
        [f"min_size: {size}" for size in minimum]
        + [f"max_size: {size}" for size in maximum]
        + [f"aspect_ratio: {ratio}" for ratio in ratios]
    )
    expected = loops(minimum, maximum, ratios, (60 / cells[0], 90 / cells[1]), cells)
    np.testing.assert_allclose(boxes(block, cells, (60, 90)), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param("min_size: 30 max_size: 60 aspect_ratio: 2 aspect_ratio: 3 clip: false", id="ssd300"),
        pytest.param("min_size: 10 min_size: 16 min_size: 24 clip: false step: 8 offset: 0.5", id="three-sizes"),
        pytest.param("min_size: 10 aspect_ratio: 2 flip: false clip: true step_h: 11 step_w: 13", id="clipped"),
    ],
)
def test_agrees_with_opencv(block: str) -> None:
    block += " variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2"
    bottoms = blob(1, 2, 4, 5), blob(1, 3, 60, 80)
    np.testing.assert_allclose(top(body(block), *bottoms), opencv(body(block), *bottoms), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param("", "has no min_size", id="no-min-size"),
        pytest.param("min_size: 0.5", "min_size 0.5 is below 1 pixel", id="min-size-too-small"),
        pytest.param("min_size: 8 min_size: 9 max_size: 20", "1 max_size for 2 min_size", id="max-size-count"),
        pytest.param("min_size: 8 max_size: 8", "max_size 8 is not above its min_size 8", id="max-size-too-small"),
        pytest.param("min_size: 8 aspect_ratio: 0", "aspect_ratio 0 is not positive", id="aspect-ratio"),
        pytest.param("min_size: 8 variance: 1 variance: 2", "2 variance entries; give 1 or 4", id="variance-count"),
        pytest.param("min_size: 8 variance: 0", "variance 0 is not positive", id="variance-0"),
        pytest.param("min_size: 8 img_size: 9 img_h: 9 img_w: 9", "img_size 9 stands beside", id="img-size-twice"),
        pytest.param("min_size: 8 img_h: 9", "img_size is given for one direction only", id="img-size-by-half"),
        pytest.param("min_size: 8 img_size: 0", "img_size 0 is not positive", id="img-size-0"),
        pytest.param("min_size: 8 step: 9 step_h: 9 step_w: 9", "step 9 stands beside its _h", id="step-twice"),
        pytest.param("min_size: 8 step_w: 9", "step is given for one direction only", id="step-by-half"),
        pytest.param("min_size: 8 step_h: -1 step_w: 9", "step -1 is not positive", id="step-negative"),
    ],
)
def test_refused(block: str, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(body(block), (1, 2, 4, 5), (1, 3, 40, 80))


@pytest.mark.parametrize(
    ("feature_map", "data", "message"),
    [
        pytest.param((1, 2), (1, 3, 40, 80), "bottom 0 is 1x2; .* 4 axes", id="feature-map"),
        pytest.param((1, 2, 4, 5), (1, 3), "bottom 1 is 1x3; give PriorBox the data .* or img_h and img_w", id="data"),
    ],
)
def test_bottoms_without_height_and_width_are_refused(feature_map: Shape, data: Shape, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(body("min_size: 8"), feature_map, data)
