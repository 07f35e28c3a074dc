"""DetectionOutput: boxes decoded, thinned out and sorted (detection_output_layer.cpp and bbox_util.cpp of the SSD
fork; Liu et al., arXiv:1512.02325)."""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn import decode
from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.layers import Array, Arrays, LayerKind, Shapes
from xportdnn.lazy import np
from xportdnn.shapes import written


@dataclass(frozen=True)
class NonMaximumSuppression:
    """A box that overlaps a better one by more than the threshold is dropped; `eta` lowers the threshold each time."""

    nms_threshold: float = 0.3
    top_k: int = -1
    eta: float = 1.0


NMS_PARAM = decode.message(NonMaximumSuppression, NonMaximumSuppression())


@dataclass(frozen=True)
class Params:
    num_classes: Uint = 0
    share_location: bool = True
    background_label_id: int = 0
    nms_param: NonMaximumSuppression = NMS_PARAM
    # SSD numbers the codes from 1.
    code_type: str = decode.enum("", "CORNER", "CENTER_SIZE", "CORNER_SIZE", default="CORNER")
    variance_encoded_in_target: bool = False
    keep_top_k: int = -1
    confidence_threshold: float = float("-inf")

    IGNORED = ("save_output_param", "visualize", "visualize_threshold", "save_file")


def check(p: Params) -> None:
    """Look at the parameters that need no bottoms.

    Raises:
        LayerError: one that SSD refuses.
    """
    if p.num_classes < 1:
        raise LayerError("detection_output_param has no num_classes; give it, background included")
    if not p.code_type:
        raise LayerError("code_type 0 does not exist; use CORNER, CENTER_SIZE or CORNER_SIZE")
    nms = p.nms_param
    if not nms.nms_threshold >= 0:
        raise LayerError(f"nms_threshold {nms.nms_threshold:g} is negative; overlaps lie between 0 and 1")
    if not 0 < nms.eta <= 1:
        raise LayerError(f"nms_param eta is {nms.eta:g}; use a factor above 0 and up to 1")


def shape(p: Params, bottoms: Shapes) -> Shapes:
    """(1, 1, 1, 7): the 7 is certain, the third size is the number of boxes found and known only after `forward`.

    Raises:
        LayerError: a parameter SSD refuses, or bottoms that do not describe the same boxes.
    """
    check(p)
    loc, conf, prior = bottoms[:3]
    if len(prior) != 3 or prior[1] != 2 or prior[2] % 4:
        raise LayerError(f"bottom 2 is {written(prior)}; DetectionOutput needs prior boxes as 1x2x(4 * boxes)")
    boxes = prior[2] // 4
    needed = (("locations", loc, 4 * (1 if p.share_location else p.num_classes)), ("scores", conf, p.num_classes))
    for index, (name, bottom, each) in enumerate(needed):
        if bottom[1:] not in ((boxes * each,), (boxes * each, 1, 1)):
            raise LayerError(
                f"bottom {index} is {written(bottom)}, but {boxes} prior boxes have {boxes * each} {name} per image; "
                f"flatten it, and check num_classes {p.num_classes} and share_location"
            )
    if loc[0] != conf[0]:
        raise LayerError(f"bottom 0 holds {loc[0]} images and bottom 1 {conf[0]}; give both the same batch")
    return ((1, 1, 1, 7),)


def decoded(p: Params, loc: Array, priors: Array, variances: Array) -> Array:
    """Corners of the predicted boxes.

    Args:
        loc: predictions, (N, boxes, location classes, 4).
        priors: xmin, ymin, xmax, ymax as fractions of the image, (boxes, 1, 4).
        variances: factors of the predictions, (boxes, 1, 4).

    Raises:
        LayerError: a prior box without area, to which nothing can be relative.
    """
    offsets = loc if p.variance_encoded_in_target else loc * variances
    if p.code_type == "CORNER":
        return priors + offsets
    low, high = priors[..., :2], priors[..., 2:]
    size = high - low
    if not (size > 0).all():
        number = int(np.argmin((size > 0).all(axis=(1, 2))))
        raise LayerError(f"prior box {number} has no area; drop clip or reduce offset and step in its PriorBox")
    if p.code_type == "CORNER_SIZE":
        return priors + offsets * np.concatenate((size, size), axis=-1)
    center = (low + high) / 2 + offsets[..., :2] * size
    half: Array = np.exp(offsets[..., 2:]) * size / 2
    return np.concatenate((center - half, center + half), axis=-1)


def areas(boxes: Array) -> Array:
    """Of boxes (..., 4); 0 where a corner is on the wrong side."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return np.where((sides < 0).any(axis=-1), np.float32(0), sides[..., 0] * sides[..., 1])


def overlaps(box: Array, others: Array) -> Array:
    """Intersection over union (the Jaccard index) of one box with others (n, 4); 0 where they only touch."""
    common = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = common[:, 0] * common[:, 1]
    union = areas(box) + areas(others) - shared
    jaccard: Array = np.zeros_like(shared)
    np.divide(shared, union, out=jaccard, where=(common > 0).all(axis=1))
    return jaccard


def survivors(p: Params, boxes: Array, scores: Array) -> list[int]:
    """Which of one class's boxes (n, 4) remain, best first.

    A box remains if no better one that remains overlaps it too much. The threshold never rises, so whatever overlaps
    too much once is out for good; the greatest overlap of the others is kept, as a falling threshold may reach it.
    """
    (ranked,) = np.nonzero(scores > np.float32(p.confidence_threshold))
    ranked = ranked[np.argsort(-scores[ranked], kind="stable")]
    if p.nms_param.top_k >= 0:
        ranked = ranked[: p.nms_param.top_k]
    greatest = np.zeros(len(ranked), np.float32)
    threshold = np.float32(p.nms_param.nms_threshold)
    remaining: list[int] = []
    while len(ranked):
        best, ranked = ranked[0], ranked[1:]
        remaining.append(int(best))
        greatest = np.maximum(greatest[1:], overlaps(boxes[best], boxes[ranked]))
        if p.nms_param.eta < 1 and threshold > 0.5:
            threshold *= np.float32(p.nms_param.eta)
        apart = greatest <= threshold
        ranked, greatest = ranked[apart], greatest[apart]
    return remaining


def detections(p: Params, image: int, boxes: Array, scores: Array) -> Array:
    """The rows of one image, (n, 7).

    Args:
        boxes: corners, (boxes, location classes, 4).
        scores: (boxes, num_classes).
    """
    rows = [
        (image, label, scores[index, label], *boxes[index, 0 if p.share_location else label])
        for label in range(p.num_classes)
        if label != p.background_label_id
        for index in survivors(p, boxes[:, 0 if p.share_location else label], scores[:, label])
    ]
    found = np.array(rows, np.float32).reshape(-1, 7)
    if 0 <= p.keep_top_k < len(found):
        best = np.argsort(-found[:, 2], kind="stable")[: p.keep_top_k]
        return found[np.sort(best)]
    return found


def forward(p: Params, bottoms: Arrays, blobs: Arrays) -> Arrays:
    """Rows image_id, label, score, xmin, ymin, xmax, ymax by image, label and falling score, as (1, 1, rows, 7).

    If nothing is found in the whole batch there is one row for each image, all -1 behind the image_id. The optional
    fourth bottom, the data, serves drawing only.

    Raises:
        LayerError: a prior box without area.
    """
    loc, conf, prior = bottoms[:3]
    batch, count = len(loc), prior.shape[2] // 4
    priors, variances = prior[0].reshape(2, count, 1, 4)
    scores = conf.reshape(batch, count, p.num_classes)
    # A float32 cannot hold every size that the exponential can predict; SSD goes on with infinity too.
    with np.errstate(over="ignore", invalid="ignore"):
        boxes = decoded(p, loc.reshape(batch, count, -1, 4), priors, variances)
        found = np.concatenate([detections(p, image, boxes[image], scores[image]) for image in range(batch)])
    if not len(found):
        found = np.full((batch, 7), -1, np.float32)
        found[:, 0] = np.arange(batch)
    return (found[np.newaxis, np.newaxis],)


KIND = LayerKind("DetectionOutput", Params, shape, forward, field="detection_output_param", bottoms=(3, 4))
