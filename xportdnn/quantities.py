"""What layers to quantize read, write and multiply with: all that Ristretto's formats of any width are found from.

Of `ristretto`, its own method, it is what its code looks at, letter by letter: every layer for itself, the largest |x|
that stands in its first bottom and its first top when the whole forward is done, when in-place layers have written over
them (net.cpp RangeInLayers), and the weights without the bias. Otherwise it is the statistics of scale classes, right
after their layers ran, and the weights with the bias that shares their format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from xportdnn import calibrate, fractions, scales
from xportdnn.block_params import Parameter, parameters
from xportdnn.layers import Array, Arrays
from xportdnn.network import Layer, Value, runnable
from xportdnn.opening import Opened
from xportdnn.statistics import Statistics
from xportdnn.workers import Tick

_Stream: TypeAlias = Callable[..., calibrate.Seen]
"""`calibrate.stream` of these pictures, with classes, needed and watched values to come."""

_Seen: TypeAlias = "tuple[dict[Value, Statistics], dict[Value, float], frozenset[Value]]"
"""Statistics, peaks and scores, as `Quantities` has them."""


@dataclass(frozen=True)
class Quantities:
    """Those of all layers together.

    Attributes:
        statistics: value -> those of its scale class; of `ristretto` there are none.
        peaks: value -> the largest |x|.
        params: layer index -> its weights and, but for `ristretto`, bias, where it has any.
        scores: the values of which the largest numbers decide, and those of their scale classes.
    """

    statistics: Mapping[Value, Statistics]
    peaks: Mapping[Value, float]
    params: Mapping[int, Parameter]
    scores: frozenset[Value] = frozenset()


def quantities(
    opened: Opened,
    weights: Mapping[int, Arrays],
    layers: Sequence[Layer],
    pictures: Sequence[Mapping[Value, Array]],
    method: str,
    tick: Tick,
    workers: int,
) -> Quantities:
    """Run the pictures through the float network.

    Args:
        weights: arrays by layer index (`execute.load`).
        layers: those to quantize; all of them run.
        method: of `choices.FL_METHODS`.

    Raises:
        CalibrationError: NaN or infinity in the forward.
    """
    stream = partial(calibrate.stream, opened, weights, pictures, tick=tick, workers=workers)
    see = _last if method == "ristretto" else _classes
    statistics, peaks, scores = see(opened, _touched(layers), stream)
    powers = {value: fractions.mean_square(each) for value, each in statistics.items()}
    params = {
        layer.index: own
        for layer in layers
        for own in parameters(opened.net, layer, ("fl_params",), weights, powers.get(layer.bottoms[0]))
        if weights[layer.index]
    }
    return Quantities(statistics, peaks, params, scores)


def _classes(opened: Opened, touched: Sequence[Value], stream: _Stream) -> _Seen:
    """What is seen of the scale classes, right after their layers ran."""
    reached = {layer.index for layer in runnable(opened.net, opened.inputs)} | {each.writer for each in opened.inputs}
    classes = scales.fraction_classes(layer for layer in opened.net.layers if layer.index in reached)
    found = stream(classes, frozenset(classes[value] for value in touched)).statistics
    statistics = {value: found[classes[value]] for value in touched}
    decisive = scales.decisive(opened.net, classes)
    scores = frozenset(value for value in touched if classes[value] in decisive)
    return statistics, {value: each.peak for value, each in statistics.items()}, scores


def _last(opened: Opened, touched: Sequence[Value], stream: _Stream) -> _Seen:
    """What stands in the blobs when the forward is done."""
    ends = scales.last_versions(opened.net.layers)
    last = {value: ends[value] for value in touched}
    found = stream({}, frozenset(), watched=frozenset(last.values())).peaks
    return {}, {value: found[end] for value, end in last.items()}, frozenset()


def _touched(layers: Iterable[Layer]) -> list[Value]:
    return list(dict.fromkeys(value for layer in layers for value in (layer.bottoms[0], layer.tops[0])))
