"""The pictures of one worker: float and quantized network in lockstep, layer by layer, nothing kept but sums."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple, TypeVar

from xportdnn import calibrate, scales
from xportdnn.errors import CalibrationError, ImageError
from xportdnn.evaluation.detections import Matches, match
from xportdnn.evaluation.lockstep import ByEngine, ByRules, Networks
from xportdnn.evaluation.lockstep import Feeds as Feeds
from xportdnn.evaluation.lockstep import Run as Run
from xportdnn.evaluation.metrics import Energy, Look, energy, look
from xportdnn.evaluation.outputs import Verdict, detections, reads_off, verdict
from xportdnn.evaluation.tally import Answers, Tally
from xportdnn.execute import Step
from xportdnn.layers import Array, Arrays
from xportdnn.network import Layer, Net, Value
from xportdnn.simulation import Simulated
from xportdnn.workers import Tick

K = TypeVar("K")
T = TypeVar("T")


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
        engine: the same networks by the engine; None: by the reference rules.
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
    engine: ByEngine | None = None


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
        self.kept = self.boxes.union(bench.outputs)
        by_rules = ByRules(bench.net, bench.weights, bench.quantized)
        self.networks: Networks = by_rules if bench.engine is None else bench.engine.twin()

    def measure(self) -> Seen:
        """Every layer of the whole quantized network against the float one.

        Raises:
            CalibrationError: a layer gave NaN or infinity.
        """
        seen = Seen()
        for index, feeds in self._readable(seen.skipped):
            answers: dict[Value, tuple[Array, Array]] = {}
            looks: dict[Value, Look] = {}
            for tops, simulated in self.networks.together(feeds):
                looks |= self._compare(seen, tops, simulated, looks)
                both = zip(tops.items(), simulated.tops, strict=False)
                answers |= {value: (one.copy(), two.copy()) for (value, one), two in both if value in self.kept}
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
            expected = self._answers(self.networks.floats(feeds))
            found[index] = []
            for network in range(first, len(self.bench.quantized)):
                run = self.networks.quantized(network, feeds)
                named = (dict(zip(each.layer.tops, each.tops, strict=False)) for each in run)
                found[index].append(self._probed(index, expected, self._answers(named)))
                self.tick()
        return found

    def _readable(self, skipped: list[tuple[int, str]]) -> Iterator[tuple[int, Feeds]]:
        for index in self.indices:
            self.position = index
            try:
                feeds = self.bench.pictures[index]
            except ImageError as error:
                skipped.append((index, error.message))
                continue
            yield index, feeds

    def _compare(
        self, seen: Seen, tops: Mapping[Value, Array], simulated: Simulated, looks: Mapping[Value, Look]
    ) -> dict[Value, Look]:
        """Count a layer's tops; what was to be seen of them.

        Args:
            looks: what was to be seen of the layers before.
        """
        layer = simulated.layer
        if (tally := seen.layers.get(layer.index)) is None:
            tally = seen.layers[layer.index] = Tally()
        tally.saturated += simulated.saturated
        tally.wrapped += simulated.wrapped
        if reads_off(self.bench.net, layer.index):
            return {}
        found: dict[Value, Look] = {}
        for (value, one), two in zip(tops.items(), simulated.tops, strict=False):
            if not one.size:
                continue
            found[value] = self._moved(layer, looks) or look(one, two)
            tally.note(found[value])
            if not found[value].energy.finite:
                self._refuse(layer, tuple(tops.values()), simulated)
            if self.bench.histograms:
                tally.draw(one)
        if len(tops) == len(simulated.tops) == 1 and not scales.copied(layer):
            (one,), (two,) = tops.values(), simulated.tops
            if one.ndim in (2, 4):
                tally.watch(one, two)
        return found

    def _moved(self, layer: Layer, looks: Mapping[Value, Look]) -> Look | None:
        """What is to be seen of the top of a layer that only moves numbers, which were looked at before."""
        if not self.networks.moves(layer) or not looks.keys() >= set(layer.bottoms):
            return None
        return reduce(Look.plus, (looks[value] for value in layer.bottoms))

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

    def _answers(self, layers: Iterable[Mapping[Value, Array]]) -> dict[Value, Array]:
        return {value: top.copy() for tops in layers for value, top in tops.items() if value in self.kept}

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
