"""PriorBox and DetectionOutput."""

from __future__ import annotations

import pytest

from tests.check.cases import Case
from tests.check.nets import layer, messages, net
from xportdnn.check.rules.detection import RULES


def boxes(text: str) -> str:
    return net(layer("a", "PriorBox", f'bottom: "data" prior_box_param {{ {text} }}'))


def detections(text: str) -> str:
    return net(layer("a", "DetectionOutput", f'bottom: "data" bottom: "data" detection_output_param {{ {text} }}'))


CASES = {
    "prior-box-values": Case(
        failing=boxes("min_size: 30\nmax_size: 30"),
        passing=boxes("min_size: 30 max_size: 60 step: 8 variance: 0.1 img_h: 9 img_w: 7"),
        says="max_size 30 is not above min_size 30",
        line=3,
    ),
    "detection-output-values": Case(
        failing=detections("num_classes: 2"),
        passing=detections("num_classes: 2 code_type: CENTER_SIZE share_location: true background_label_id: 0"),
        says="code_type is not given, which is CORNER, instead of CENTER_SIZE",
        line=2,
    ),
}
NAMED = {rule.id: rule for rule in RULES}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("step: 8", ["there is no min_size"]),
        ("min_size: 3 step: 8 step_h: 8 step_w: 8", ["step and step_h and step_w are both given"]),
        ("min_size: 3 img_w: 7", ["img_w stands alone; the board wants img_h and img_w, or img_size"]),
        ("min_size: 3 step: 0", ["step is 0, it must be above 0"]),
        ("min_size: 3 img_size: 0", ["img_size is 0, it must be above 0"]),
        ("min_size: 3 variance: [0.1, 0.1, 0, 0.2]", ["variance is 0.1, 0.1, 0, 0.2, all must be above 0"]),
        ("min_size: 3 variance: [0, 1]", []),
        ("min_size: [3, 5] max_size: [4, 5]", ["max_size 5 is not above min_size 5"]),
    ],
)
def test_prior_box(text: str, found: list[str]) -> None:
    assert messages(NAMED["prior-box-values"], boxes(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("code_type: 2", ["there is no num_classes"]),
        ("num_classes: 2 code_type: CORNER_SIZE", ["code_type is CORNER_SIZE instead of CENTER_SIZE"]),
        ("num_classes: 2 code_type: 2 share_location: false", ["share_location is false"]),
        ("num_classes: 2 code_type: 2 background_label_id: -1", ["background_label_id is -1 instead of 0"]),
        ("num_classes: 2 code_type: 2 variance_encoded_in_target: true", ["variance_encoded_in_target is true"]),
    ],
)
def test_detection_output(text: str, found: list[str]) -> None:
    assert messages(NAMED["detection-output-values"], detections(text)) == found
