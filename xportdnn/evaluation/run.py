"""An evaluation, from options to measured values: the whole of it as functions that can be read aloud."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from xportdnn import execute, pictures, precision, scales
from xportdnn.choices import Side
from xportdnn.errors import ImageError, InputError, UsageError
from xportdnn.evaluation import findings, labels, sensitivity
from xportdnn.evaluation.detections import Matches
from xportdnn.evaluation.findings import Finding
from xportdnn.evaluation.labels import TestSet
from xportdnn.evaluation.metrics import cosine, per_cent, psnr_db, sqnr_db
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.outputs import Verdict, classes, outputs, scores_of
from xportdnn.evaluation.pictures import Pictures, introduce
from xportdnn.evaluation.ranking import Row, rows
from xportdnn.evaluation.sensitivity import Effect
from xportdnn.evaluation.share import Bench, Probed, Run, Seen, Share, merged
from xportdnn.evaluation.tally import Sums, Tally
from xportdnn.journal import Journal
from xportdnn.layers import Shape
from xportdnn.network import Net, Value, runnable
from xportdnn.opening import Opened, complete, open_net, open_weights
from xportdnn.options import Options
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation import prepare
from xportdnn.workers import crew, default_workers


class Output(NamedTuple):
    """How far an output is from its float self; None where nothing differs or it was not computed."""

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
        divergence: mean over the pictures, in nats.
    """

    float_top1: float | None
    float_top5: float | None
    top1: float | None
    top5: float | None
    agreement_top1: float | None
    tied: int
    divergence: float


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        used: the positions of the pictures that were evaluated; the others were `skipped`, name and reason.
        sums: energies of all outputs together.
        rows: the layers in file order.
        classified: None where the network is no classifier.
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
    sums: Sums
    rows: tuple[Row, ...]
    classified: Classified | None
    verdicts: tuple[Verdict, ...]
    boxes: Matches | None
    alarms: tuple[str, ...]
    findings: tuple[Finding, ...]
    effects: tuple[Effect, ...] = ()


def evaluate(options: EvaluationOptions, journal: Journal | None = None, histograms: bool = False) -> Evaluation:
    """Run the float network and the quantized one over all pictures.

    Args:
        histograms: collect those of every layer, for the page.

    Raises:
        InputError: something the user gave cannot be used (see `errors`).
    """
    journal = journal or Journal()
    net = open_net(options.deploy_model, journal)
    target, shape = pictures.input_shape(net, options.dims, journal)
    steps = pictures.preprocessing(_as_conversion(options), shape[1:], journal)
    tests = labels.find(Path(options.images), Path(options.labels) if options.labels else None, options.images_size)
    for note in tests.notes:
        journal.warn(note)
    fed = Pictures(tests.samples, steps, target, shape[1:])
    introduce(fed, journal)
    net, model = open_weights(net, options.weights, journal)
    opened = complete(net, model, {target: shape}, journal, strict=False)
    blocks = _blocks(net, options.only)
    found = outputs(net, opened.shapes)
    if not found:
        raise InputError(f"{net.source.name}: nothing can be computed from '{target.blob}'; there is no output to judge")
    scores = scores_of(net, found, opened.shapes)
    tests = _checked(tests, opened, scores, options, journal)
    weights = execute.load(runnable(net, opened.inputs), opened.weights)
    tried = tuple(sensitivity.parts(net, blocks)) if options.one_at_a_time else ()
    networks = [blocks, *(part.blocks for part in tried)]
    simulations = [prepare(net, weights, each, options.arithmetic, opened.inputs) for each in networks]
    for warning in simulations[0].warnings:
        journal.warn(warning)
    runs: list[Run] = [simulation.run for simulation in simulations]
    bench = Bench(
        net,
        weights,
        fed,
        [sample.label for sample in tests.samples],
        runs,
        found,
        scores,
        scores is not None and _is_softmax(net, scores),
        histograms,
    )
    seen, probed = _measured(bench, options.workers or default_workers(), journal)
    return _evaluation(options, opened, blocks, tests, bench, seen, sensitivity.effects(tried, probed), journal)


def _measured(bench: Bench, workers: int, journal: Journal) -> tuple[Seen, dict[int, list[Probed]]]:
    """Both passes over the pictures: all layers of the whole network, then the outputs of its parts."""
    probed: dict[int, list[Probed]] = {}
    count, others = len(bench.pictures), len(bench.quantized) - 1

    def share(indices: Sequence[int]) -> Share:
        return Share(bench, indices)

    with journal.progress("evaluating", count * (1 + others)) as tick, crew(share, count, workers, tick) as shares:
        seen = reduce(merged, shares.call(Share.measure))
        if others:
            for part in shares.call(Share.probe, 1):
                probed |= part
    return seen, dict(sorted(probed.items()))


def _evaluation(
    options: EvaluationOptions,
    opened: Opened,
    blocks: Mapping[int, Precision | Ristretto],
    tests: TestSet,
    bench: Bench,
    seen: Seen,
    effects: tuple[Effect, ...],
    journal: Journal,
) -> Evaluation:
    skipped = tuple((tests.samples[index].name, reason) for index, reason in sorted(seen.skipped))
    for name, reason in skipped:
        journal.warn(f"{name}: skipped, {reason}")
    if not seen.pictures:
        raise ImageError(f"none of the {len(tests.samples)} pictures can be decoded; is this the right folder?")
    verdicts = tuple(sorted(seen.verdicts))
    measured = rows(opened.net.layers, seen.layers, blocks)
    sums = reduce(Sums.merged, (tally.sums for tally in seen.outputs.values()))
    alarms = findings.alarms(seen.answers, verdicts)
    for alarm in alarms:
        journal.warn(alarm)
    classified = None if bench.scores is None else _classified(verdicts, classes(opened.shapes[bench.scores]))
    sentences = (*findings.findings(opened.net, measured), *_sides(sums, classified, effects))
    return Evaluation(
        options,
        opened,
        blocks,
        tests,
        tuple(sorted(seen.pictures)),
        skipped,
        tuple(_output(value, opened, seen, tests) for value in bench.outputs),
        bench.scores,
        sums,
        measured,
        classified,
        verdicts,
        reduce(Matches.plus, seen.boxes) if seen.boxes else None,
        alarms,
        sentences,
        effects,
    )
