"""DetectionOutput: decoding, suppression, sorting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import decoded, opencv, shapes
from xportdnn.errors import LayerError
from xportdnn.layers import Array, Shape
from xportdnn.layers.detection_output import NonMaximumSuppression, Params, overlaps, survivors

PRIOR = [0.2, 0.2, 0.6, 0.4]
VARIANCE = [0.5, 1, 0.25, 1]


def body(block: str = "", classes: int = 2) -> str:
    return f'type: "DetectionOutput" detection_output_param {{ num_classes: {classes} {block} }}'


def rows(text: str, loc: Array, conf: Array, prior: Array) -> Array:
    """What is found, (n, 7); checks all but the third size of the shape."""
    bottoms = loc, conf, prior
    for bottom in bottoms:
        bottom.flags.writeable = False
    kind, params = decoded(text, 3, 1)
    (top,) = kind.forward(params, bottoms, ())
    assert top.dtype == np.float32
    assert shapes(text, loc.shape, conf.shape, prior.shape) == ((*top.shape[:2], 1, top.shape[3]),) == ((1, 1, 1, 7),)
    found: Array = top[0, 0]
    return found


def at_rest(boxes: list[list[float]], scores: list[list[float]]) -> tuple[Array, Array, Array]:
    """Bottoms that predict exactly the prior boxes: one image, scores per box and class."""
    count = len(boxes)
    prior = np.array([[np.ravel(boxes), np.full(4 * count, 0.1)]], np.float32)
    return np.zeros((1, 4 * count), np.float32), np.array(scores, np.float32).reshape(1, -1), prior


def crowd(seed: int, batch: int, boxes: int, classes: int, shared: bool) -> tuple[Array, Array, Array]:
    """Random predictions around random boxes."""
    random = np.random.default_rng(seed)
    center, size = random.uniform(0.2, 0.8, (boxes, 2)), random.uniform(0.05, 0.3, (boxes, 2))
    corners = np.concatenate((center - size / 2, center + size / 2), axis=1)
    prior = np.stack((corners.ravel(), np.tile([0.1, 0.1, 0.2, 0.2], boxes)))[np.newaxis]
    loc = random.normal(0, 0.5, (batch, boxes * (1 if shared else classes) * 4))
    conf = random.uniform(0, 1, (batch, boxes * classes))
    return loc.astype(np.float32), conf.astype(np.float32), prior.astype(np.float32)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param("", [0.25, 0.4, 0.7, 0.8], id="corner-by-default"),
        pytest.param("variance_encoded_in_target: true", [0.3, 0.4, 1, 0.8], id="corner-without-variance"),
        pytest.param("code_type: CORNER_SIZE", [0.22, 0.24, 0.64, 0.48], id="corner-size"),
        pytest.param(
            "code_type: CORNER_SIZE variance_encoded_in_target: true",
            [0.24, 0.24, 0.76, 0.48],
            id="corner-size-without-variance",
        ),
        pytest.param(
            "code_type: CENTER_SIZE",
            [0.42 - 0.2 * np.exp(0.1), 0.34 - 0.1 * np.exp(0.4), 0.42 + 0.2 * np.exp(0.1), 0.34 + 0.1 * np.exp(0.4)],
            id="center-size",
        ),
        pytest.param(
            "code_type: 2 variance_encoded_in_target: true",
            [0.44 - 0.2 * np.exp(0.4), 0.34 - 0.1 * np.exp(0.4), 0.44 + 0.2 * np.exp(0.4), 0.34 + 0.1 * np.exp(0.4)],
            id="center-size-by-number-without-variance",
        ),
    ],
)
def test_decoding_worked_by_hand(block: str, expected: list[float]) -> None:
    """Prior box 0.4 wide, 0.2 high around (0.4, 0.3); predictions 0.1, 0.2, 0.4, 0.4."""
    prior = np.array([[PRIOR, VARIANCE]], np.float32)
    loc, conf = np.array([[0.1, 0.2, 0.4, 0.4]], np.float32), np.array([[0.3, 0.7]], np.float32)
    np.testing.assert_allclose(rows(body(block), loc, conf, prior), [[0, 1, 0.7, *expected]], rtol=1e-6)


def test_of_overlapping_boxes_the_best_stays() -> None:
    boxes = [[0, 0, 0.4, 0.4], [0, 0, 0.4, 0.3], [0.5, 0.5, 0.9, 0.9]]
    found = rows(body(), *at_rest(boxes, [[0, 0.6], [0, 0.8], [0, 0.5]]))
    np.testing.assert_allclose(found, [[0, 1, 0.8, *boxes[1]], [0, 1, 0.5, *boxes[2]]])


def test_classes_do_not_suppress_each_other() -> None:
    box = [0, 0, 0.4, 0.4]
    found = rows(body(classes=3), *at_rest([box], [[0.1, 0.2, 0.7]]))
    np.testing.assert_allclose(found, [[0, 1, 0.2, *box], [0, 2, 0.7, *box]])


@pytest.mark.parametrize(
    ("block", "labels"),
    [
        pytest.param("", [1, 2], id="class-0-by-default"),
        pytest.param("background_label_id: 2", [0, 1], id="another-class"),
        pytest.param("background_label_id: -1", [0, 1, 2], id="none"),
    ],
)
def test_the_background_is_not_reported(block: str, labels: list[int]) -> None:
    found = rows(body(block, classes=3), *at_rest([[0, 0, 0.4, 0.4]], [[0.1, 0.2, 0.7]]))
    assert found[:, 1].tolist() == labels


@pytest.mark.parametrize(
    ("block", "scores"),
    [
        pytest.param("", [0.9, 0.8, 0.5, 0.25], id="all"),
        pytest.param("confidence_threshold: 0.5", [0.9, 0.8], id="threshold-is-strict"),
        pytest.param("nms_param { top_k: 3 }", [0.9, 0.8, 0.5], id="top-k"),
        pytest.param("keep_top_k: 1", [0.9], id="keep-top-k"),
    ],
)
def test_how_many_stay(block: str, scores: list[float]) -> None:
    boxes = [[x, 0, x + 0.1, 0.1] for x in (0.0, 0.2, 0.4, 0.6)]
    found = rows(body(block), *at_rest(boxes, [[0, 0.25], [0, 0.9], [0, 0.5], [0, 0.8]]))
    np.testing.assert_allclose(found[:, 2], scores)


def test_keep_top_k_chooses_among_all_classes_but_keeps_them_together() -> None:
    boxes = [[0, 0, 0.1, 0.1], [0.2, 0, 0.3, 0.1]]
    found = rows(body("keep_top_k: 3", classes=3), *at_rest(boxes, [[0, 0.3, 0.9], [0, 0.5, 0.7]]))
    np.testing.assert_allclose(found[:, 1:3], [[1, 0.5], [2, 0.9], [2, 0.7]])


def test_eta_lowers_the_threshold_with_every_box_that_stays() -> None:
    """Overlaps with the best: 7/13 = 0.54 passes 0.6; a third box at 0.54 fails after 0.6 * 0.8 = 0.48."""
    boxes = [[0, 0, 0.1, 0.1], [0.5, 0.5, 0.6, 0.6], [0.03, 0, 0.13, 0.1]]
    bottoms = at_rest(boxes, [[0, 0.9], [0, 0.8], [0, 0.7]])
    assert len(rows(body("nms_param { nms_threshold: 0.6 }"), *bottoms)) == 3
    assert len(rows(body("nms_param { nms_threshold: 0.6 eta: 0.8 }"), *bottoms)) == 2


def test_each_class_can_have_its_own_boxes() -> None:
    prior = np.array([[PRIOR, [1, 1, 1, 1]]], np.float32)
    loc = np.array([[9, 9, 9, 9, 0, 0, 0.1, 0, 0, 0, 0.2, 0]], np.float32)
    conf = np.array([[0, 0.5, 0.25]], np.float32)
    found = rows(body("share_location: false", classes=3), loc, conf, prior)
    np.testing.assert_allclose(found[:, 3:], [[0.2, 0.2, 0.7, 0.4], [0.2, 0.2, 0.8, 0.4]], rtol=1e-6)


def test_nothing_found_gives_a_row_of_minus_one_for_every_image() -> None:
    loc, conf, prior = crowd(0, batch=3, boxes=4, classes=2, shared=True)
    found = rows(body("confidence_threshold: 2"), loc, conf, prior)
    np.testing.assert_array_equal(found, [[image, -1, -1, -1, -1, -1, -1] for image in range(3)])


def test_an_image_without_detections_among_others_gives_no_row() -> None:
    loc, conf, prior = crowd(0, batch=2, boxes=4, classes=3, shared=True)
    conf[0] = 0
    found = rows(body("confidence_threshold: 0.01", classes=3), loc, conf, prior)
    assert set(found[:, 0]) == {1}


def test_a_batch_is_its_images() -> None:
    loc, conf, prior = crowd(1, batch=2, boxes=9, classes=3, shared=False)
    text = body("share_location: false keep_top_k: 5 nms_param { nms_threshold: 0.4 }", classes=3)
    together = rows(text, loc, conf, prior)
    for image in (0, 1):
        alone = rows(text, loc[image : image + 1], conf[image : image + 1], prior)
        np.testing.assert_array_equal(together[together[:, 0] == image, 1:], alone[:, 1:])


def test_sizes_beyond_float32_give_no_warning() -> None:
    loc, conf, prior = at_rest([[0, 0, 0.4, 0.4], [0.1, 0.1, 0.4, 0.4]], [[0, 0.5], [0, 0.6]])
    found = rows(body("code_type: CENTER_SIZE"), loc + np.float32(1e6), conf, prior)
    assert np.isinf(found[0, 5])


def test_touching_boxes_do_not_overlap() -> None:
    box, others = np.array([0, 0, 1, 1], np.float32), np.array([[1, 0, 2, 1], [0, 1, 1, 2], [0, 0, 0, 1]], np.float32)
    np.testing.assert_array_equal(overlaps(box, others), [0, 0, 0])


def test_overlap_is_intersection_over_union() -> None:
    box, others = np.array([0, 0, 2, 2], np.float32), np.array([[0, 0, 2, 2], [1, 1, 3, 3], [1, 0, 2, 1]], np.float32)
    np.testing.assert_allclose(overlaps(box, others), [1, 1 / 7, 1 / 4])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10000), st.sampled_from([1.0, 0.9]), st.sampled_from([-1, 7]), st.sampled_from([0.3, 0.8]))
def test_suppression_agrees_with_comparing_all_pairs(seed: int, eta: float, top_k: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    low = random.integers(0, 6, (12, 2))
    boxes = np.concatenate((low, low + random.integers(-1, 5, (12, 2))), axis=1).astype(np.float32)
    scores: Array = (random.integers(0, 9, 12) / 8).astype(np.float32)
    params = Params(nms_param=NonMaximumSuppression(threshold, top_k, eta), confidence_threshold=0.2)
    ranked = sorted((index for index in range(12) if scores[index] > 0.2), key=lambda index: -scores[index])
    stayed: list[int] = []
    for index in ranked if top_k < 0 else ranked[:top_k]:
        if all(overlaps(boxes[index], boxes[[kept]])[0] <= np.float32(threshold) for kept in stayed):
            stayed.append(index)
            threshold = threshold * eta if threshold > 0.5 else threshold
    assert survivors(params, boxes, scores) == stayed


@pytest.mark.parametrize("code_type", ["CORNER", "CENTER_SIZE"])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "per-class"])
@pytest.mark.parametrize("nms", ["nms_threshold: 0.45 top_k: 20", "nms_threshold: 0.7 top_k: 30"], ids=str)
def test_agrees_with_opencv(code_type: str, shared: bool, nms: str) -> None:
    """As sets of rows: OpenCV sorts them by score alone and fills up with zeros. It does not know `eta`."""
    text = body(
        f"share_location: {str(shared).lower()} background_label_id: 0 code_type: {code_type} keep_top_k: 15 "
        f"confidence_threshold: 0.3 nms_param {{ {nms} }}",
        classes=4,
    )
    bottoms = crowd(3, batch=2, boxes=40, classes=4, shared=shared)
    ours = rows(text, *bottoms)
    theirs = opencv(text, *bottoms)[0, 0]
    theirs = theirs[theirs[:, 2] > 0]
    np.testing.assert_allclose(ours[np.lexsort(ours[:, :3].T)], theirs[np.lexsort(theirs[:, :3].T)], rtol=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('type: "DetectionOutput"', "has no num_classes", id="no-classes"),
        pytest.param(body("code_type: 0"), "code_type 0 does not exist", id="code-type-0"),
        pytest.param(body("nms_param { nms_threshold: -0.1 }"), "nms_threshold -0.1 is negative", id="threshold"),
        pytest.param(body("nms_param { eta: 0 }"), "eta is 0; use a factor above 0", id="eta-0"),
        pytest.param(body("nms_param { eta: 1.5 }"), "eta is 1.5", id="eta-above-1"),
    ],
)
def test_parameters_refused(text: str, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(text, (1, 20), (1, 10), (1, 2, 20))


@pytest.mark.parametrize(
    ("loc", "conf", "prior", "message"),
    [
        pytest.param((1, 20), (1, 10), (1, 1, 20), "bottom 2 is 1x1x20; .* 1x2x", id="prior-without-variance"),
        pytest.param((1, 20), (1, 10), (2, 20), "bottom 2 is 2x20", id="prior-axes"),
        pytest.param((1, 20), (1, 10), (1, 2, 22), "bottom 2 is 1x2x22", id="prior-not-by-4"),
        pytest.param((1, 24), (1, 10), (1, 2, 20), "bottom 0 is 1x24, .* 20 locations per image", id="locations"),
        pytest.param((1, 5, 4), (1, 10), (1, 2, 20), "bottom 0 is 1x5x4, .* flatten it", id="locations-not-flat"),
        pytest.param((1, 20), (1, 15), (1, 2, 20), "bottom 1 is 1x15, .* 10 scores .* num_classes 2", id="scores"),
        pytest.param((3, 20), (1, 10), (1, 2, 20), "holds 3 images and bottom 1 1", id="batches"),
    ],
)
def test_bottoms_refused(loc: Shape, conf: Shape, prior: Shape, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        shapes(body(), loc, conf, prior)


def test_flat_blobs_may_have_axes_of_one_behind() -> None:
    assert shapes(body(), (3, 20, 1, 1), (3, 10, 1, 1), (1, 2, 20)) == ((1, 1, 1, 7),)


@pytest.mark.parametrize("code_type", ["CENTER_SIZE", "CORNER_SIZE"])
def test_a_prior_box_without_area_is_refused(code_type: str) -> None:
    bottoms = at_rest([[0, 0, 0.4, 0.4], [0.5, 0.1, 0.5, 0.4]], [[0, 0.5], [0, 0.6]])
    with pytest.raises(LayerError, match="prior box 1 has no area"):
        rows(body(f"code_type: {code_type}"), *bottoms)
