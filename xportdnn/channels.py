"""One threshold for each output channel of a layer's weights, by the largest |w| or by least squared error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from xportdnn.arithmetic.threshold import levels
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer

_LEAST = 2.0**-126  # the smallest normal float32; less would be read back as zero or lose its digits
_SAFE = 1.0  # for weights that are all zero: any positive threshold represents them
_CANDIDATES = 64  # thresholds tried for least squared error, from the largest |w| down
_NARROWEST = 0.3  # of the largest |w|


class Params(NamedTuple):
    """What was found for a network.

    Attributes:
        thresholds: layer index -> one for each output channel, above 0.
        dead: layer index -> number of output channels whose weights are all zero.
    """

    thresholds: dict[int, tuple[float, ...]]
    dead: dict[int, int]


def params(layers: Iterable[Layer], weights: Mapping[int, Arrays], method: str, bits: Callable[[Layer], int]) -> Params:
    """The thresholds of all layers that have weights of output channels.

    A dead channel takes its layer's largest threshold, so that its scale is no stranger among its neighbours.

    Args:
        method: "max" or "mse".
        bits: a layer's width.
    """
    found = Params({}, {})
    for layer in layers:
        rows = matrix(layer, weights)
        if rows is None:
            continue
        peaks = peak(rows)
        zero = peaks < _LEAST
        if zero.any():
            found.dead[layer.index] = int(zero.sum())
        limits = least_squares(rows, peaks, bits(layer)) if method == "mse" else peaks
        safe = np.where(zero, limits.max() if not zero.all() else np.float32(_SAFE), limits)
        found.thresholds[layer.index] = tuple(float(threshold) for threshold in safe)
    return found


def matrix(layer: Layer, weights: Mapping[int, Arrays]) -> Array | None:
    """A layer's weights as (num_output, k); None where they have no output channels.

    A channel_shared Normalize has one scale for all channels; it stays one row.
    """
    kind, blobs = layer.kind, weights.get(layer.index, ())
    return kind.channels(layer.params, blobs[0]) if kind is not None and kind.channels is not None and blobs else None


def peak(rows: Array) -> Array:
    """The largest |w| of every row, (num_output,) float32."""
    found: Array = np.maximum(rows.max(axis=1), -rows.min(axis=1))
    return found


def least_squares(rows: Array, peaks: Array, bits: int) -> Array:
    """The threshold of least squared error for every row, among equal steps from the largest |w| down.

    Args:
        rows: (num_output, k) float32.
        peaks: (num_output,), the largest |w| of each.
    """
    best: Array = peaks.copy()
    error = np.full(len(rows), np.inf)
    for part in np.linspace(1, _NARROWEST, _CANDIDATES):
        limits = (peaks * np.float32(part)).astype(np.float32)
        step = np.maximum(limits / np.float32(levels(bits)), np.float32(_LEAST))[:, None]
        quantized = np.rint(np.clip(rows, -limits[:, None], limits[:, None]) / step) * step
        found = np.square(quantized - rows).sum(axis=1, dtype=np.float64)
        better = found < error
        best[better], error[better] = limits[better], found[better]
    return best
