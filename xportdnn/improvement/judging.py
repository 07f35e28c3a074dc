"""How far a quantized network is from the float network, on pictures: what `evaluate` measures, and no more.

The float network is always the user's own. A network with corrected biases has a float self of its own, which is of no
interest to anybody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple, TypeAlias

from xportdnn.choices import Arithmetic
from xportdnn.engine import Program
from xportdnn.engine.choice import Exact
from xportdnn.errors import CalibrationError
from xportdnn.evaluation.metrics import Energy, energy, mean, sqnr_db
from xportdnn.evaluation.outputs import Verdict, outputs, scores_of, verdict
from xportdnn.folding.bias_correction import as_held
from xportdnn.layers import Array, Arrays
from xportdnn.network import Value
from xportdnn.opening import Opened
from xportdnn.precision import Precision
from xportdnn.simulation import Simulation, prepare
from xportdnn.simulation.planned import Planned, planned
from xportdnn.workers import Tick, crew

Feeds: TypeAlias = Mapping[Value, Array]
_BETTER_DB = 0.05  # what a signal-to-noise ratio must gain,
_BETTER = 0.99  # and what a divergence must fall to, so that the rounding of a few values decides nothing


class Classes(NamedTuple):
    """How a quantized classifier did.

    Attributes:
        agreeing: how many of the pictures have the float network's class.
        pictures: how many there are.
        divergence: of the probabilities from the float network's, mean over the pictures, in nats.
    """

    agreeing: int
    pictures: int
    divergence: float

    @property
    def agreement(self) -> float:
        """In per cent."""
        return 100 * self.agreeing / self.pictures


class Score(NamedTuple):
    """How a quantized network did.

    Attributes:
        sqnr_db: of the output with the classes' scores, else the mean over all outputs; infinite where nothing differs.
        classes: None where no Softmax gives their probabilities.
    """

    sqnr_db: float
    classes: Classes | None = None

    def beats(self, other: Score) -> bool:
        """Whether this is better by more than chance.

        Of classes, probabilities must be nearer to the float network's, and not more than one picture may lose its
        class over it: a single one that was undecided says less than the probabilities of all. Of everything else, the
        outputs must be nearer.
        """
        if self.classes is None or other.classes is None:
            return self.sqnr_db > other.sqnr_db + _BETTER_DB
        lost = other.classes.agreeing - self.classes.agreeing
        return lost <= 1 and self.classes.divergence < _BETTER * other.classes.divergence

    @property
    def rank(self) -> tuple[float, float]:
        """Ascending from worst to best."""
        return (self.sqnr_db, 0.0) if self.classes is None else (-self.classes.divergence, self.sqnr_db)

    def to(self, after: Score) -> str:
        """`output SQNR 12.3 -> 18.4 dB, agreement 95.0 -> 97.0 %, divergence 0.0400 -> 0.0198`."""
        outputs = f"output SQNR {self.sqnr_db:.1f} -> {after.sqnr_db:.1f} dB"
        if self.classes is None or after.classes is None:
            return outputs
        one, two = self.classes, after.classes
        return (
            f"{outputs}, agreement {one.agreement:.1f} -> {two.agreement:.1f} %, "
            f"divergence {one.divergence:.3g} -> {two.divergence:.3g}"
        )


@dataclass(frozen=True)
class Judge:
    """The float network and the pictures that quantized networks are judged by.

    Attributes:
        opened: the network as it was before any improvement.
        weights: its arrays by layer index.
    """

    opened: Opened
    weights: Mapping[int, Arrays]
    pictures: Sequence[Feeds]
    workers: int = 1

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The network's answers.

        Raises:
            CalibrationError: there are none.
        """
        found = outputs(self.opened.net, self.opened.shapes)
        if not found:
            raise CalibrationError(
                f"{self.opened.net.source.name}: no output can be computed that a better network could be told by"
            )
        return found

    @property
    def scores(self) -> Value | None:
        """The output that holds the classes' probabilities."""
        value = scores_of(self.opened.net, self.outputs, self.opened.shapes)
        return value if value is not None and self.opened.net.layers[value.writer].type == "Softmax" else None

    def score(self, other: Opened, weights: Mapping[int, Arrays], blocks: Mapping[int, Precision]) -> Score:
        """How a network with the same layers does in these formats, by the arithmetic of `fake` with biases in the
        steps in which the board holds them.

        Args:
            weights: its arrays by layer index.
        """
        held = {index: as_held(blobs, blocks.get(index)) for index, blobs in weights.items()}
        simulation = prepare(other.net, held, blocks, Arithmetic.FAKE, other.inputs)
        quantized = planned(simulation, other.shapes, tuple(other.inputs), Exact())
        answers, scores = self.outputs, self.scores
        program = Program(self.opened.net, self.weights, self.opened.shapes, self.opened.inputs, answers)

        def share(indices: Sequence[int]) -> _Share:
            run = simulation if quantized is None else quantized.twin()
            return _Share(program.twin(), run, self.pictures, indices, answers, scores)

        with crew(share, len(self.pictures), self.workers, lambda: None) as shares:
            seen = {index: found for part in shares.call(_Share.look) for index, found in part.items()}
        return _score([seen[index] for index in sorted(seen)], [value in (scores, None) for value in answers])


class _Seen(NamedTuple):
    """What one picture showed: energies of every output, and the classes."""

    energies: tuple[Energy, ...]
    verdict: Verdict | None


def _score(seen: Sequence[_Seen], counts: Sequence[bool]) -> Score:
    sums = [reduce(Energy.plus, column) for column in zip(*(each.energies for each in seen), strict=True)]
    judged = [total for total, one in zip(sums, counts, strict=True) if one] or sums
    found = mean([sqnr_db(total) for total in judged])
    sqnr = math.inf if found is None else found
    verdicts = [each.verdict for each in seen if each.verdict is not None]
    if not verdicts:
        return Score(sqnr)
    agreeing = sum(each.first == each.second for each in verdicts)
    divergence = math.fsum(each.divergence for each in verdicts) / len(verdicts)
    return Score(sqnr, Classes(agreeing, len(verdicts), divergence))


class _Share:
    """Some of the pictures."""

    def __init__(
        self,
        program: Program,
        quantized: Simulation | Planned,
        pictures: Sequence[Feeds],
        indices: Sequence[int],
        answers: tuple[Value, ...],
        scores: Value | None,
    ) -> None:
        self.program, self.quantized, self.pictures, self.indices = program, quantized, pictures, indices
        self.answers, self.scores = answers, scores
        self.position = indices[0]
        self.tick: Tick = lambda: None

    def look(self) -> dict[int, _Seen]:
        """What every picture shows."""
        return {index: self._look(index) for index in self.indices}

    def _look(self, index: int) -> _Seen:
        self.position = index
        feeds = self.pictures[index]
        expected = {value: top.copy() for value, top in self.program.run(feeds)}
        got: dict[Value, Array] = {}
        for step in self.quantized.run(feeds):
            kept = zip(step.layer.tops, step.tops, strict=False)
            got |= {value: top.copy() for value, top in kept if value in self.answers}
        energies = tuple(energy(expected[value], got[value]) for value in self.answers)
        if self.scores is None:
            return _Seen(energies, None)
        return _Seen(energies, verdict(index, expected[self.scores], got[self.scores], None, probabilities=True))
