"""The float network and quantized ones, run side by side layer by layer: by the reference rules, or by the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from xportdnn import execute
from xportdnn.engine import Program
from xportdnn.execute import Step
from xportdnn.layers import Array, Arrays
from xportdnn.network import Layer, Net, Value
from xportdnn.simulation import Simulated
from xportdnn.simulation.planned import Planned

Feeds: TypeAlias = Mapping[Value, Array]
Run: TypeAlias = Callable[[Feeds], Iterable[Simulated]]
"""A quantized network that is ready: what each layer gives for these inputs, in order."""

# Layers whose every top holds the numbers of all bottoms once.
_MOVING = frozenset({"Concat", "Dropout", "Flatten", "Permute", "Reshape", "Split"})


class Networks(Protocol):
    """A float network and its quantized ones. Arrays are valid until the next layer is asked for."""

    def floats(self, feeds: Feeds) -> Iterator[Mapping[Value, Array]]:
        """The tops of every layer."""

    def quantized(self, index: int, feeds: Feeds) -> Iterable[Simulated]:
        """What each layer of one of the quantized networks gives."""

    def together(self, feeds: Feeds) -> Iterator[tuple[Mapping[Value, Array], Simulated]]:
        """The layers that both the float network and the first quantized one computed."""

    def moves(self, layer: Layer) -> bool:
        """Whether a layer's every top is known to hold all numbers of its bottoms and no others, in both of these."""


class ByRules(NamedTuple):
    """By the reference rules, which run any arithmetic."""

    net: Net
    weights: Mapping[int, Arrays]
    runs: Sequence[Run]

    def floats(self, feeds: Feeds) -> Iterator[Mapping[Value, Array]]:
        """See `Networks`."""
        return (_named(step, feeds) for step in execute.run(self.net, self.weights, feeds))

    def quantized(self, index: int, feeds: Feeds) -> Iterable[Simulated]:
        """See `Networks`."""
        return self.runs[index](feeds)

    def together(self, feeds: Feeds) -> Iterator[tuple[Mapping[Value, Array], Simulated]]:
        """See `Networks`; what is not simulated is left out."""
        float_run = execute.run(self.net, self.weights, feeds)
        waiting: dict[int, Step] = {}
        for simulated in self.quantized(0, feeds):
            index = simulated.layer.index
            while index not in waiting:
                step = next(float_run)
                waiting[step.layer.index] = step
            yield _named(waiting.pop(index), feeds), simulated

    def moves(self, layer: Layer) -> bool:
        """Not known."""
        return False


class ByEngine(NamedTuple):
    """By the engine's kernels, the same for all networks, so that what is not quantized does not differ."""

    program: Program
    planned: Sequence[Planned]

    def twin(self) -> ByEngine:
        """The same with memory of its own, for another thread."""
        first, *others = self.planned
        whole = first.twin()
        return ByEngine(self.program.twin(), [whole, *(other.twin(whole) for other in others)])

    def floats(self, feeds: Feeds) -> Iterator[Mapping[Value, Array]]:
        """See `Networks`."""
        return self.program.layers(feeds)

    def quantized(self, index: int, feeds: Feeds) -> Iterable[Simulated]:
        """See `Networks`; one of them at a time."""
        return self.planned[index].run(feeds)

    def together(self, feeds: Feeds) -> Iterator[tuple[Mapping[Value, Array], Simulated]]:
        """See `Networks`."""
        return zip(self.floats(feeds), self.quantized(0, feeds), strict=True)

    def moves(self, layer: Layer) -> bool:
        """See `Networks`."""
        return layer.kind is not None and layer.kind.name in _MOVING and self.planned[0].leaves(layer)


def _named(step: Step, feeds: Feeds) -> dict[Value, Array]:
    values = (value for value in step.layer.tops if not step.layer.is_input or value in feeds)
    return dict(zip(values, step.tops, strict=True))
