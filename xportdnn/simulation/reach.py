"""How far values reach: two numbers that tell whether any of them leaves a range, or is no number at all."""

from __future__ import annotations

import math
from typing import NamedTuple

from xportdnn.errors import LayerError
from xportdnn.layers import Array
from xportdnn.lazy import np


class Reach(NamedTuple):
    """The smallest and the largest of some values; 0 counts as one of them."""

    low: float
    high: float

    def inside(self, least: float, greatest: float) -> bool:
        """Whether no value lies beyond these."""
        return least <= self.low and self.high <= greatest


def reach(values: Array, whole: Array | None = None) -> Reach:
    """How far finite values reach.

    Args:
        whole: what they are a part of, to be spoken of instead.

    Raises:
        LayerError: NaN or infinity among them.
    """
    found = Reach(float(values.min(initial=0)), float(values.max(initial=0)))
    # a NaN makes one of the two NaN, in whatever place it stands
    if not math.isfinite(found.low + found.high):
        whole = values if whole is None else whole
        wrong = int(whole.size - np.isfinite(whole).sum())
        raise LayerError(f"{wrong} values of {whole.size} are NaN or infinite; check the input and the weights")
    return found
