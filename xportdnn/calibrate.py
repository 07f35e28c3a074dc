"""Calibration by one streaming pass: the float forward of every image, statistics per scale class, images dropped.

Memory does not grow with the number of images, and since statistics merge exactly, neither the order of the images
nor any grouping of them can change a threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce

from xportdnn import scales, statistics
from xportdnn.errors import CalibrationError
from xportdnn.execute import Step, run
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value
from xportdnn.statistics import Statistics
from xportdnn.workers import Tick, crew


def stream(
    net: Net,
    weights: Mapping[int, Arrays],
    pictures: Sequence[Mapping[Value, Array]],
    classes: Mapping[Value, Value],
    needed: frozenset[Value],
    tick: Tick = lambda: None,
    workers: int = 1,
) -> dict[Value, Statistics]:
    """The statistics of every needed scale class over all pictures.

    Args:
        pictures: what to feed, one mapping per picture, made when asked for.
        classes: value -> class (`scales.classes`).
        needed: the classes to observe.
        tick: called after every picture.
        workers: processes over which the pictures are dealt out.

    Raises:
        CalibrationError: a layer gave NaN or infinity.
    """

    def share(indices: Sequence[int]) -> Share:
        return Share(net, weights, pictures, indices, classes, needed)

    with crew(share, len(pictures), workers, tick) as shares:
        return reduce(_merged, shares.call(Share.observe))


def _merged(first: Mapping[Value, Statistics], second: Mapping[Value, Statistics]) -> dict[Value, Statistics]:
    both = {value: statistics.merge(first[value], second[value]) for value in first if value in second}
    return {**first, **second, **both}


class Share:
    """Some of the pictures."""

    def __init__(
        self,
        net: Net,
        weights: Mapping[int, Arrays],
        pictures: Sequence[Mapping[Value, Array]],
        indices: Sequence[int],
        classes: Mapping[Value, Value],
        needed: frozenset[Value],
    ) -> None:
        self.net, self.weights, self.pictures, self.indices = net, weights, pictures, indices
        self.classes, self.needed = classes, needed
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
            for step in run(self.net, self.weights, self.pictures[index]):
                check_finite(self.net, step)
                for value, top in observed(self.net, step, self.classes, self.needed):
                    part = statistics.of(top)
                    found[value] = statistics.merge(found[value], part) if value in found else part
            self.tick()
        return found


def observed(
    net: Net, step: Step, classes: Mapping[Value, Value], needed: frozenset[Value]
) -> Iterator[tuple[Value, Array]]:
    """(class, array) of the tops that count: stored on the board, and new numbers rather than moved ones."""
    if scales.copied(step.layer):
        return
    for value, top in zip(step.layer.tops, step.tops, strict=False):
        if top.size and classes.get(value) in needed and not scales.folded(net, value):
            yield classes[value], top


def check_finite(net: Net, step: Step) -> None:
    """Stop at the first layer whose tops hold NaN or infinity.

    Raises:
        CalibrationError: naming the layer, the blob and how many values it concerns.
    """
    for value, top in zip(step.layer.tops, step.tops, strict=False):
        # the sum of minimum and maximum is finite only where every element is
        if top.size and not np.isfinite(top.min() + np.float64(top.max())):
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
        if blob.size and not np.isfinite(np.float64(blob.min()) + blob.max())
    ]
    if problems:
        raise CalibrationError("the weights cannot be used; train again or take another snapshot:", problems)


def per_channel(net: Net, layers: Iterable[Layer], weights: Mapping[int, Arrays]) -> dict[int, Array]:
    """Layer index -> the largest |w| of every output channel, (num_output,) float32.

    A channel_shared Normalize has one scale for all channels; it stays one value.
    """
    found = {}
    for layer in layers:
        kind, blobs = layer.kind, weights.get(layer.index, ())
        if kind is None or not blobs:
            continue
        if kind.channels is not None:
            found[layer.index] = np.abs(kind.channels(layer.params, blobs[0])).max(axis=1)
    return found
