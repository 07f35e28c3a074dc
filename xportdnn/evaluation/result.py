"""What an evaluation found, as values; and how it follows from what the pictures showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

from xportdnn.choices import Side
from xportdnn.evaluation import findings, sensitivity
from xportdnn.evaluation.detections import Matches
from xportdnn.evaluation.findings import Finding
from xportdnn.evaluation.labels import TestSet
from xportdnn.evaluation.metrics import cosine, mean, psnr_db, sqnr_db
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.outputs import Verdict, classes
from xportdnn.evaluation.ranking import Row, rows
from xportdnn.evaluation.sensitivity import Effect, agreement, top
from xportdnn.evaluation.share import Bench, Seen
from xportdnn.layers import Shape
from xportdnn.network import Value
from xportdnn.opening import Opened
from xportdnn.precision import Precision, Ristretto


class Output(NamedTuple):
    """How far an output is from its float self; None where nothing differs or it was not computed.

    Attributes:
        worst: the picture with the lowest SQNR, and that SQNR in dB.
    """

    value: Value
    shape: Shape
    sqnr_db: float | None
    psnr_db: float | None
    cosine: float | None
    identical: bool
    worst: tuple[str, float] | None


class Classified(NamedTuple):
    """What the classes say, in per cent; None without labels, and top-5 of five classes or fewer.

    Attributes:
        tied: pictures for which several classes share the quantized network's best score.
        divergence: of the quantized probabilities from the float ones, mean over the pictures, in nats.
    """

    float_top1: float | None
    float_top5: float | None
    top1: float | None
    top5: float | None
    agreement_top1: float | None
    tied: int
    divergence: float | None


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        blocks: the formats that were simulated, by layer index.
        used: the positions of the pictures that were evaluated; the others were `skipped`, name and reason.
        rows: the layers in file order.
        classified: None where the network is no classifier.
        boxes: of DetectionOutput layers; None where there is none.
        effects: what parts of the network do alone; empty unless asked for.
    """

    options: EvaluationOptions
    opened: Opened
    blocks: Mapping[int, Precision | Ristretto]
    tests: TestSet
    used: tuple[int, ...]
    skipped: tuple[tuple[str, str], ...]
    outputs: tuple[Output, ...]
    scores: Value | None
    rows: tuple[Row, ...]
    classified: Classified | None
    verdicts: tuple[Verdict, ...]
    boxes: Matches | None
    alarms: tuple[str, ...]
    findings: tuple[Finding, ...]
    effects: tuple[Effect, ...]

    @property
    def judged(self) -> tuple[Output, ...]:
        """The output with the classes' scores, or all of them."""
        return tuple(output for output in self.outputs if self.scores in (None, output.value))

    @property
    def output_sqnr_db(self) -> float | None:
        """Of the output with the classes' scores, else the mean over all outputs."""
        return mean([output.sqnr_db for output in self.judged])

    @property
    def output_cosine(self) -> float | None:
        """Of the output with the classes' scores, else the mean over all outputs."""
        return mean([output.cosine for output in self.judged])

    @property
    def ranked_effects(self) -> list[Effect]:
        """Those of single layers, most harmful first, then those of a whole side."""
        return [*sensitivity.ranked(self.effects), *(effect for effect in self.effects if effect.part.layer is None)]


def result(
    options: EvaluationOptions,
    opened: Opened,
    blocks: Mapping[int, Precision | Ristretto],
    tests: TestSet,
    bench: Bench,
    seen: Seen,
    effects: tuple[Effect, ...],
) -> Evaluation:
    """Put together what the pictures showed."""
    verdicts = tuple(sorted(seen.verdicts))
    measured = rows(opened.net, seen.layers, blocks, bench.weights)
    scores = bench.scores
    either_side = (sensitivity.of_side(effects, side) for side in (Side.WEIGHTS, Side.ACTIVATIONS))
    return Evaluation(
        options=options,
        opened=opened,
        blocks=blocks,
        tests=tests,
        used=tuple(sorted(seen.pictures)),
        skipped=tuple((tests.samples[index].name, reason) for index, reason in sorted(seen.skipped)),
        outputs=tuple(_output(value, opened.shapes[value], seen, tests) for value in bench.outputs),
        scores=scores,
        rows=measured,
        classified=None if scores is None else _classified(verdicts, classes(opened.shapes[scores])),
        verdicts=verdicts,
        boxes=reduce(Matches.plus, seen.boxes) if seen.boxes else None,
        alarms=findings.alarms(seen.answers, verdicts),
        findings=(
            *findings.findings(opened.net, measured, options.arithmetic),
            *findings.ties(verdicts),
            *findings.alone(sensitivity.ranked(effects)),
            *findings.sides(*either_side),
        ),
        effects=effects,
    )


def _output(value: Value, shape: Shape, seen: Seen, tests: TestSet) -> Output:
    tally = seen.outputs[value]
    energy = tally.sums.energy
    single = [(found, index) for index, part in seen.errors[value].items() if (found := sqnr_db(part)) is not None]
    worst = min(single, default=None)
    return Output(
        value,
        shape,
        sqnr_db(energy),
        psnr_db(energy, tally.count, tally.maximum - tally.minimum),
        cosine(energy),
        energy.noise == 0,
        None if worst is None else (tests.samples[worst[1]].name, worst[0]),
    )


def _classified(verdicts: Sequence[Verdict], count: int) -> Classified:
    before = [verdict.first_rank for verdict in verdicts]
    after = [verdict.second_rank for verdict in verdicts]
    meaningful = count > 5
    return Classified(
        top(before, 1),
        top(before, 5) if meaningful else None,
        top(after, 1),
        top(after, 5) if meaningful else None,
        agreement(verdicts),
        sum(verdict.tied for verdict in verdicts),
        mean([verdict.divergence for verdict in verdicts]),
    )
