"""The pictures of one worker: float and quantized network in lockstep, layer by layer, nothing kept but sums."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

from xportdnn import calibrate, execute, scales
from xportdnn.errors import CalibrationError, ImageError
from xportdnn.evaluation.detections import Matches, match
from xportdnn.evaluation.metrics import Energy, energy
from xportdnn.evaluation.outputs import Verdict, detections, reads_off, verdict
from xportdnn.evaluation.tally import Answers, Tally
from xportdnn.execute import Step
from xportdnn.layers import Array, Arrays
from xportdnn.network import Layer, Net, Value
from xportdnn.simulation import Simulated
from xportdnn.workers import Tick

K = TypeVar("K")
T = TypeVar("T")
Feeds: TypeAlias = Mapping[Value, Array]
Run: TypeAlias = Callable[[Feeds], Iterable[Simulated]]
"""A quantized network that is ready: what each layer gives for these inputs, in order."""


@dataclass(frozen=True)
class Bench:
    """What is measured, on which pictures.

    Attributes:
        pictures: what to feed, one mapping per picture, made when asked for; an ImageError skips a picture.
        labels: the class of every picture; None where it is not known.
        quantized: the networks to compare with the float one: the whole one first, the others for `Share.probe`.
        outputs: the network's answers.
        scores: the one of them that holds a score per class.
        probabilities: whether it is the top of a Softmax.
        histograms: whether to draw |x| of every layer.
    """

    net: Net
    weights: Mapping[int, Arrays]
    pictures: Sequence[Feeds]
    labels: Sequence[int | None]
    quantized: Sequence[Run]
    outputs: tuple[Value, ...]
    scores: Value | None = None
    probabilities: bool = False
    histograms: bool = False


@dataclass
class Seen:
    """What some of the pictures showed.

    Attributes:
        pictures: those that could be read.
        skipped: the others, with the reason.
        layers: layer index -> tally, of the layers whose tops could be compared.
        outputs: output -> tally.
        answers: output -> whether it varies.
        errors: output -> picture -> energies.
        boxes: what DetectionOutput layers found, all pictures together.
    """

    pictures: list[int] = field(default_factory=list)
    skipped: list[tuple[int, str]] = field(default_factory=list)
    layers: dict[int, Tally] = field(default_factory=dict)
    outputs: dict[Value, Tally] = field(default_factory=dict)
    answers: dict[Value, Answers] = field(default_factory=dict)
    errors: dict[Value, dict[int, Energy]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    boxes: list[Matches] = field(default_factory=list)


def merged(first: Seen, second: Seen) -> Seen:
    """What both together showed."""
    return Seen(
        first.pictures + second.pictures,
        first.skipped + second.skipped,
        _united(first.layers, second.layers, Tally.merged),
        _united(first.outputs, second.outputs, Tally.merged),
        _united(first.answers, second.answers, Answers.merged),
        _united(first.errors, second.errors, operator.or_),
        first.verdicts + second.verdicts,
        first.boxes + second.boxes,
    )


def _united(first: Mapping[K, T], second: Mapping[K, T], merge: Callable[[T, T], T]) -> dict[K, T]:
    both = {key: merge(first[key], second[key]) for key in first if key in second}
    return {**first, **second, **both}


class Probed(NamedTuple):
    """What one picture gave in one of the probed networks."""

    errors: tuple[Energy, ...]
    verdict: Verdict | None


class Share:
    """Some of the pictures of a bench."""

    def __init__(self, bench: Bench, indices: Sequence[int]) -> None:
        self.bench, self.indices = bench, indices
        self.position = indices[0]
        self.tick: Tick = lambda: None
        self.boxes = frozenset(detections(bench.net))

    def measure(self) -> Seen:
        """Every layer of the whole quantized network against the float one.

        Raises:
            CalibrationError: a layer gave NaN or infinity.
        """
        seen = Seen()
        for index, feeds in self._readable(seen.skipped):
            answers: dict[Value, tuple[Array, Array]] = {}
            for layer, tops, simulated in self._lockstep(feeds):
                self._compare(seen, layer, tops, simulated)
                kept = zip(layer.tops, tops, simulated.tops, strict=False)
                answers |= {value: (one, two) for value, one, two in kept if value in self._kept}
            seen.pictures.append(index)
            self._judge(seen, index, answers)
            self.tick()
        return seen

    def probe(self, first: int) -> dict[int, list[Probed]]:
        """The outputs of the quantized networks from `first` on, picture by picture.

        Raises:
            CalibrationError: an output holds NaN or infinity.
        """
        found: dict[int, list[Probed]] = {}
        for index, feeds in self._readable([]):
            float_run = execute.run(self.bench.net, self.bench.weights, feeds)
            expected = self._answers(step[:2] for step in float_run)
            found[index] = []
            for run in self.bench.quantized[first:]:
                found[index].append(self._probed(index, expected, self._answers(step[:2] for step in run(feeds))))
                self.tick()
        return found

    @property
    def _kept(self) -> frozenset[Value]:
        return self.boxes.union(self.bench.outputs)

    def _readable(self, skipped: list[tuple[int, str]]) -> Iterator[tuple[int, Feeds]]:
        for index in self.indices:
            self.position = index
            try:
                feeds = self.bench.pictures[index]
            except ImageError as error:
                skipped.append((index, error.message))
                continue
            yield index, feeds

    def _lockstep(self, feeds: Feeds) -> Iterator[tuple[Layer, Arrays, Simulated]]:
        """The layers that both networks computed; what is not simulated is not compared."""
        float_run = execute.run(self.bench.net, self.bench.weights, feeds)
        waiting: dict[int, Step] = {}
        for simulated in self.bench.quantized[0](feeds):
            index = simulated.layer.index
            while index not in waiting:
                step = next(float_run)
                waiting[step.layer.index] = step
            yield simulated.layer, waiting.pop(index).tops, simulated

    def _compare(self, seen: Seen, layer: Layer, tops: Arrays, simulated: Simulated) -> None:
        tally = seen.layers.setdefault(layer.index, Tally())
        tally.saturated += simulated.saturated
        tally.wrapped += simulated.wrapped
        if reads_off(self.bench.net, layer.index):
            return
        for one, two in zip(tops, simulated.tops, strict=False):
            if not one.size:
                continue
            if not tally.add(one, two).finite:
                self._refuse(layer, tops, simulated)
            if self.bench.histograms:
                tally.draw(one)
        if len(tops) == len(simulated.tops) == 1 and tops[0].ndim in (2, 4) and not scales.copied(layer):
            tally.watch(tops[0], simulated.tops[0])

    def _judge(self, seen: Seen, index: int, answers: Mapping[Value, tuple[Array, Array]]) -> None:
        for value in self.bench.outputs:
            one, two = answers[value]
            seen.errors.setdefault(value, {})[index] = seen.outputs.setdefault(value, Tally()).add(one, two)
            if value in seen.answers:
                seen.answers[value].add(one, two)
            else:
                seen.answers[value] = Answers(one, two)
        seen.boxes += [match(*answers[value]) for value in self.boxes if value in answers]
        if self.bench.scores is not None:
            seen.verdicts.append(self._verdict(index, *answers[self.bench.scores]))

    def _verdict(self, index: int, one: Array, two: Array) -> Verdict:
        return verdict(index, one, two, self.bench.labels[index], self.bench.probabilities)

    def _answers(self, steps: Iterable[tuple[Layer, Arrays]]) -> dict[Value, Array]:
        return {
            value: top
            for layer, tops in steps
            for value, top in zip(layer.tops, tops, strict=False)
            if value in self._kept
        }

    def _probed(self, index: int, expected: Mapping[Value, Array], got: Mapping[Value, Array]) -> Probed:
        errors = tuple(energy(expected[value], got[value]) for value in self.bench.outputs)
        scores = self.bench.scores
        return Probed(errors, None if scores is None else self._verdict(index, expected[scores], got[scores]))

    def _refuse(self, layer: Layer, tops: Arrays, simulated: Simulated) -> None:
        calibrate.check_finite(self.bench.net, Step(layer, tops))
        raise CalibrationError(
            f"{self.bench.net.where(layer)}: the quantized network gives NaN or infinity here, the float network does "
            f"not; look at the formats of this layer ({len(simulated.tops)} tops)"
        )
