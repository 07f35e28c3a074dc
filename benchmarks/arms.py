"""The same network computed by xportdnn, onnxruntime and OpenCV, each on one image with one thread.

Every arm is a function from an image to the wanted values, and whatever is done with the values is the same code for
all of them. Before it is measured, each is compared with the reference rule, so that it is the same work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from benchmarks.measure import Work
from benchmarks.weights import Stored, noise, stored
from xportdnn import calibrate, execute, plan, scales, statistics
from xportdnn.choices import Matrix, ScaleClasses
from xportdnn.engine import Program
from xportdnn.journal import Journal
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np
from xportdnn.network import Net, Value, runnable
from xportdnn.opening import complete, open_net, open_weights
from xportdnn.statistics import Statistics

Values: TypeAlias = Mapping[Value, Array]
Forward: TypeAlias = Callable[[Array], Iterable[tuple[Value, Array]]]
"""An image (1, channels, height, width) to the wanted values, each valid until the next one is asked for."""
Use: TypeAlias = Callable[[Forward, Array], Work]
"""What a worker does in a round with a forward and its share of the images."""

OURS_TOLERANCE = 1e-5  # of a blob's largest magnitude
PEERS_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Case:
    """A network, what to feed it, and what the reference rule says of the first image.

    Attributes:
        weights: arrays by layer index.
        images: (N, 1, channels, height, width).
        observed: the values that a streaming calibration with `--scale_classes board` keeps statistics of.
        outputs: the values that nobody reads.
    """

    name: str
    files: Stored
    net: Net
    shapes: Mapping[Value, Shape]
    weights: Mapping[int, Arrays] = field(repr=False)
    images: Array = field(repr=False)
    observed: Values = field(repr=False)
    outputs: Values = field(repr=False)

    @property
    def source(self) -> Value:
        return self.net.inputs[0]


def case(name: str, images: int) -> Case:
    """One of `nets.NETS` and that many random images."""
    files, journal = stored(name), Journal()
    net, caffemodel = open_weights(open_net(files.prototxt, journal), files.caffemodel, journal)
    opened = complete(net, caffemodel, net.declared, journal, strict=True)
    weights = execute.load(runnable(net, opened.inputs), opened.weights)
    fed = noise(np.random.default_rng(images), (images, *net.declared[net.inputs[0]]))
    classes = scales.classes(net.layers, ScaleClasses.BOARD)
    counted = calibrate.counted(net, classes, plan.needed(net, Matrix.GUIDE, classes))
    observed: dict[Value, Array] = {}
    outputs: dict[Value, Array] = {}
    for step in execute.run(net, weights, {net.inputs[0]: fed[0]}):
        tops = dict(zip(step.layer.tops, step.tops, strict=True))
        observed |= {value: top for value, top in tops.items() if value in counted}
        outputs |= {value: top for value, top in tops.items() if value not in net.readers}
    return Case(name, files, net, opened.shapes, weights, fed, observed, outputs)


def ours(case: Case, wanted: Values) -> Forward:
    """The forward that xportdnn calibrates with."""
    program = Program(case.net, case.weights, case.shapes, case.net.inputs, wanted)
    return lambda image: program.run({case.source: image})


def onnxruntime(case: Case, wanted: Values, model: bytes) -> Forward:
    """onnxruntime; binding its outputs to arrays of ours was no faster than letting it allocate them.

    Args:
        model: the graph whose outputs are the wanted values, but for the input.
    """
    import onnxruntime as ort

    from benchmarks.onnx_graphs import name_of

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    computed = {value: name_of(value) for value in wanted if value != case.source}

    def forward(image: Array) -> Iterator[tuple[Value, Array]]:
        if case.source in wanted:
            yield case.source, image
        yield from zip(computed, session.run([*computed.values()], {name_of(case.source): image}), strict=True)

    return forward


def opencv(case: Case, wanted: Values) -> Forward:
    """OpenCV's DNN module with its own Caffe importer; it is asked for the network's one output only."""
    import cv2

    (output,) = wanted
    cv2.setNumThreads(1)
    net = cv2.dnn.readNetFromCaffe(str(case.files.prototxt), str(case.files.caffemodel))

    def forward(image: Array) -> Iterator[tuple[Value, Array]]:
        net.setInput(image)
        yield output, np.asarray(net.forward(), np.float32)

    return forward


def job(forward: Forward, images: Array) -> Work:
    """Range and full histogram of every wanted value over all images."""

    def work() -> dict[Value, Statistics]:
        found: dict[Value, Statistics] = {}
        for image in images:
            for value, top in forward(image):
                part = statistics.of(top)
                found[value] = statistics.merge(found[value], part) if value in found else part
        return found

    return work


def forward_only(forward: Forward, images: Array) -> Work:
    """The values are computed and dropped."""

    def work() -> None:
        for image in images:
            for _ in forward(image):
                pass

    return work


def prepared(
    build: Callable[[], Forward], tolerance: float, *, use: Use, case: Case, wanted: Values
) -> Callable[[int, int], Work]:
    """The `prepare` of an arm: every worker builds the forward, checks it and takes its share of the images."""

    def prepare(index: int, workers: int) -> Work:
        forward = build()
        check(forward(case.images[0]), wanted, tolerance)
        return use(forward, case.images[index::workers])

    return prepare


def check(found: Iterable[tuple[Value, Array]], wanted: Values, tolerance: float) -> None:
    """Compare with the reference rule.

    Raises:
        ValueError: a value is missing, or differs by more than `tolerance` times its largest magnitude.
    """
    missing = set(wanted)
    for value, array in found:
        reference = wanted[value]
        error = float(np.abs(array - reference).max() / np.abs(reference).max())
        if not error <= tolerance:
            raise ValueError(f"'{value.blob}' of layer {value.writer} differs from the reference rule by {error:.1e}")
        missing.remove(value)
    if missing:
        raise ValueError(f"not computed: {', '.join(value.blob for value in missing)}")
