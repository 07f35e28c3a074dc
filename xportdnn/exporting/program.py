"""A network as C calls: what the arithmetic of `integer` did in a simulation, layer by layer, written down.

The simulation decides which layers are computed in integers and in which formats; this follows its steps. Formats are
changed by calls of their own, and every blob has memory of its own, so that all can be looked at afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from xportdnn import scales
from xportdnn.exporting.calls import (
    INTEGERS,
    Call,
    Place,
    converted,
    dequantized,
    in_integers,
    moved,
    quantized,
)
from xportdnn.exporting.float_calls import Real, in_float
from xportdnn.layers import Arrays, Shape
from xportdnn.network import Layer, Value
from xportdnn.simulation.formats import Whole
from xportdnn.simulation.held import Held, Outcome, Quantized
from xportdnn.simulation.integer.level import Integer
from xportdnn.simulation.places import Problems
from xportdnn.simulation.run import Simulation, Step


@dataclass(frozen=True)
class Buffer:
    """Memory of a blob.

    Attributes:
        form: None: floats.
    """

    symbol: str
    count: int
    form: Whole | None


@dataclass(frozen=True)
class Unit:
    """A layer: its calls, each with the buffers that it reads and the one that it writes."""

    layer: Layer
    symbol: str
    calls: tuple[tuple[Call, tuple[Buffer, ...], Buffer], ...]
    tops: tuple[Buffer, ...]


@dataclass
class Program:
    """The whole network, while it is put together and afterwards.

    Attributes:
        inputs: of the fed values.
        buffers: all memory.
    """

    inputs: dict[Value, Buffer] = field(default_factory=dict)
    buffers: list[Buffer] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)

    def buffer(self, symbol: str, count: int, form: Whole | None) -> Buffer:
        """New memory."""
        made = Buffer(f"{symbol}__buffer_{len(self.buffers)}", count, form)
        self.buffers.append(made)
        return made


def program(
    simulation: Simulation,
    steps: Sequence[Step],
    symbols: Mapping[int, str],
    weights: Mapping[int, Arrays],
    feeds: Collection[Value],
) -> Program:
    """The calls that do what these steps of the simulation did.

    Args:
        steps: all of a run, with the arithmetic of `integer`.
        symbols: layer index -> a name that C takes.
        feeds: the values that were fed.

    Raises:
        NetworkError: layers that the reference has no call for.
    """
    assert isinstance(simulation.level, Integer)
    follower = _Follower(simulation.level, symbols, weights, feeds, Problems(simulation.net))
    for step in steps:
        follower.follow(step)
    follower.problems.check("layers that the C reference cannot compute; leave out --c_dir and the rest is written:")
    return follower.program


@dataclass
class _Follower:
    """Goes through the steps.

    Attributes:
        places: the buffer of every value.
        memory: the value whose memory each one shares in Caffe (`Simulation.steps`).
        problems: layers that no call computes; those behind them are looked at all the same.
    """

    level: Integer
    symbols: Mapping[int, str]
    weights: Mapping[int, Arrays]
    feeds: Collection[Value]
    problems: Problems
    program: Program = field(default_factory=Program)
    places: dict[Value, Buffer] = field(default_factory=dict)
    memory: dict[Value, Value] = field(default_factory=dict)
    calls: list[tuple[Call, tuple[Buffer, ...], Buffer]] = field(default_factory=list)

    def follow(self, step: Step) -> None:
        """One layer."""
        layer, symbol = step.layer, self.symbols[step.layer.index]
        if not step.outcome.tops:  # Silence
            return
        self.calls = []
        if layer.is_input:
            written = [value for value in layer.tops if value in self.feeds]
            pairs = zip(written, step.outcome.tops, strict=True)
            tops = tuple(self._fed(value, held, symbol) for value, held in pairs)
        else:
            written = list(layer.tops)
            tops = ()
            with self.problems.of(layer):
                tops = self._run(layer, step.outcome, symbol)
            if not tops:
                tops = tuple(Buffer(symbol, math.prod(held.shape), _form(held)) for held in step.outcome.tops)
            home = self.memory.get(layer.bottoms[0], layer.bottoms[0]) if scales.shares_memory(layer) else None
            self.memory |= {value: home or value for value in written}
        self.places |= dict(zip(written, tops, strict=True))
        self.program.units.append(Unit(layer, symbol, tuple(self.calls), tops))

    def _run(self, layer: Layer, outcome: Outcome, symbol: str) -> tuple[Buffer, ...]:
        pairs = zip(layer.bottoms, outcome.read, strict=True)
        read = [self._brought(self.places[value], _form(held), symbol) for value, held in pairs]
        if outcome.in_place:
            self._overwrite(layer, read)
        shapes = [held.shape for held in outcome.read]
        return tuple(self._computed(layer, read, shapes, outcome.tops, symbol))

    def _fed(self, value: Value, held: Held, symbol: str) -> Buffer:
        place = self.program.buffer(symbol, math.prod(held.shape), None)
        self.program.inputs[value] = place
        return self._brought(place, _form(held), symbol)

    def _overwrite(self, layer: Layer, read: Sequence[Buffer]) -> None:
        """As `Simulation.steps` does where a layer changes its bottoms."""
        for bottom, place in zip(layer.bottoms, read, strict=True):
            home = self.memory.get(bottom, bottom)
            self.places |= dict.fromkeys(
                (value for value in self.places if self.memory.get(value, value) == home), place
            )

    def _computed(
        self, layer: Layer, read: Sequence[Buffer], shapes: Sequence[Shape], tops: Sequence[Held], symbol: str
    ) -> Iterator[Buffer]:
        numbers = [index for index in range(len(read)) if scales.reads_numbers(layer, index)]
        source = self._source(layer, [read[index] for index in numbers], tops[0])
        bottoms = tuple(self._brought(read[index], source, symbol) for index in numbers)
        inside = [shapes[index] for index in numbers]
        for index, held in enumerate(tops):
            out = _form(held)
            if scales.copied(layer):
                result = self._call(moved(layer, shapes, held.shape, index), bottoms, symbol, held.shape, source)
            elif source is not None and out is not None:
                call = in_integers(
                    Place(layer, inside, held.shape, source, out, self.level.jobs.get(layer.index), symbol)
                )
                result = self._call(call, bottoms, symbol, held.shape, out)
            else:
                blobs = len(self.weights.get(layer.index, ()))
                call = in_float(Real(layer, inside, held.shape, symbol, blobs))
                result = self._call(call, bottoms, symbol, held.shape, None)
            yield self._brought(result, out, symbol)

    def _source(self, layer: Layer, read: Sequence[Buffer], top: Held) -> Whole | None:
        """The format in which the layer computes with integers; None where it computes in float."""
        assert layer.kind is not None
        forms = {place.form for place in read}
        known = layer.index in self.level.jobs or scales.copied(layer) or layer.kind.name in INTEGERS
        return forms.pop() if known and len(forms) == 1 and isinstance(top, Quantized) else None

    def _brought(self, place: Buffer, form: Whole | None, symbol: str) -> Buffer:
        """The same numbers in another format."""
        if place.form == form:
            return place
        if place.form is None:
            assert form is not None
            call = quantized(form, place.count)
        elif form is None:
            call = dequantized(place.form, place.count)
        else:
            call = converted(place.form, form, place.count)
        return self._call(call, (place,), symbol, (place.count,), form)

    def _call(self, call: Call, bottoms: tuple[Buffer, ...], symbol: str, shape: Shape, form: Whole | None) -> Buffer:
        top = self.program.buffer(symbol, math.prod(shape), form)
        self.calls.append((call, bottoms, top))
        return top


def _form(held: Held) -> Whole | None:
    return held.format if isinstance(held, Quantized) else None
