"""From pictures to the exponent of a minifloat: wide enough for every blob that a quantized layer reads or writes.

Ristretto's rule (pmgysel/caffe quantization.cpp, Quantize2MiniFloat), except that a blob is looked at when it is
written: Ristretto looks when the forward is done, when in-place layers have written over it.
"""

from __future__ import annotations

from collections.abc import Sequence

from xportdnn import calibrate, execute
from xportdnn.arithmetic import minifloat
from xportdnn.journal import Journal
from xportdnn.network import Layer, runnable
from xportdnn.opening import Opened
from xportdnn.pictures import CalibrationSet

LEAST = 4  # Ristretto's


def exp_bits(opened: Opened, layers: Sequence[Layer], pictures: CalibrationSet, workers: int, journal: Journal) -> int:
    """The bits of exponent that the layers' first bottoms and tops need.

    Raises:
        CalibrationError: NaN or infinity in the weights or the forward.
    """
    net, running = opened.net, runnable(opened.net, opened.inputs)
    weights = execute.load(running, opened.weights)
    calibrate.check_weights(net, running, weights)
    reached = {*opened.inputs, *(value for layer in running for value in layer.tops)}
    watched = {value for layer in layers for value in (layer.bottoms[0], layer.tops[0])} & reached
    with journal.progress("calibrating", len(pictures)) as tick:
        peaks = calibrate.stream(opened, weights, pictures, {}, frozenset(), tick, workers, watched).peaks
    found = max((minifloat.exponent_bits(peak) for peak in peaks.values()), default=LEAST)
    journal.info(
        f"{max(found, LEAST)} bits of exponent: the largest number of {len(peaks)} blobs is "
        f"{max(peaks.values(), default=0.0):.6g}"
    )
    return max(found, LEAST)
