"""The figures: each is a comparison, measured and put into words as rows of one table."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypeAlias

from benchmarks import arms, processes
from benchmarks.arms import Case, Forward, Use, Values
from benchmarks.measure import Arm, Work, interleaved
from benchmarks.weights import stored
from xportdnn import caffemodel
from xportdnn.layers import Shape
from xportdnn.lazy import np

_OURS = "xportdnn"
_WORKERS = 2
_BRIEF = 3  # times the rounds, for work of a few milliseconds
_LOOKS = 6  # times the rounds: runs of few pictures whose highest peak counts
_MANY = 125  # times the pictures: 1000 for 8, to see whether memory grows with them
_PICTURE = (64, 64, 3)


class Row(NamedTuple):
    """One line of the table: what was compared, on which network, the outcome, and the medians behind it."""

    figure: str
    net: str
    result: str
    medians: str
    unquiet: str = ""


class Effort(NamedTuple):
    """How much is measured.

    Attributes:
        images: how many each arm computes in a round.
        patience: seconds to wait for a quiet machine before each turn.
    """

    rounds: int
    images: int
    patience: float


def job(name: str, effort: Effort) -> Iterator[Row]:
    """Forward and full histograms of all blobs that calibration observes."""
    case = arms.case(name, effort.images)
    yield from _against("job", case, case.observed, arms.job, ["onnxruntime"], effort)


def forward(name: str, effort: Effort) -> Iterator[Row]:
    """The forward alone, to the network's output."""
    case = arms.case(name, effort.images)
    yield from _against("forward", case, case.outputs, arms.forward_only, ["OpenCV", "onnxruntime"], effort)


def _against(figure: str, case: Case, wanted: Values, use: Use, peers: Sequence[str], effort: Effort) -> Iterator[Row]:
    absent = {peer: [package for package in PEERS[peer].packages if find_spec(package) is None] for peer in peers}
    arm = partial(arms.prepared, use=use, case=case, wanted=wanted)
    contest = [Arm(_OURS, arm(partial(arms.ours, case, wanted), arms.OURS_TOLERANCE), _WORKERS)]
    for peer in peers:
        if not absent[peer]:
            contest.append(Arm(peer, arm(PEERS[peer].build(case, wanted), arms.PEERS_TOLERANCE), _WORKERS))
    measured = interleaved(contest, effort.rounds, effort.patience)
    each = {name: f"{seconds / effort.images * 1e3:.2f}" for name, seconds in measured.seconds.items()}
    for peer in peers:
        title = f"{figure} / {peer}"
        if absent[peer]:
            yield Row(title, case.name, "left out", f"{' and '.join(absent[peer])} not installed")
        else:
            medians = f"{each[_OURS]} / {each[peer]} ms per image"
            yield Row(title, case.name, f"{measured.ratio(_OURS, peer):.2f}", medians, measured.disturbed)


def _onnxruntime(case: Case, wanted: Values) -> Callable[[], Forward]:
    from benchmarks.onnx_graphs import model

    computed = [value for value in wanted if value != case.source]
    return partial(
        arms.onnxruntime, case, wanted, model(case.net, case.shapes, case.weights, computed).SerializeToString()
    )


def _opencv(case: Case, wanted: Values) -> Callable[[], Forward]:
    return partial(arms.opencv, case, wanted)


class Peer(NamedTuple):
    """Another program that can run the networks.

    Attributes:
        packages: what must be installed.
        build: makes, before the workers are forked, what builds the forward in each of them.
    """

    packages: tuple[str, ...]
    build: Callable[[Case, Values], Callable[[], Forward]]


PEERS = {"OpenCV": Peer(("cv2",), _opencv), "onnxruntime": Peer(("onnx", "onnxruntime"), _onnxruntime)}


def opening(name: str, effort: Effort) -> Iterator[Row]:
    """Opening a caffemodel and naming all its blobs, against google.protobuf."""
    from sample_models.caffe_writer import net_parameter

    path, message = stored(name).caffemodel, net_parameter()

    def walked() -> Named:
        return [(layer.name, [blob.shape for blob in layer.blobs]) for layer in caffemodel.read(path).layers]

    def parsed() -> Named:
        layers = message.FromString(path.read_bytes()).layer
        return [(layer.name, [tuple(blob.shape.dim) for blob in layer.blobs]) for layer in layers]

    expected = walked()

    def prepare(work: Callable[[], Named]) -> Callable[[int, int], Work]:
        def prepared(index: int, workers: int) -> Work:
            if work() != expected:
                raise ValueError("google.protobuf finds other blobs")
            return work

        return prepared

    contest = [Arm(_OURS, prepare(walked)), Arm("protobuf", prepare(parsed))]
    measured = interleaved(contest, _BRIEF * effort.rounds, effort.patience)
    ours, theirs = (1e3 * measured.seconds[arm.name] for arm in contest)
    size = path.stat().st_size / 2**20
    title = f"opening {size:.0f} MB and naming all blobs"
    yield Row(title, name, f"{ours:.1f} ms", f"google.protobuf {theirs:.0f} ms", measured.disturbed)


Named: TypeAlias = list[tuple[str, list[Shape]]]


def startup(name: str, effort: Effort) -> Iterator[Row]:
    """Whole processes, in units of a Python that does nothing."""
    with tempfile.TemporaryDirectory() as folder:
        bare = "python -c pass"
        commands = {
            bare: [sys.executable, "-c", "pass"],
            "xportdnn --help": [*_xportdnn(), "--help"],
            "DynamicFixed": _conversion(name, Path(folder), "--quant_type=DynamicFixed"),
        }
        contest = [Arm(title, _repeated(command)) for title, command in commands.items()]
        measured = interleaved(contest, _BRIEF * effort.rounds, effort.patience)
    for title in list(commands)[1:]:
        medians = f"{1e3 * measured.seconds[title]:.0f} / {1e3 * measured.seconds[bare]:.1f} ms"
        net = name if title == "DynamicFixed" else ""
        yield Row(f"{title} / {bare}", net, f"{measured.ratio(title, bare):.1f}", medians, measured.disturbed)


def _repeated(command: Sequence[str]) -> Callable[[int, int], Work]:
    def prepare(index: int, workers: int) -> Work:
        processes.run(command)
        return partial(processes.run, command)

    return prepare


def memory(large: str, small: str, effort: Effort) -> Iterator[Row]:
    """Peak memory of whole calibrations: of a large network, and of many pictures against few on a small one."""
    few, many = effort.images, _MANY * effort.images
    with tempfile.TemporaryDirectory() as folder:
        _draw(Path(folder), many)
        peak = _peak(large, Path(folder), few)
        yield Row(f"peak memory, {few} pictures", large, f"{peak:.0f} MB", "beside mapped files")
        # a run of few pictures is over before the sampling has met its short peaks; the highest of many has
        peaks = (
            _peak(small, Path(folder), many),
            max(_peak(small, Path(folder), few) for _ in range(_LOOKS * effort.rounds)),
        )
        medians = f"{peaks[0]:.1f} / {peaks[1]:.1f} MB"
        yield Row(f"peak memory, {many} / {few} pictures", small, f"{peaks[0] / peaks[1]:.3f}", medians)


def _draw(folder: Path, count: int) -> None:
    from PIL import Image

    rng = np.random.default_rng(count)
    for index in range(count):
        Image.fromarray(rng.integers(0, 256, _PICTURE, np.uint8)).save(folder / f"{index:05}.png")


def _peak(name: str, pictures: Path, count: int) -> float:
    """MB of a streaming calibration."""
    options = {"threshold_method": "mse", "calibration_directory": pictures, "calibration_size": count}
    arguments = (f"--{option}={value}" for option, value in options.items())
    return processes.peak_memory(_conversion(name, pictures, *arguments, f"--workers={_WORKERS}")) / 2**20


def _conversion(name: str, folder: Path, *options: str) -> list[str]:
    files = stored(name)
    target = folder / "quantized.prototxt"
    paths = {"deploy_model": files.prototxt, "weights": files.caffemodel, "quantized_deploy_model": target}
    return [*_xportdnn(), "--quiet", *(f"--{option}={path}" for option, path in paths.items()), *options]


def _xportdnn() -> list[str]:
    """The command as it is installed beside this Python, or the module where it is not."""
    script = shutil.which("xportdnn", path=sysconfig.get_path("scripts"))
    return [script] if script else [sys.executable, "-m", "xportdnn"]
