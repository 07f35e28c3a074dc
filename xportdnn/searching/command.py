"""From options to a result; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xportdnn import calibrate, execute
from xportdnn.blocks import cleared
from xportdnn.choices import Arithmetic
from xportdnn.dialects.retyping import plain
from xportdnn.errors import InputError, UsageError
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.outputs import classes
from xportdnn.evaluation.run import Subject, subject
from xportdnn.folder import Picture
from xportdnn.journal import Journal
from xportdnn.layers import Arrays
from xportdnn.network import Net, runnable
from xportdnn.searching import calibration, ladder, mixed
from xportdnn.searching.bench import Bench, bench
from xportdnn.searching.calibration import Given
from xportdnn.searching.conversions import by_index, converting, in_order
from xportdnn.searching.ladder import Joint, Ladder
from xportdnn.searching.lengths import (
    DYNAMIC_FIXED_POINT,
    MINIFLOAT,
    POWER_OF_2,
    POWER_OF_2_BITS,
    Lengths,
    lengths,
    quantized,
)
from xportdnn.searching.metric import Judge, Metric, Score
from xportdnn.searching.networks import simulation
from xportdnn.searching.options import SearchOptions
from xportdnn.searching.result import Climbed, Judged, Mixed
from xportdnn.searching.share import Job
from xportdnn.searching.widths import RUNGS, Part, Widths, weights_part
from xportdnn.simulation import Simulation, prepare
from xportdnn.workers import default_workers


def search(options: SearchOptions, journal: Journal | None = None) -> Climbed | Mixed:
    """Find the smallest widths with which a network still does what it should.

    Raises:
        InputError: something the user gave cannot be used (see `errors`).
        UsageError: a metric that these pictures or this network do not have.
    """
    journal = journal or Journal()
    ground = subject(_as_evaluation(options), journal)
    _warn_of_formats(ground.opened.net, journal)
    metric = _metric(options, ground)
    if metric is Metric.AGREEMENT and ground.guessed is not None and not (options.metric or options.score_blob):
        journal.info(f"{ground.guessed}; if it is something else, such as coordinates, give --metric sqnr")
    layers = runnable(ground.opened.net, ground.opened.inputs)
    weights = execute.load(layers, ground.opened.weights)
    calibrate.check_weights(ground.opened.net, layers, weights)
    found = (_mixed if options.mixed else _climbed)(options, ground, weights, metric, journal)
    if not found.within:
        journal.warn(f"the network found misses the margin: {_missed(found)}")
    return found


def climb(found: Bench, formats: Lengths, judge: Judge) -> tuple[tuple[Ladder, ...], tuple[Joint, ...]]:
    """The ladders of a trimming mode, and what came of them."""
    parts = [part for part in Part if part is Part.ACTIVATIONS or part in map(weights_part, formats.layers)]
    if formats.mode == DYNAMIC_FIXED_POINT:
        ladders = tuple(ladder.descend((part,), RUNGS, found.attempt, judge) for part in parts)
        return ladders, ladder.back_off(ladder.joined(ladders), parts, found.attempt, judge)
    if formats.mode == MINIFLOAT:
        rungs = [bits for bits in RUNGS if formats.holds(bits)]
        whole = ladder.descend(tuple(Part), rungs, found.attempt, judge)
        return (whole,), ladder.back_off(ladder.joined([whole]), (), found.attempt, judge)
    of_weights = (Part.CONV, Part.FC)
    only = ladder.descend(of_weights, (POWER_OF_2_BITS,), found.attempt, judge)
    return (only,), ladder.back_off(Widths().at(of_weights, POWER_OF_2_BITS), (), found.attempt, judge)


def _climbed(
    options: SearchOptions, ground: Subject, weights: Mapping[int, Arrays], metric: Metric, journal: Journal
) -> Climbed:
    opened, workers = ground.opened, options.workers or default_workers()
    if not quantized(opened):
        raise InputError(
            f"{opened.net.source.name}: no Convolution, Deconvolution or InnerProduct layer runs; there is nothing to "
            "search widths for"
        )
    chosen = calibration.calibration_set(options, ground, journal)
    with journal.progress("calibrating", len(chosen)) as tick:
        formats = lengths(opened, weights, chosen, options.trimming_mode, options.formats, tick, workers)
    if options.trimming_mode != POWER_OF_2:
        for bits in RUNGS:  # so that the workers need not find them all again
            formats.blocks(Widths(bits, bits, bits))

    def build(widths: Widths) -> Simulation:
        return simulation(opened, weights, formats, widths)

    expected = 2 + len(Part) * len(RUNGS)
    with (
        journal.progress("searching", len(ground.fed) * expected) as tick,
        bench(_job(ground, weights, build), workers, tick) as found,
    ):
        judge = _judge(options, metric, found)
        ladders, steps = climb(found, formats, judge)
    judged = _judged(options, ground, judge, found, chosen.choice.pictures, journal)
    return Climbed(**vars(judged), ladders=ladders, steps=steps, formats=formats.blocks(steps[-1].widths))


def _mixed(
    options: SearchOptions, ground: Subject, weights: Mapping[int, Arrays], metric: Metric, journal: Journal
) -> Mixed:
    with calibration.of_conversion(options, ground, journal) as given:
        return _converted(options, ground, weights, metric, given, journal)


def _converted(
    options: SearchOptions,
    ground: Subject,
    weights: Mapping[int, Arrays],
    metric: Metric,
    given: Given,
    journal: Journal,
) -> Mixed:
    opened, workers = ground.opened, options.workers or default_workers()
    converted = converting(options, opened.net, given.options)
    by_width = {bits: by_index(converted(bits, bits, frozenset())) for bits in (mixed.NARROW, mixed.WIDE)}
    if all(opened.net.layers[index].is_input for index in by_width[mixed.WIDE]):
        raise InputError(
            f"{opened.net.source.name}: no layer gets a block in --quant_type {options.quant_type.value}; there is "
            "nothing to search widths for"
        )
    sizes = {
        index: int(weights[index][0].size)
        for index, block in by_width[mixed.WIDE].items()
        if block.bw_params is not None and weights.get(index)
    }

    def build(blocks: mixed.Blocks) -> Simulation:
        return prepare(opened.net, weights, dict(blocks), Arithmetic.FAKE, opened.inputs)

    with (
        journal.progress("searching", len(ground.fed) * (5 + 2 * len(sizes))) as tick,
        bench(_job(ground, weights, build), workers, tick) as found,
    ):

        def attempt(activations: int, narrow: frozenset[int]) -> Score:
            return found.attempt(in_order(converted(activations, mixed.WIDE, narrow)))

        judge = _judge(options, metric, found)
        mix = mixed.choose(by_width, sizes, found.attempt, judge)
        first = attempt(mix.activations, mix.narrow)
        steps = [mixed.Step(mix.activations, mix.narrow, first, judge.within(first))]
        if not steps[0].within:
            if mix.narrow and not mix.tried:
                mix = mix._replace(tried=mixed.tried(by_width, sizes, mix.activations, found.attempt))
            steps += mixed.widened(mix, attempt, judge)
    last = steps[-1]
    conversion = converted(last.activations, mixed.WIDE, last.narrow)
    decided = conversion.evidence or conversion.formats
    pictures = given.copied or (decided.pictures.choice.pictures if decided is not None else ())
    judged = _judged(options, ground, judge, found, pictures, journal)
    return Mixed(**vars(judged), mix=mix, steps=tuple(steps), conversion=conversion, copied=bool(given.copied))


def _as_evaluation(options: SearchOptions) -> EvaluationOptions:
    return EvaluationOptions(
        options.deploy_model,
        options.weights,
        options.images,
        options.labels,
        options.images_size,
        options.score_blob,
        workers=options.workers,
        **options.preprocessing,
    )


def _metric(options: SearchOptions, ground: Subject) -> Metric:
    """The one that was asked for, or the best that these pictures have.

    Raises:
        UsageError: they do not have it.
    """
    labelled, scores = ground.tests.labelled, ground.scores
    wanted = options.metric
    if wanted is None:
        best = Metric.SQNR if scores is None else Metric.TOP1 if labelled else Metric.AGREEMENT
        if problem := best.problem(options.error_margin):
            raise UsageError(problem)
        return best
    if wanted is not Metric.SQNR and scores is None:
        raise UsageError(
            f"--metric {wanted.value}: {ground.opened.net.source.name} has no output with one score per class; give "
            "--metric sqnr"
        )
    if wanted in (Metric.TOP1, Metric.TOP5) and not labelled:
        raise UsageError(f"--metric {wanted.value} needs --labels, or a folder per class; without give agreement")
    if wanted is Metric.TOP5 and scores is not None and (count := classes(ground.opened.shapes[scores])) <= 5:
        raise UsageError(f"--metric top5 says nothing of {count} classes; give top1")
    return wanted


def _warn_of_formats(net: Net, journal: Journal) -> None:
    removed, _ = cleared(net)
    if removed or any(layer.type != plain(layer) for layer in net.layers):
        journal.warn(
            f"{net.source.name}: is quantized already; the formats in it are used neither for the float network nor in "
            "the search"
        )


def _job(ground: Subject, weights: Mapping[int, Arrays], build: Callable[[Any], Simulation]) -> Job:
    return Job(
        ground.opened,
        weights,
        ground.fed,
        [sample.label for sample in ground.tests.samples],
        ground.outputs,
        ground.scores,
        ground.probabilities,
        build,
    )


def _judge(options: SearchOptions, metric: Metric, found: Bench) -> Judge:
    return Judge(metric, metric.margin if options.error_margin is None else options.error_margin, found.baseline)


def _judged(
    options: SearchOptions, ground: Subject, judge: Judge, found: Bench, pictures: Sequence[Picture], journal: Journal
) -> Judged:
    skipped = tuple((ground.tests.samples[index].name, reason) for index, reason in found.learnt.skipped)
    for name, reason in skipped:
        journal.warn(f"{name}: skipped, {reason}")
    calibrated = tuple(picture.name for picture in pictures)
    return Judged(options, ground.opened, judge, len(found.learnt.pictures), skipped, found.attempts, calibrated)


def _missed(found: Climbed | Mixed) -> str:
    judge, value = found.judge, found.score.value(found.judge.metric)
    if judge.metric is Metric.SQNR:
        return f"the output SQNR is {value:.1f} dB, and {judge.margin:g} are the least"
    lost = judge.baseline.value(judge.metric) - value
    return (
        f"{judge.metric.words} is {value:.2f} %, {lost:.2f} points less than in float, and {judge.margin:g} may be lost"
    )
