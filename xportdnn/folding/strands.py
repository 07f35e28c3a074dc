"""Channels that only one factor can scale: what it takes along until weights take it up.

Divide a convolution's output channel by a positive factor: it is so much smaller behind ReLU, PReLU, Pooling and
Concat too, until weights that read it are multiplied by the same factor (Nagel et al. 2019, "Data-Free Quantization
through Weight Equalization and Bias Correction"). All channels that are scaled by one factor make a *strand*: those of
the bottoms of an Eltwise are one strand channel by channel, and several readers of a blob read the same strands.

A strand is *free* if the network's outputs do not change with its factor: every value in it is made by weights or comes
from such values, and is read by weights in the end. What an input holds, what somebody outside the network reads, and
what any other layer reads or makes (Softmax, LRN, ReLU6, a BatchNorm that stayed ...) is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from xportdnn.folding.absorb import channel_axis
from xportdnn.folding.wiring import wiring
from xportdnn.layers import Shape
from xportdnn.lazy import np
from xportdnn.network import Layer, Value, runnable
from xportdnn.opening import Opened
from xportdnn.shapes import axis_index, axis_or_legacy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True)
class Strands:
    """The strands of a network.

    Attributes:
        of: value -> the strand of each of its channels (axis 1), (C,); values without channels are absent.
        free: (strands,) bool.
        weighted: the layers whose weights can take factors up, in order.
    """

    of: Mapping[Value, Indices]
    free: NDArray[np.bool_]
    weighted: tuple[Layer, ...]

    def writes(self, layer: Layer) -> Indices:
        """The strands of what a weighted layer writes."""
        return self.of[layer.tops[0]]

    def reads(self, layer: Layer) -> Indices:
        """The strands of what a weighted layer reads."""
        return self.of[layer.bottoms[0]]


def strands(opened: Opened) -> Strands:
    """The strands of all values that are computed."""
    builder = _Builder(opened)
    run = {layer.index for layer in runnable(opened.net, opened.inputs)}
    for layer in opened.net.layers:
        if layer.index in run:
            builder.add(layer)
        else:
            builder.hold(layer)
    for value in builder.wires.known:
        builder.freeze(value)
    return builder.finished()


class _Builder:
    def __init__(self, opened: Opened) -> None:
        self.shapes, self.wires = opened.shapes, wiring(opened.net)
        self.parents: list[int] = []
        self.of: dict[Value, list[int]] = {}
        self.frozen: set[int] = set()
        self.weighted: list[Layer] = []

    def add(self, layer: Layer) -> None:
        """A layer that runs."""
        assert layer.kind is not None
        passes = _PASSING.get(layer.kind.name)
        if self._is_weighted(layer):
            self.weighted.append(layer)
            self._new(layer.tops[0])
        elif passes is not None and len(layer.tops) == 1 and passes(layer.params, self._shapes(layer)):
            self.of[layer.tops[0]] = self._joined(layer)
        elif layer.kind.name == "Split":
            self.of |= dict.fromkeys(layer.tops, self.of[layer.bottoms[0]])
        else:
            self.hold(layer)

    def hold(self, layer: Layer) -> None:
        """A layer that lets no factor through."""
        for value in layer.bottoms:
            self.freeze(value)
        for value in layer.tops:
            if value in self.shapes:
                self._new(value)
                self.freeze(value)

    def freeze(self, value: Value) -> None:
        self.frozen.update(self.of.get(value, ()))

    def finished(self) -> Strands:
        roots = [self._find(strand) for strand in range(len(self.parents))]
        numbers = {root: number for number, root in enumerate(sorted(set(roots)))}
        of = {value: np.array([numbers[roots[each]] for each in all_], np.intp) for value, all_ in self.of.items()}
        free = np.ones(len(numbers), np.bool_)
        free[[numbers[roots[strand]] for strand in self.frozen]] = False
        return Strands(of, free, tuple(self.weighted))

    def _is_weighted(self, layer: Layer) -> bool:
        assert layer.kind is not None
        if layer.kind.name not in ("Convolution", "InnerProduct") or len(layer.bottoms) != 1:
            return False
        return layer.index not in self.wires.sharing and channel_axis(layer, self.shapes[layer.bottoms[0]]) == 1

    def _shapes(self, layer: Layer) -> Sequence[Shape]:
        return [self.shapes[value] for value in layer.bottoms]

    def _new(self, value: Value) -> None:
        shape = self.shapes[value]
        if len(shape) > 1:
            self.of[value] = list(range(len(self.parents), len(self.parents) + shape[1]))
            self.parents += self.of[value]

    def _joined(self, layer: Layer) -> list[int]:
        """The strands of the top of a layer that lets factors through."""
        assert layer.kind is not None
        first, *others = (self.of[value] for value in layer.bottoms)
        if layer.kind.name == "Concat":
            return [*first, *(strand for each in others for strand in each)]
        if layer.kind.name == "Eltwise":
            for each in others:
                for strand, other in zip(first, each, strict=True):
                    self._unite(strand, other)
        if layer.kind.name == "Flatten":
            cells = self.shapes[layer.tops[0]][1] // len(first)
            return [strand for strand in first for _ in range(cells)]
        return first

    def _find(self, strand: int) -> int:
        while self.parents[strand] != strand:
            self.parents[strand] = self.parents[self.parents[strand]]
            strand = self.parents[strand]
        return strand

    def _unite(self, first: int, second: int) -> None:
        low, high = sorted((self._find(first), self._find(second)))
        self.parents[high] = low


def _always(params: Any, bottoms: Sequence[Shape]) -> bool:
    return all(len(shape) > 1 for shape in bottoms)


def _along_channels(params: Any, bottoms: Sequence[Shape]) -> bool:
    first = bottoms[0]
    return len(first) > 1 and axis_or_legacy(first, params.axis, params.concat_dim, "concat_dim") == 1


def _beyond_channels(params: Any, bottoms: Sequence[Shape]) -> bool:
    return axis_index(bottoms[0], params.axis) > 1


def _homogeneous(params: Any, bottoms: Sequence[Shape]) -> bool:
    return params.operation != "PROD" and _always(params, bottoms)


def _whole(params: Any, bottoms: Sequence[Shape]) -> bool:
    first = bottoms[0]
    return len(first) > 1 and (axis_index(first, params.axis), axis_index(first, params.end_axis)) == (
        1,
        len(first) - 1,
    )


# Layers with f(s x) = s f(x) for every s > 0, channel by channel, and when they are that.
_PASSING: dict[str, Callable[[Any, Sequence[Shape]], bool]] = {
    "AbsVal": _always,
    "Concat": _along_channels,
    "Crop": _beyond_channels,
    "Dropout": _always,
    "Eltwise": _homogeneous,
    "Flatten": _whole,
    "PReLU": _always,
    "Pooling": _always,
    "ReLU": _always,
}
