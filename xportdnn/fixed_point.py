"""Quantization by threshold, as the board and Xilinx's calibration quantizer define it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xportdnn.lazy import np
from xportdnn.thresholds import levels

if TYPE_CHECKING:
    from xportdnn.layers import Array


def by_threshold(values: Array, thresholds: Array, bits: int) -> Array:
    """round(clip(x, -t, t) / s) * s with s = t / (2**(bits - 1) - 1), in float32, halves to the even integer.

    Args:
        thresholds: broadcast against `values`; where one is 0 the values become 0.
    """
    step = np.asarray(thresholds / np.float32(levels(bits)), np.float32)
    safe = np.where(step > 0, step, np.float32(1))
    return np.asarray(np.rint(np.clip(values, -thresholds, thresholds) / safe) * safe, np.float32)
