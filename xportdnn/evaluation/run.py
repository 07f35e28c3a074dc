"""An evaluation, from options to measured values: the whole of it as functions that can be read aloud."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from xportdnn import execute, pictures, precision
from xportdnn.caffemodel import Caffemodel
from xportdnn.codefile import CodedModel
from xportdnn.dialects.formats import formats
from xportdnn.engine.choice import Exact
from xportdnn.errors import ImageError, InputError, UsageError
from xportdnn.evaluation import labels, sensitivity
from xportdnn.evaluation.labels import TestSet
from xportdnn.evaluation.lockstep import ByEngine
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.outputs import classes, outputs, scores_of
from xportdnn.evaluation.pictures import Pictures, introduce
from xportdnn.evaluation.result import Evaluation, result
from xportdnn.evaluation.sensitivity import Effect, Part
from xportdnn.evaluation.share import Bench, Probed, Seen, Share, merged
from xportdnn.journal import Journal
from xportdnn.layers import Arrays
from xportdnn.network import Net, Value, runnable
from xportdnn.opening import Opened, complete, open_net, open_weights
from xportdnn.options import Options, preprocessing
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation import Simulation, prepare
from xportdnn.simulation.grid import check_codes
from xportdnn.simulation.planned import forward, planned
from xportdnn.workers import crew, default_workers


def evaluate(options: EvaluationOptions, journal: Journal | None = None, histograms: bool = False) -> Evaluation:
    """Run the float network and the quantized one over all pictures; nothing is written.

    Args:
        histograms: collect those of every layer, for the page.

    Raises:
        InputError: something the user gave cannot be used (see `errors`).
        UsageError: labels for a network that is no classifier, or options that do not fit its formats.
    """
    journal = journal or Journal()
    opened, model, tests, fed, found, scores, is_softmax = ground = subject(options, journal)
    net = opened.net
    if ground.guessed is not None and options.score_blob is None:
        journal.info(f"{ground.guessed}; if it is something else, agreement and divergence mean nothing")
    blocks = _blocks(net, options, journal)
    parts = tuple(sensitivity.parts(net, blocks)) if options.one_at_a_time else ()
    layers = runnable(net, opened.inputs)
    check_codes(net, layers, model, options.arithmetic)
    weights = execute.load(layers, opened.weights)
    simulations = _prepared(options, opened, weights, blocks, parts, journal)
    bench = Bench(
        net=net,
        weights=weights,
        pictures=fed,
        labels=[sample.label for sample in tests.samples],
        quantized=[simulation.run for simulation in simulations],
        outputs=found,
        scores=scores,
        probabilities=is_softmax,
        histograms=histograms,
        engine=_by_engine(opened, weights, simulations),
    )
    seen, effects = _measured(bench, parts, options.workers or default_workers(), journal)
    if not seen.pictures:
        raise ImageError(f"none of the {len(tests.samples)} pictures can be decoded; is this the right folder?")
    evaluation = result(options, opened, blocks, tests, bench, seen, effects)
    for name, reason in evaluation.skipped:
        journal.warn(f"{name}: skipped, {reason}")
    for alarm in evaluation.alarms:
        journal.warn(alarm)
    return evaluation


class Subject(NamedTuple):
    """What is evaluated, opened and ready, and on what.

    Attributes:
        fed: the pictures of `tests` as network inputs.
        outputs: the network's answers.
        scores: the one of them that holds a score per class.
        probabilities: whether it is the top of a Softmax.
    """

    opened: Opened
    model: Caffemodel
    tests: TestSet
    fed: Pictures
    outputs: tuple[Value, ...]
    scores: Value | None
    probabilities: bool

    @property
    def guessed(self) -> str | None:
        """What the scores are taken for where nothing says that they are some."""
        if self.scores is None or self.probabilities or self.tests.labelled:
            return None
        return f"'{self.scores.blob}' is read as the scores of {classes(self.opened.shapes[self.scores])} classes"


def subject(options: EvaluationOptions, journal: Journal) -> Subject:
    """The network, its weights, the pictures and their labels.

    Raises:
        InputError: something the user gave cannot be used (see `errors`).
        UsageError: labels for a network that is no classifier.
    """
    net = open_net(options.deploy_model, journal)
    target, shape = pictures.input_shape(net, options.dims, journal)
    steps = pictures.preprocessing(as_conversion(options), shape[1:], journal)
    tests = labels.find(Path(options.images), Path(options.labels) if options.labels else None, options.images_size)
    for note in tests.notes:
        journal.warn(note)
    fed = Pictures(tests.samples, steps, target, shape[1:])
    introduce(fed, journal)
    net, model = open_weights(net, options.weights, journal)
    if isinstance(model, CodedModel):
        journal.warn(
            f"{model.path}: holds quantized weights, and the float network computes with them, too; what it costs to "
            "round them is seen with the caffemodel only"
        )
    opened = complete(net, model, {target: shape}, journal, strict=False)
    found = outputs(net, opened.shapes)
    if not found:
        raise InputError(
            f"{net.source.name}: nothing can be computed from '{target.blob}'; there is no output to judge"
        )
    scores = scores_of(net, found, opened.shapes, options.score_blob)
    tests = _checked(tests, opened, found, scores, options, journal)
    is_softmax = scores is not None and net.layers[scores.writer].type == "Softmax"
    return Subject(opened, model, tests, fed, found, scores, is_softmax)


def as_conversion(options: EvaluationOptions) -> Options:
    """The preprocessing as the conversion takes it."""
    return Options(
        options.deploy_model,
        options.weights or "",
        calibration_directory=options.images,
        **preprocessing(options),
    )


def _blocks(net: Net, options: EvaluationOptions, journal: Journal) -> Mapping[int, Precision | Ristretto]:
    """The formats to simulate.

    Raises:
        InputError: there are none.
    """
    only, blocks = options.only, formats(net, options.plan, options.weights, journal)
    if only is None:
        return blocks
    left = precision.only(blocks, only)
    if not left:
        raise InputError(
            f"{net.source.name}: no layer has formats for {only.value}; --only {only.value} leaves nothing"
        )
    return left


def _checked(
    tests: TestSet,
    opened: Opened,
    found: tuple[Value, ...],
    scores: Value | None,
    options: EvaluationOptions,
    journal: Journal,
) -> TestSet:
    """The pictures with labels that the network's output can be compared with."""
    if not tests.labelled:
        return tests
    if scores is not None:
        others = [value.blob for value in found if value != scores]
        labels.check_range(tests.samples, classes(opened.shapes[scores]), scores.blob, others)
        return tests
    why = f"{opened.net.source.name}: no output holds one score per class"
    if options.labels is not None:
        names = ", ".join(value.blob for value in found)
        raise UsageError(
            f"{why}, so labels mean nothing to it; leave --labels out to compare the outputs themselves, or name the "
            f"output with the scores by --score_blob, of {names}"
        )
    journal.warn(f"{why}; the folders of {options.images} are not taken for classes")
    return replace(tests, samples=tuple(sample._replace(label=None) for sample in tests.samples))


def _prepared(
    options: EvaluationOptions,
    opened: Opened,
    weights: Mapping[int, Arrays],
    blocks: Mapping[int, Precision | Ristretto],
    parts: Iterable[Part],
    journal: Journal,
) -> list[Simulation]:
    """The whole quantized network, and those of which only a part is quantized."""
    networks = [blocks, *(part.blocks for part in parts)]
    ready = [prepare(opened.net, weights, each, options.arithmetic, opened.inputs) for each in networks]
    for warning in ready[0].warnings:
        journal.warn(warning)
    return ready


def _by_engine(opened: Opened, weights: Mapping[int, Arrays], simulations: Iterable[Simulation]) -> ByEngine | None:
    """All networks by the engine, where it can run every one of them."""
    inputs, kernels = tuple(opened.inputs), Exact()
    found = [planned(simulation, opened.shapes, inputs, kernels) for simulation in simulations]
    quantized = [each for each in found if each is not None]
    if len(quantized) < len(found):
        return None
    return ByEngine(forward(opened.net, weights, opened.shapes, inputs, kernels), quantized)


def _measured(bench: Bench, parts: Sequence[Part], workers: int, journal: Journal) -> tuple[Seen, tuple[Effect, ...]]:
    """Both passes over the pictures: all layers of the whole network, then the outputs of its parts."""
    count = len(bench.pictures)
    judged = [at for at, value in enumerate(bench.outputs) if bench.scores in (None, value)]

    def share(indices: Sequence[int]) -> Share:
        return Share(bench, indices)

    with (
        journal.progress("evaluating", count * (1 + len(parts))) as tick,
        crew(share, count, workers, tick) as shares,
    ):
        seen = reduce(merged, shares.call(Share.measure))
        probed: dict[int, list[Probed]] = {}
        for part in shares.call(Share.probe, 1) if parts else ():
            probed |= part
    return seen, sensitivity.effects(parts, probed, judged)
