"""Calibration by one streaming pass: the float forward of every image, statistics per scale class, images dropped.

Memory does not grow with the number of images, and since statistics merge exactly, neither the order of the images
nor any grouping of them can change a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from typing import NamedTuple, TypeVar

from xportdnn import scales, statistics
from xportdnn.engine import Program
from xportdnn.errors import CalibrationError
from xportdnn.execute import Step, run
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.opening import Opened
from xportdnn.statistics import Statistics
from xportdnn.workers import Tick, crew

T = TypeVar("T")


class Seen(NamedTuple):
    """What the forward showed.

    Attributes:
        statistics: of scale classes.
        peaks: value -> the largest |x|, of the watched ones.
    """

    statistics: dict[Value, Statistics]
    peaks: dict[Value, float]


def stream(
    opened: Opened,
    weights: Mapping[int, Arrays],
    pictures: Sequence[Mapping[Value, Array]],
    classes: Mapping[Value, Value],
    needed: frozenset[Value],
    tick: Tick = lambda: None,
    workers: int = 1,
    watched: Collection[Value] = (),
) -> Seen:
    """The statistics of every needed scale class over all pictures.

    Args:
        weights: arrays by layer index (`execute.load`).
        pictures: what to feed, one mapping per picture, made when asked for.
        classes: value -> class (`scales.classes`).
        needed: the classes to observe.
        tick: called after every picture.
        workers: processes over which the pictures are dealt out.
        watched: values of which only the largest |x| is wanted, whether they count or not.

    Raises:
        CalibrationError: a layer gave NaN or infinity.
    """
    roots = counted(opened.net, classes, needed)
    program = Program(opened.net, weights, opened.shapes, opened.inputs, {*roots, *outputs(opened), *watched})

    def share(indices: Sequence[int]) -> Share:
        return Share(opened.net, weights, program.twin(), pictures, indices, roots, frozenset(watched))

    with crew(share, len(pictures), workers, tick) as shares:
        return reduce(_merged, shares.call(Share.observe))


def outputs(opened: Opened) -> list[Value]:
    """The computed values that no layer reads."""
    layers = runnable(opened.net, opened.inputs)
    read = {value for layer in layers for value in layer.bottoms}
    return [value for layer in layers for value in layer.tops if value not in read]


def counted(net: Net, classes: Mapping[Value, Value], needed: frozenset[Value]) -> dict[Value, Value]:
    """The values that count, and their classes: stored on the board, and new numbers rather than moved ones."""
    return {
        value: root
        for value, root in classes.items()
        if root in needed and not scales.copied(net.layers[value.writer]) and not scales.folded(net, value)
    }


def _merged(first: Seen, second: Seen) -> Seen:
    return Seen(_joined(statistics.merge, first.statistics, second.statistics), _joined(max, first.peaks, second.peaks))


def _joined(merge: Callable[[T, T], T], first: Mapping[Value, T], second: Mapping[Value, T]) -> dict[Value, T]:
    both = {value: merge(first[value], second[value]) for value in first if value in second}
    return {**first, **second, **both}


class Share:
    """Some of the pictures."""

    def __init__(
        self,
        net: Net,
        weights: Mapping[int, Arrays],
        program: Program,
        pictures: Sequence[Mapping[Value, Array]],
        indices: Sequence[int],
        roots: Mapping[Value, Value],
        watched: frozenset[Value],
    ) -> None:
        self.net, self.weights, self.program = net, weights, program
        self.pictures, self.indices, self.roots, self.watched = pictures, indices, roots, watched
        self.position = indices[0]
        self.tick: Tick = lambda: None

    def observe(self) -> Seen:
        """What these pictures show.

        Raises:
            CalibrationError: a layer gave NaN or infinity.
        """
        found: dict[Value, Statistics] = {}
        peaks: dict[Value, float] = {}
        for index in self.indices:
            self.position = index
            feeds = self.pictures[index]
            for value, top in self.program.run(feeds):
                if not top.size:
                    continue
                least, greatest = float(top.min()), float(top.max())
                if not math.isfinite(least + greatest):
                    self._name_the_first(feeds)
                if value in self.watched:
                    peaks[value] = max(peaks.get(value, 0.0), -least, greatest)
                root = self.roots.get(value)
                if root is None:  # an output behind the last calibrated layer, looked at for NaN only
                    continue
                part = statistics.of(top)
                found[root] = statistics.merge(found[root], part) if root in found else part
            self.tick()
        return Seen(found, peaks)

    def _name_the_first(self, feeds: Mapping[Value, Array]) -> None:
        """Run the picture again by the reference rules, which show every layer's tops."""
        for step in run(self.net, self.weights, feeds):
            check_finite(self.net, step)
        raise CalibrationError("a value of the forward is NaN or infinite, by rounding at the end of float32's range")


def is_finite(array: Array) -> bool:
    """Whether all elements are finite: the sum of the smallest and the largest is so only then."""
    return bool(np.isfinite(array.min() + np.float64(array.max())))


def check_finite(net: Net, step: Step) -> None:
    """Stop at the first layer whose tops hold NaN or infinity.

    Raises:
        CalibrationError: naming the layer, the blob and how many values it concerns.
    """
    for value, top in zip(step.layer.tops, step.tops, strict=False):
        if top.size and not is_finite(top):
            wrong = int(np.size(top) - np.isfinite(top).sum())
            raise CalibrationError(
                f"{net.where(step.layer)}: '{value.blob}' holds {wrong} values of {top.size} that are NaN or infinite, "
                "the first of the network; its bottoms were finite. Check the weights of this layer and the "
                "preprocessing options"
            )


def check_weights(net: Net, layers: Iterable[Layer], weights: Mapping[int, Arrays]) -> None:
    """Stop where weights hold NaN or infinity.

    Raises:
        CalibrationError: naming every such layer and blob.
    """
    problems = [
        f"{net.at(layer)}: blob {i} holds {int(blob.size - np.isfinite(blob).sum())} values of {blob.size} that are "
        "NaN or infinite"
        for layer in layers
        for i, blob in enumerate(weights.get(layer.index, ()))
        if blob.size and not is_finite(blob)
    ]
    if problems:
        raise CalibrationError("the weights cannot be used; train again or take another snapshot:", problems)
