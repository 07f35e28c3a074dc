"""What a network's answer is, and which class it means."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.evaluation.nets import CLASSIFIER, INPUT, shapes_of
from tests.small_nets import conv, data, layer, net_of
from xportdnn.evaluation.outputs import classes, detections, outputs, scores_of, verdict
from xportdnn.network import Net

FC = layer("fc", "InnerProduct", "data", "fc", "inner_product_param { num_output: 7 }")
AUX = conv("aux", "data", "aux", 2)
HEAD = (
    data(1, 3, 4, 5)
    + conv("loc", "data", "loc", 8)
    + layer("loc_flat", "Flatten", "loc", "loc_flat")
    + conv("conf", "data", "conf", 6)
    + layer("conf_flat", "Flatten", "conf", "conf_flat")
    + layer("prior", "PriorBox", "loc data", "prior", "prior_box_param { min_size: 2 aspect_ratio: 2 flip: false }")
    + layer("out", "DetectionOutput", "loc_flat conf_flat prior", "out", "detection_output_param { num_classes: 3 }")
)
ROWS = "reshape_param { shape { dim: 1 dim: -1 dim: 6 } }"
POSITIONS = (
    data(1, 3, 4, 5)
    + conv("conv", "data", "conv", 6)
    + layer("swap", "Permute", "conv", "swap", "permute_param { order: 0 order: 2 order: 3 order: 1 }")
    + layer("rows", "Reshape", "swap", "rows", ROWS)
)
SOFTMAX_ROWS = POSITIONS + layer("prob", "Softmax", "rows", "prob", "softmax_param { axis: 2 }")


def found(text: str) -> tuple[Net, list[str], str | None]:
    """The outputs' blobs, and that of the scores."""
    net = net_of(text)
    shapes = shapes_of(net)
    values = outputs(net, shapes)
    scores = scores_of(net, values, shapes)
    return net, [value.blob for value in values], None if scores is None else scores.blob


@pytest.mark.parametrize(
    ("text", "blobs", "scores"),
    [
        (CLASSIFIER, ["prob"], "prob"),
        (data(1, 3, 4, 5) + FC, ["fc"], "fc"),
        (data(1, 3, 4, 5) + FC + layer("best", "ArgMax", "fc", "best"), ["fc"], "fc"),
        (data(1, 3, 4, 5) + FC + layer("quiet", "Silence", "fc", ""), ["fc"], "fc"),
        (data(1, 3, 4, 5) + FC + layer("custom", "NoSuchType", "fc", "custom"), ["fc"], "fc"),
        (data(1, 3, 4, 5) + conv("conv", "data", "conv", 2), ["conv"], None),
        (data(1, 3, 4, 5) + FC.replace("7", "1"), ["fc"], None),
        (data(1, 3, 4, 5) + conv("conv", "data", "conv", 2) + FC, ["conv", "fc"], None),
        (CLASSIFIER + AUX, ["prob", "aux"], None),
        (INPUT + AUX + FC, ["aux", "fc"], None),
        (CLASSIFIER.replace(INPUT, INPUT + AUX), ["aux", "prob"], "prob"),
        (SOFTMAX_ROWS, ["prob"], "prob"),
        (SOFTMAX_ROWS.replace(data(1, 3, 4, 5), data(1, 3, 4, 5) + AUX), ["aux", "prob"], None),
        (POSITIONS, ["rows"], None),
        (HEAD, ["loc_flat", "conf_flat"], None),
    ],
    ids=[
        "softmax of a plane", "vector", "index of the best", "read by Silence", "read by an unknown layer", "plane",
        "one number", "two outputs, no Softmax", "last is dense", "first is dense", "first is dense, last a Softmax",
        "Softmax of positions", "Softmax of positions beside another", "positions without Softmax", "SSD",
    ],
)  # fmt: skip
def test_outputs(text: str, blobs: list[str], scores: str | None) -> None:
    assert found(text)[1:] == (blobs, scores)


def test_detections_are_found() -> None:
    assert [value.blob for value in detections(found(HEAD)[0])] == ["out"]
    assert list(detections(found(CLASSIFIER)[0])) == []


@pytest.mark.parametrize(
    ("shape", "expected"), [((1, 7), 7), ((1, 7, 1, 1), 7), ((1, 4, 6), 6), ((1, 7, 1), 7)], ids=str
)
def test_classes(shape: tuple[int, ...], expected: int) -> None:
    assert classes(shape) == expected


def test_verdict_of_probabilities() -> None:
    first, second = np.array([[0.2, 0.5, 0.3]], np.float32), np.array([[0.25, 0.25, 0.5]], np.float32)
    seen = verdict(4, first, second, 1, probabilities=True)
    # with label 1: best before; afterwards behind class 2 and the equal class 0
    assert seen[:6] == (4, 1, 2, 0, 2, False)
    expected = 0.2 * math.log(0.8) + 0.5 * math.log(2) + 0.3 * math.log(0.6)
    assert seen.divergence == pytest.approx(expected, rel=1e-6)


def test_verdict_of_scores_takes_a_softmax_first() -> None:
    first, second = (np.log(np.array([[shares]], np.float32)).reshape(1, 2, 1, 1) for shares in ((1, 3), (1, 1)))
    seen = verdict(0, first, second, None, probabilities=False)
    assert seen[:6] == (0, 1, 0, None, None, True)
    assert seen.divergence == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), rel=1e-6)


def test_verdict_of_positions_is_that_of_their_mean() -> None:
    # either class wins at two of three positions, but not in the mean
    first = np.array([[[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]]], np.float32)
    assert verdict(0, first, first, 0, probabilities=True)[:4] == (0, 0, 0, 0)
