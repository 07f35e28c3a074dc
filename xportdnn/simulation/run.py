"""A quantized network on fed arrays, layer by layer in file order, blobs dropped after their last reader.

Batches may have any size. The board computes images two by two, 0 and 1, 2 and 3 and so on; at 6 bits the second of a
pair can differ from what it would be alone where sums leave 20 bits. The last image of an odd number is the first of a
pair whose second is not looked at, which changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from xportdnn import calibrate, scales
from xportdnn.arithmetic import Int64s
from xportdnn.choices import Arithmetic
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.simulation import formats
from xportdnn.simulation.board.level import Chaidnn
from xportdnn.simulation.fake import Fake
from xportdnn.simulation.formats import Block
from xportdnn.simulation.held import Hardware, Held, Outcome, Quantized
from xportdnn.simulation.integer.level import Integer
from xportdnn.simulation.places import Problems, placed
from xportdnn.simulation.simulated import Simulated


class Level(Protocol):
    """One of the arithmetics, prepared for a network."""

    @property
    def warnings(self) -> tuple[str, ...]: ...

    @property
    def clipped(self) -> Mapping[int, int]: ...

    def feed(self, array: Array, block: Block | None) -> Outcome: ...

    def run(self, layer: Layer, bottoms: tuple[Held, ...]) -> Outcome: ...

    def hardware(self, layer: Layer) -> Hardware: ...


class Step(NamedTuple):
    """A layer that has just been simulated, with all that is known of it."""

    layer: Layer
    outcome: Outcome

    def simulated(self) -> Simulated:
        """What the outside world sees of it."""
        tops = self.outcome.tops if self.outcome.stored else ()
        return Simulated(
            self.layer,
            tuple(held.real for held in tops),
            tuple(_integers(tops)) if all(isinstance(held, Quantized) for held in tops) else (),
            self.outcome.saturated,
            self.outcome.wrapped,
        )


def _integers(tops: Sequence[Held]) -> Iterator[Int64s]:
    for held in tops:
        if isinstance(held, Quantized):
            yield held.integers.astype(np.int64)


@dataclass(frozen=True)
class Simulation:
    """A network with its weights quantized, ready to run on any number of batches.

    Attributes:
        layers: those that will run.
        warnings: where the simulated hardware does not do what the network says, one sentence each.
        clipped: layer index -> how many weights and biases lay beyond their format.
    """

    net: Net
    layers: tuple[Layer, ...]
    blocks: Mapping[int, Block]
    arithmetic: Arithmetic
    level: Level

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.level.warnings

    @property
    def clipped(self) -> Mapping[int, int]:
        return self.level.clipped

    def run(self, feeds: Mapping[Value, Array]) -> Iterator[Simulated]:
        """The input layers' values, then every layer in order.

        Raises:
            LayerError: a layer cannot handle the values it got, named with its place.
        """
        return (step.simulated() for step in self.steps(feeds))

    def steps(self, feeds: Mapping[Value, Array]) -> Iterator[Step]:
        """The same with what every layer read."""
        pending = Counter(value for layer in self.layers for value in set(layer.bottoms))
        live: dict[Value, Held] = {}
        memory: dict[Value, Value] = {}
        for layer in self.net.layers:
            if layer.is_input and any(top in feeds for top in layer.tops):
                step = self._fed(layer, feeds)
                live |= dict(zip((top for top in layer.tops if top in feeds), step.outcome.tops, strict=True))
                yield step
        for layer in self.layers:
            with placed(self.net, layer):
                outcome = self.level.run(layer, tuple(live[value] for value in layer.bottoms))
            if outcome.in_place:
                _overwrite(live, memory, dict(zip(layer.bottoms, outcome.read, strict=True)))
            for value in layer.tops:
                shares = scales.shares_memory(layer)
                memory[value] = memory.get(layer.bottoms[0], layer.bottoms[0]) if shares else value
            for value in set(layer.bottoms):
                pending[value] -= 1
                if not pending[value]:
                    del live[value]
            live |= {value: held for value, held in zip(layer.tops, outcome.tops, strict=True) if pending[value]}
            yield Step(layer, outcome)

    def _fed(self, layer: Layer, feeds: Mapping[Value, Array]) -> Step:
        with placed(self.net, layer):
            parts = [
                self.level.feed(np.asarray(feeds[top], np.float32), self.blocks.get(layer.index))
                for top in layer.tops
                if top in feeds
            ]
        tops = tuple(held for part in parts for held in part.tops)
        return Step(layer, Outcome(tops, saturated=sum(part.saturated for part in parts)))


def _overwrite(live: dict[Value, Held], memory: Mapping[Value, Value], written: Mapping[Value, Held]) -> None:
    """Put what a layer made of its bottoms in place of them, for all blobs in the same memory."""
    for bottom, held in written.items():
        for value, other in list(live.items()):
            if memory.get(value, value) == memory.get(bottom, bottom):
                live[value] = _reshaped(held, other.shape)


def _reshaped(held: Held, shape: Shape) -> Held:
    if isinstance(held, Quantized):
        return replace(held, integers=held.integers.reshape(shape))
    return replace(held, real=held.real.reshape(shape))


def prepare(
    net: Net,
    weights: Mapping[int, Arrays],
    blocks: Mapping[int, Block],
    arithmetic: Arithmetic,
    inputs: Mapping[Value, Shape],
    *,
    as_ristretto: bool = False,
) -> Simulation:
    """Quantize a network's weights and check that it can be simulated, before anything runs.

    Args:
        weights: arrays by layer index (`execute.load`).
        blocks: the formats (`precision.read`); fields that are None leave their part of the layer in float.
        inputs: the shapes of what will be fed; the batch may change afterwards.
        as_ristretto: `fake` only: with the two defects of Ristretto's minifloat code (`arithmetic.minifloat`).

    Raises:
        NetworkError: every layer that this arithmetic cannot run, or whose block does not fit it.
        CalibrationError: NaN or infinity in the weights.
    """
    layers = runnable(net, inputs)
    calibrate.check_weights(net, layers, weights)
    unfit = Problems(net)
    for layer in net.layers:
        for problem in formats.problems(blocks[layer.index]) if layer.index in blocks else ():
            unfit.add(layer, problem)
    unfit.check("formats that cannot be simulated:")
    return Simulation(
        net, layers, blocks, arithmetic, _level(net, layers, weights, blocks, arithmetic, inputs, as_ristretto)
    )


def _level(
    net: Net,
    layers: Sequence[Layer],
    weights: Mapping[int, Arrays],
    blocks: Mapping[int, Block],
    arithmetic: Arithmetic,
    inputs: Mapping[Value, Shape],
    as_ristretto: bool,
) -> Level:
    if arithmetic is Arithmetic.FAKE:
        return Fake(net, layers, weights, blocks, as_ristretto)
    if arithmetic is Arithmetic.INTEGER:
        return Integer(net, layers, weights, blocks)
    return Chaidnn(net, layers, weights, blocks, inputs)


def simulate(
    net: Net,
    weights: Mapping[int, Arrays],
    blocks: Mapping[int, Block],
    feeds: Mapping[Value, Array],
    arithmetic: Arithmetic,
) -> Iterator[Simulated]:
    """`prepare` and `Simulation.run` for a single batch; see there.

    Args:
        feeds: the input arrays, float32.
    """
    inputs = {value: np.shape(array) for value, array in feeds.items()}
    return prepare(net, weights, blocks, arithmetic, inputs).run(feeds)
