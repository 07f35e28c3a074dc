"""`fake` at the speed of calibration: one picture at a time in memory planned once, by the engine's kernels.

The numbers are those of `Fake` but for the order of the sums, which differs between the kernels and the reference
rules: what lands next to the middle between two steps may be rounded to the other one. Where sums are exact, as those
of small integers with power-of-two steps are in any order, the numbers are the same: hence exact kernels only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from xportdnn import scales
from xportdnn.arithmetic.rounding import half_away
from xportdnn.engine import Program
from xportdnn.engine.choice import Choose, renames
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.simulation import formats as form
from xportdnn.simulation.fake import Fake, Turn, rectifies
from xportdnn.simulation.formats import Fixed, Format, Minifloat
from xportdnn.simulation.places import placed
from xportdnn.simulation.run import Simulation
from xportdnn.simulation.simulated import Simulated


class Stage(NamedTuple):
    """A layer with tops, input layers among them, and what is done to its numbers.

    Attributes:
        reads, writes: see `Turn`.
        rectified: see `Format.clipped`.
        in_place: whoever reads the bottoms later finds them as this layer read them.
    """

    layer: Layer
    reads: Mapping[Value, Format]
    writes: Mapping[Value, Format]
    rectified: bool = False
    in_place: bool = False


class Planned:
    """A network in the arithmetic of `fake`, every value trimmed where it lies; `planned` makes it."""

    def __init__(self, net: Net, program: Program, stages: Sequence[Stage]) -> None:
        """
        Args:
            program: of the trimmed weights, changeable, all tops observed.
            stages: its layers in order.
        """
        self._net, self._program, self._stages = net, program, {stage.layer.index: stage for stage in stages}

    def twin(self, host: Planned | None = None) -> Planned:
        """The same with memory of its own, for another thread.

        Args:
            host: its memory will do: only one of them can run at a time.
        """
        program = self._program.twin(None if host is None else host._program)
        return Planned(self._net, program, list(self._stages.values()))

    def leaves(self, layer: Layer) -> bool:
        """Whether nothing is done to the layer's bottoms and tops."""
        stage = self._stages[layer.index]
        return not stage.reads and not stage.writes

    def run(self, feeds: Mapping[Value, Array]) -> Iterator[Simulated]:
        """The input layers' values, then every layer that has tops; arrays are valid until the next layer is asked for.

        Raises:
            LayerError: a layer cannot handle the values it got, named with its place.
        """
        computed = self._program.layers(feeds)
        for stage in self._stages.values():
            with placed(self._net, stage.layer):
                tops, lost = self._computed(stage, computed)
                for value, wanted in stage.writes.items():
                    lost += form.bring(wanted, tops[value], stage.rectified)
            yield Simulated(stage.layer, tuple(tops.values()), saturated=lost)

    def _computed(self, stage: Stage, computed: Iterator[dict[Value, Array]]) -> tuple[dict[Value, Array], int]:
        """The tops of the next layer, and how many numbers of its bottoms were clipped.

        While the layer computes, its bottoms are in the formats in which it reads them.
        """
        if not stage.reads:
            return next(computed), 0
        bottoms = {value: self._program.array(value) for value in stage.reads}
        if stage.in_place:
            lost = sum(form.bring(stage.reads[value], array) for value, array in bottoms.items())
            return next(computed), lost
        kept = {value: array.copy(order="K") for value, array in bottoms.items()}
        lost = sum(form.bring(stage.reads[value], array) for value, array in bottoms.items())
        tops = next(computed)
        for value, array in bottoms.items():
            # the top may have taken the place of a bottom that nobody reads any more
            if not any(np.may_share_memory(array, top) for top in tops.values()):
                np.copyto(array, kept[value])
        return tops, lost


def planned(
    simulation: Simulation, shapes: Mapping[Value, Shape], inputs: Sequence[Value], choose: Choose
) -> Planned | None:
    """A simulation at this speed, or None where it cannot be had.

    That is so for another arithmetic, for formats that go by the order of the numbers, and where trimming one blob in
    place changes another one only here or only in Caffe.

    Args:
        shapes: of all values for one picture.
        inputs: the values that will be fed.
        choose: exact kernels (`engine.choice.Exact`).
    """
    fake = simulation.level
    if not isinstance(fake, Fake):
        return None
    if any(own.in_place for own in fake.prepared.values()) and not _shares_as_caffe(simulation):
        return None
    if any(_goes_by_order(wanted) for own in fake.prepared.values() for wanted in (own.layer_in, own.layer_out)):
        return None
    stages = [*_inputs(simulation, inputs), *_layers(simulation, fake, inputs)]
    weights = {index: own.blobs for index, own in fake.prepared.items()}
    program = forward(simulation.net, weights, shapes, inputs, choose, changeable=True)
    stages = [stage for stage in stages if stage.layer.tops]
    return Planned(simulation.net, program, stages) if all(_fits(stage, program) for stage in stages) else None


def _shares_as_caffe(simulation: Simulation) -> bool:
    """Whether nobody can tell that the engine has other blobs in one memory than Caffe: nothing else reads them."""
    owners: dict[Value, Value] = {}
    readers: Counter[Value] = Counter()
    doubtful: set[Value] = set()
    for layer in simulation.layers:
        roots = {owners.get(value, value) for value in layer.bottoms}
        if not (renames(layer) or scales.shares_memory(layer)):
            readers.update(roots)
            continue
        owners |= dict.fromkeys(layer.tops, owners.get(layer.bottoms[0], layer.bottoms[0]))
        if renames(layer) != scales.shares_memory(layer):
            doubtful |= roots
    return all(readers[root] < 2 for root in doubtful)


def _goes_by_order(wanted: Format | None) -> bool:
    """Whether what becomes of a number depends on those before it: random rounding, a defect of Ristretto's."""
    if isinstance(wanted, Minifloat):
        return wanted.as_ristretto or wanted.rounding is not half_away
    return isinstance(wanted, Fixed) and wanted.rounding is not half_away


def _fits(stage: Stage, program: Program) -> bool:
    """Whether the layer's numbers can be changed where they lie, each array by itself."""
    arrays = [program.array(value) for value in stage.layer.bottoms if value in stage.reads]
    shared = any(np.may_share_memory(one, other) for one, other in combinations(arrays, 2))
    renamed = bool(stage.writes) and renames(stage.layer)
    return not shared and not renamed and program.loose.isdisjoint({*stage.reads, *stage.writes})


def forward(
    net: Net,
    weights: Mapping[int, Arrays],
    shapes: Mapping[Value, Shape],
    inputs: Sequence[Value],
    choose: Choose,
    changeable: bool = False,
) -> Program:
    """A network with all tops observed, as `Planned` runs it: what is not quantized is the same in both."""
    tops = [value for layer in runnable(net, inputs) for value in layer.tops]
    return Program(net, weights, shapes, inputs, {*inputs, *tops}, changeable=changeable, choose=choose)


def _inputs(simulation: Simulation, inputs: Sequence[Value]) -> Iterator[Stage]:
    for index in sorted({value.writer for value in inputs}):
        layer, block = simulation.net.layers[index], simulation.blocks.get(index)
        wanted = form.layer_out(block) if block is not None else None
        fed = [value for value in layer.tops if value in inputs]
        yield Stage(layer, {}, {} if wanted is None else dict.fromkeys(fed, wanted))


def _layers(simulation: Simulation, fake: Fake, inputs: Sequence[Value]) -> Iterator[Stage]:
    known: dict[Value, Format | None] = dict.fromkeys(inputs)
    for stage in _inputs(simulation, inputs):
        known |= stage.writes
    memory: dict[Value, Value] = {}
    for layer in simulation.layers:
        turn = fake.turn(layer, [known[value] for value in layer.bottoms])
        in_place = fake.prepared[layer.index].in_place
        for bottom, wanted in zip(layer.bottoms, turn.reads, strict=True):
            if in_place and wanted is not None:
                known |= {value: wanted for value in known if memory.get(value, value) == memory.get(bottom, bottom)}
        if scales.shares_memory(layer):
            memory |= dict.fromkeys(layer.tops, memory.get(layer.bottoms[0], layer.bottoms[0]))
        known |= zip(layer.tops, turn.tops, strict=True)
        yield _stage(layer, turn, rectifies(simulation.net, layer), in_place)


def _stage(layer: Layer, turn: Turn, rectified: bool, in_place: bool) -> Stage:
    reads, writes = zip(layer.bottoms, turn.reads, strict=True), zip(layer.tops, turn.writes, strict=True)
    return Stage(
        layer,
        {value: wanted for value, wanted in reads if wanted is not None},
        {value: wanted for value, wanted in writes if wanted is not None},
        rectified,
        in_place,
    )
