"""Whether two lists of boxes found the same things."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xportdnn.layers import Array

SCORE = 0.5  # boxes below it are not counted
OVERLAP = 0.5  # intersection over union from which two boxes are the same


class Matches(NamedTuple):
    """Boxes of the float network, of the quantized one, and those that both found."""

    first: int
    second: int
    matched: int

    def plus(self, other: Matches) -> Matches:
        """The sums of both."""
        return Matches(*(one + two for one, two in zip(self, other, strict=True)))


def match(first: Array, second: Array) -> Matches:
    """Pair the boxes of two DetectionOutput tops, (1, 1, boxes, 7): image, label, score, x0, y0, x1, y1.

    Each float box, best score first, takes the free quantized box of its label that overlaps it most.
    """
    ours, theirs = _counted(first), _counted(second)
    free = np.ones(len(theirs), bool)
    for box in ours:
        overlap = np.where(free & (theirs[:, 1] == box[1]), _overlaps(box[3:], theirs[:, 3:]), 0)
        if len(overlap) and overlap.max() >= OVERLAP:
            free[int(overlap.argmax())] = False
    return Matches(len(ours), len(theirs), int((~free).sum()))


def _counted(top: Array) -> NDArray[np.float64]:
    """The boxes that count, best first; SSD marks "nothing found" with the label -1."""
    rows = top.reshape(-1, 7).astype(np.float64)
    rows = rows[(rows[:, 2] >= SCORE) & (rows[:, 1] >= 0)]
    return np.asarray(rows[np.argsort(-rows[:, 2], kind="stable")])


def _overlaps(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of a box (4,) with others (n, 4)."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - common
    return np.asarray(np.divide(common, areas, out=np.zeros_like(common), where=areas > 0))
