"""From options to a result; nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from xportdnn import calibrate, execute, pictures
from xportdnn.choices import Arithmetic, Mode, Triple
from xportdnn.conversion import Conversion, convert
from xportdnn.errors import ImageError, InputError, UsageError
from xportdnn.evaluation import labels
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.outputs import classes
from xportdnn.evaluation.run import Subject, subject
from xportdnn.evaluation.share import Feeds
from xportdnn.journal import Journal
from xportdnn.layers import Arrays
from xportdnn.network import runnable
from xportdnn.options import Options
from xportdnn.precision import Precision, of_fields
from xportdnn.searching import ladder, mixed
from xportdnn.searching.bench import Bench, bench
from xportdnn.searching.ladder import Joint, Ladder
from xportdnn.searching.lengths import DYNAMIC_FIXED_POINT, MINIFLOAT, POWER_OF_2_BITS, Lengths, lengths, quantized
from xportdnn.searching.metric import Judge, Metric
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
    metric = _metric(options, ground)
    layers = runnable(ground.opened.net, ground.opened.inputs)
    weights = execute.load(layers, ground.opened.weights)
    calibrate.check_weights(ground.opened.net, layers, weights)
    return (_mixed if options.mixed else _climbed)(options, ground, weights, metric, journal)


def climb(found: Bench, formats: Lengths, judge: Judge) -> tuple[tuple[Ladder, ...], tuple[Joint, ...]]:
    """The ladders of a trimming mode, and what came of them."""
    parts = [part for part in Part if part is Part.ACTIVATIONS or part in map(weights_part, formats.layers)]
    if formats.mode == DYNAMIC_FIXED_POINT:
        ladders = tuple(ladder.descend((part,), RUNGS, found.attempt, judge) for part in parts)
        return ladders, ladder.back_off(ladder.joined(ladders), parts, found.attempt, judge)
    if formats.mode == MINIFLOAT:
        rungs = [bits for bits in RUNGS if bits - 1 - formats.exp_bits > 0]
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
    calibration = _calibration(options, ground, journal)
    with journal.progress("calibrating", len(calibration)) as tick:
        formats = lengths(opened, weights, calibration, options.trimming_mode, options.formats, tick, workers)
    if options.trimming_mode == DYNAMIC_FIXED_POINT:
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
    judged = _judged(options, ground, judge, found, journal)
    _say(steps[-1].within, judge, journal)
    return Climbed(**vars(judged), ladders=ladders, steps=steps, formats=formats.blocks(steps[-1].widths))


def _mixed(
    options: SearchOptions, ground: Subject, weights: Mapping[int, Arrays], metric: Metric, journal: Journal
) -> Mixed:
    opened, workers = ground.opened, options.workers or default_workers()
    by_width = {bits: _blocks(_converted(options, ground, bits, bits, {})) for bits in (mixed.NARROW, mixed.WIDE)}
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
        judge = _judge(options, metric, found)
        mix = mixed.choose(by_width, sizes, found.attempt, judge)
        asked = mixed.overrides(opened.net, mix.narrow)
        conversion = _converted(options, ground, mix.activations, mixed.WIDE, asked)
        score = found.attempt(tuple(sorted(_blocks(conversion).items())))
    judged = _judged(options, ground, judge, found, journal)
    _say(judge.within(score), judge, journal)
    return Mixed(**vars(judged), mix=mix, overrides=asked, conversion=conversion, score=score)


def _converted(
    options: SearchOptions, ground: Subject, activations: int, params: int, asked: Mapping[str, Any]
) -> Conversion:
    """The conversion with these widths, as its command would do it."""
    fixed = options.quant_type is Mode.DYNAMIC_FIXED
    how: dict[str, Any] = {"fl_bitwidths": "auto", "fl_method": options.formats} if fixed else {"params_method": "mse"}
    with TemporaryDirectory() as folder:
        path = Path(folder, "overrides.json")
        path.write_text(json.dumps(asked), encoding="utf-8", errors="surrogateescape")
        given = Options(
            options.deploy_model,
            options.weights,
            quant_type=options.quant_type,
            bitwidths=Triple(activations, params, activations),
            overrides=str(path) if asked else None,
            workers=options.workers,
            **how,
            **_chosen(options, ground),
            **options.preprocessing,
        )
        return convert(given)


def _chosen(options: SearchOptions, ground: Subject) -> dict[str, Any]:
    """The calibration options; of the pictures that are judged by some that are spread over them."""
    chosen = options.calibration_seed is not None or options.calibration_indices is not None
    if options.calibration_directory is not None or chosen:
        return options.calibration
    spread = tuple(labels.spread(ground.tests.found, options.calibration_size))
    return options.calibration | {"calibration_indices": spread}


def _blocks(conversion: Conversion) -> dict[int, Precision]:
    return {block.layer.index: of_fields(block.fields) for block in conversion.blocks}


def _as_evaluation(options: SearchOptions) -> EvaluationOptions:
    return EvaluationOptions(
        options.deploy_model,
        options.weights,
        options.images,
        options.labels,
        options.images_size,
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
        return Metric.SQNR if scores is None else Metric.TOP1 if labelled else Metric.AGREEMENT
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


def _calibration(options: SearchOptions, ground: Subject, journal: Journal) -> Sequence[Feeds]:
    """The pictures that the formats are found from.

    Raises:
        ImageError: none can be read.
    """
    if options.calibration_directory is not None:
        given = Options(options.deploy_model, options.weights, **options.calibration, **options.preprocessing)
        return pictures.calibration_set(given, ground.opened.net, journal)[0]
    journal.info("no --calibration_directory: the formats are found from some of the pictures they are judged by")
    found: list[Feeds] = []
    for index in labels.spread(len(ground.fed), options.calibration_size):
        try:
            found.append(ground.fed[index])
        except ImageError:
            continue  # it is told where all pictures are read
    if not found:
        raise ImageError(f"{options.images}: no picture to find formats from; give --calibration_directory")
    return found


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


def _judged(options: SearchOptions, ground: Subject, judge: Judge, found: Bench, journal: Journal) -> Judged:
    skipped = tuple((ground.tests.samples[index].name, reason) for index, reason in found.learnt.skipped)
    for name, reason in skipped:
        journal.warn(f"{name}: skipped, {reason}")
    return Judged(options, ground.opened, judge, len(found.learnt.pictures), skipped, found.attempts)


def _say(within: bool, judge: Judge, journal: Journal) -> None:
    if not within:
        lost = "less than the least" if judge.metric is Metric.SQNR else "more lost than the margin of"
        journal.warn(f"{judge.metric.words}: {lost} {judge.margin:g} {'dB' if lost.startswith('less') else 'points'}")
