"""Calibration by one streaming pass: the float forward of every image, statistics per scale class, images dropped.

Memory does not grow with the number of images, and since statistics merge exactly, neither the order of the images
nor any grouping of them can change a threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

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


def stream(
    opened: Opened,
    weights: Mapping[int, Arrays],
    pictures: Sequence[Mapping[Value, Array]],
    classes: Mapping[Value, Value],
    needed: frozenset[Value],
    tick: Tick = lambda: None,
    workers: int = 1,
) -> dict[Value, Statistics]:
    """The statistics of every needed scale class over all pictures.

    Args:
        weights: arrays by layer index (`execute.load`).
        pictures: what to feed, one mapping per picture, made when asked for.
        classes: value -> class (`scales.classes`).
        needed: the classes to observe.
        tick: called after every picture.
        workers: processes over which the pictures are dealt out.

    Raises:
        CalibrationError: a layer gave NaN or infinity.
    """
    roots = counted(opened.net, classes, needed)
    program = Program(opened.net, weights, opened.shapes, opened.inputs, {*roots, *outputs(opened)})

    def share(indices: Sequence[int]) -> Share:
        return Share(opened.net, weights, program.twin(), pictures, indices, roots)

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


def _merged(first: Mapping[Value, Statistics], second: Mapping[Value, Statistics]) -> dict[Value, Statistics]:
    both = {value: statistics.merge(first[value], second[value]) for value in first if value in second}
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
    ) -> None:
        self.net, self.weights, self.program = net, weights, program
        self.pictures, self.indices, self.roots = pictures, indices, roots
        self.position = indices[0]
        self.tick: Tick = lambda: None

    def observe(self) -> dict[Value, Statistics]:
        """The statistics of the needed classes over these pictures.

        Raises:
            CalibrationError: a layer gave NaN or infinity.
        """
        found: dict[Value, Statistics] = {}
        for index in self.indices:
            self.position = index
            feeds = self.pictures[index]
            for value, top in self.program.run(feeds):
                if not top.size:
                    continue
                if not is_finite(top):
                    self._name_the_first(feeds)
                root = self.roots.get(value)
                if root is None:  # an output behind the last calibrated layer, looked at for NaN only
                    continue
                part = statistics.of(top)
                found[root] = statistics.merge(found[root], part) if root in found else part
            self.tick()
        return found

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


def per_channel(layers: Iterable[Layer], weights: Mapping[int, Arrays]) -> dict[int, Array]:
    """Layer index -> the largest |w| of every output channel, (num_output,) float32.

    A channel_shared Normalize has one scale for all channels; it stays one value.
    """
    found = {}
    for layer in layers:
        kind, blobs = layer.kind, weights.get(layer.index, ())
        if kind is not None and blobs and kind.channels is not None:
            rows = kind.channels(layer.params, blobs[0])
            found[layer.index] = np.maximum(rows.max(axis=1), -rows.min(axis=1))
    return found
