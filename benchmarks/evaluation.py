"""What an evaluation costs: the whole of it against the float forward of the same pictures, one worker each.

Both arms are one process that finds and decodes the pictures, opens network and weights, plans and runs; only starting
Python is left out. The float arm runs what the evaluation runs of the float network: every layer's tops, by the same
kernels. The evaluation runs the quantized network beside it, trims every value, and compares every layer's tops.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import Effort, Row
from benchmarks.measure import Arm, Work, interleaved
from benchmarks.weights import stored
from xportdnn import convert, execute, pictures
from xportdnn.engine.choice import Exact
from xportdnn.evaluation import labels
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.pictures import Pictures
from xportdnn.evaluation.run import as_conversion, evaluate
from xportdnn.journal import Journal
from xportdnn.lazy import np
from xportdnn.network import runnable
from xportdnn.opening import complete, open_net, open_weights
from xportdnn.simulation.planned import forward

_SHARED = Path(__file__).resolve().parents[2] / "shared"
_TRAINED = "tinysqueeze_imagenet"
_TITLE = "evaluate / float forward"
_TIMES = 13  # the pictures: all of a hundred for 8
_CALIBRATION = 16
_PICTURE = (375, 500, 3)  # as most photographs of ImageNet


class Subject(NamedTuple):
    """What to evaluate."""

    name: str
    deploy: Path
    weights: Path
    images: Path


def evaluation(name: str, effort: Effort) -> Iterator[Row]:
    """A network with random weights on drawn pictures, and a trained one on photographs where those are at hand."""
    with tempfile.TemporaryDirectory() as folder:
        files, drawn = stored(name), Path(folder) / "drawn"
        _draw(drawn, _TIMES * effort.images)
        yield _row(Subject(name, files.prototxt, files.caffemodel, drawn), Path(folder), effort)
        model, photographs = _SHARED / "models" / _TRAINED, _SHARED / "images" / "imagenet_samples"
        if model.is_dir() and photographs.is_dir():
            trained = Subject(_TRAINED, model / "deploy.prototxt", model / f"{_TRAINED}.caffemodel", photographs)
            yield _row(trained, Path(folder), effort)
        else:
            yield Row(_TITLE, _TRAINED, "left out", f"no {model.parent.parent.name}/models/{_TRAINED} with photographs")


def _row(subject: Subject, folder: Path, effort: Effort) -> Row:
    options = _converted(subject, folder / f"{subject.name}.prototxt", _TIMES * effort.images)
    contest = [Arm("evaluate", _checked(partial(evaluated, options))), Arm("forward", _checked(partial(run, options)))]
    measured = interleaved(contest, effort.rounds, effort.patience)
    count = len(labels.find(subject.images, None, options.images_size).samples)
    whole, single = (f"{measured.seconds[arm.name] / count * 1e3:.1f}" for arm in contest)
    medians = f"{whole} / {single} ms per image, {count} images"
    return Row(_TITLE, subject.name, f"{measured.ratio('evaluate', 'forward'):.2f}", medians, measured.disturbed)


def _converted(subject: Subject, target: Path, count: int) -> EvaluationOptions:
    """The network at 8 bits with thresholds by `mse`, and how to evaluate it on so many pictures."""
    done = convert(
        subject.deploy,
        subject.weights,
        calibration_directory=subject.images,
        calibration_size=min(_CALIBRATION, count),
        threshold_method="mse",
        bitwidths=(8, 8, 8),
        workers=1,
    )
    target.write_text(done.text, encoding="utf-8")
    return EvaluationOptions(str(target), str(subject.weights), str(subject.images), images_size=count, workers=1)


def _checked(work: Callable[[], int]) -> Callable[[int, int], Work]:
    """An arm's `prepare`: runs it once, so that it is warm, and to see that it computes something."""

    def prepare(index: int, workers: int) -> Work:
        if not work():
            raise ValueError("no picture was computed")
        return work

    return prepare


def evaluated(options: EvaluationOptions) -> int:
    """Evaluate; how many pictures."""
    return len(evaluate(options).used)


def run(options: EvaluationOptions) -> int:
    """The float network of an evaluation alone; how many pictures."""
    journal = Journal()
    net = open_net(options.deploy_model, journal)
    target, shape = pictures.input_shape(net, options.dims, journal)
    steps = pictures.preprocessing(as_conversion(options), shape[1:], journal)
    samples = labels.find(Path(options.images), None, options.images_size).samples
    net, model = open_weights(net, options.weights, journal)
    opened = complete(net, model, {target: shape}, journal, strict=False)
    weights = execute.load(runnable(net, opened.inputs), opened.weights)
    program = forward(net, weights, opened.shapes, tuple(opened.inputs), Exact())
    for feeds in Pictures(samples, steps, target, shape[1:]):
        for _ in program.layers(feeds):
            pass
    return len(samples)


def _draw(folder: Path, count: int) -> None:
    """Pictures of smooth noise, which take a decoder about as long as photographs do."""
    from PIL import Image

    folder.mkdir()
    rng = np.random.default_rng(count)
    height, width, channels = _PICTURE
    for index in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (height // 25, width // 25, channels), np.uint8))
        coarse.resize((width, height)).save(folder / f"{index:05}.jpg", quality=90)
