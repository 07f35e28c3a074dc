"""The benchmarks run, and measure what they say: never how fast anything is."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks import arms, figures, processes, weights
from benchmarks.figures import Effort, Row
from benchmarks.measure import Arm, Work, busy, interleaved
from benchmarks.nets import NETS
from xportdnn import caffemodel, prototxt
from xportdnn.build import build
from xportdnn.journal import Journal
from xportdnn.network import Value, infer_shapes
from xportdnn.opening import open_net

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc and fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
ROOT = Path(__file__).parents[1]
BRIEF = Effort(rounds=1, images=2, patience=0.0)

Rows = dict[str, Row]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The rows that `python -m benchmarks` prints for the tiny network, by figure."""
    if find_spec("grpc_tools") is None:
        pytest.skip("grpcio-tools, which compiles the caffemodel schema for google.protobuf, is not installed")
    folder = tmp_path_factory.mktemp("benchmarks")
    printed = folder / "table.md"
    arguments = ["-m", "benchmarks", "--nets", "tiny", "--rounds", "1", "--images", "2", "--patience", "0"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder), "PYTHONPATH": str(ROOT)}
    target = (os.POSIX_SPAWN_OPEN, 1, str(printed), os.O_WRONLY | os.O_CREAT, 0o600)
    pid = os.posix_spawn(sys.executable, [sys.executable, *arguments], environment, file_actions=[target])
    _, status = os.waitpid(pid, 0)
    assert status == 0
    lines = [line.strip("|").split("|") for line in printed.read_text().splitlines() if line.startswith("| ")]
    rows = [Row(*(cell.strip() for cell in cells)) for cells in lines[1:]]
    return {row.figure: row for row in rows}


RATIOS = (
    "job / onnxruntime",
    "forward / OpenCV",
    "forward / onnxruntime",
    "peak memory, 250 / 2 pictures",
    "xportdnn --help / python -c pass",
    "DynamicFixed / python -c pass",
    "evaluate / float forward",
)


def test_every_figure_is_printed(table: Rows) -> None:
    assert set(table) == {*RATIOS, "opening 0 MB and naming all blobs", "peak memory, 2 pictures"}


@pytest.mark.parametrize("figure", RATIOS)
def test_ratios(table: Rows, figure: str) -> None:
    if table[figure].result == "left out":
        pytest.skip(table[figure].medians)
    assert float(table[figure].result) > 0


@pytest.mark.parametrize("figure", [figures.job, figures.forward], ids=["job", "forward"])
def test_absent_peers_are_left_out(
    cache: Path, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, Effort], list[Row]]
) -> None:
    monkeypatch.setattr(figures, "find_spec", lambda package: None)
    rows = list(figure("tiny", BRIEF))
    assert {row.result for row in rows} == {"left out"}


# Trainable parameters as published or as other frameworks count them; BatchNorm's blobs are none.
PARAMETERS = {
    "googlenet": 6_998_552,
    "squeezenet": 1_235_496,
    "resnet50": 25_557_032,
    "mobilenet": 4_231_976,
    "vgg16": 138_357_544,
}


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items(), ids=PARAMETERS)
def test_networks_have_their_published_size(name: str, count: int) -> None:
    net = build(prototxt.parse(prototxt.Source(name, NETS[name]())))
    shapes = infer_shapes(net, net.declared)
    blobs = [
        blob
        for layer in net.layers
        if layer.kind is not None and layer.type not in ("Input", "BatchNorm")
        for blob in layer.kind.blobs(layer.params, tuple(shapes[value] for value in layer.bottoms))
    ]
    assert sum(map(math.prod, blobs)) == count


class TestWeights:
    def test_protobuf_reads_what_was_written(self, cache: Path) -> None:
        pytest.importorskip("grpc_tools", reason="grpcio-tools compiles the schema for google.protobuf")
        from sample_models.caffe_writer import net_parameter

        files = weights.stored("tiny")
        ours = [blob.values() for layer in caffemodel.read(files.caffemodel).layers for blob in layer.blobs]
        read = net_parameter().FromString(files.caffemodel.read_bytes())
        theirs = [np.reshape(blob.data, blob.shape.dim) for layer in read.layer for blob in layer.blobs]
        assert all(np.array_equal(first, second) for first, second in zip(ours, theirs, strict=True))

    def test_written_once(self, cache: Path) -> None:
        first = weights.stored("tiny").caffemodel.stat().st_mtime_ns
        assert weights.stored("tiny").caffemodel.stat().st_mtime_ns == first

    def test_written_again_for_another_text(self, cache: Path) -> None:
        files = weights.stored("tiny")
        files.prototxt.write_text("another network")
        files.caffemodel.write_bytes(b"its weights")
        assert caffemodel.read(weights.stored("tiny").caffemodel).layers

    def test_values_stay_near_one(self, cache: Path) -> None:
        case = arms.case("tiny", images=2)
        assert all(0.1 < np.abs(array).max() < 100 for array in case.observed.values())


FIRST, SECOND = Value("first", 0), Value("second", 1)
WANTED = {FIRST: np.array([1.0, -4.0], np.float32), SECOND: np.array([2.0], np.float32)}


class TestSameWork:
    def test_within_the_tolerance(self) -> None:
        arms.check(((value, array * np.float32(1.0005)) for value, array in WANTED.items()), WANTED, 1e-3)

    def test_outside_the_tolerance(self) -> None:
        with pytest.raises(ValueError, match="'second' of layer 1 differs"):
            arms.check(((value, array + value.writer) for value, array in WANTED.items()), WANTED, 1e-3)

    def test_not_a_number(self) -> None:
        with pytest.raises(ValueError, match="'first' of layer 0 differs"):
            arms.check([(FIRST, np.full(2, np.nan, np.float32))], WANTED, 1e-3)

    def test_value_that_is_not_computed(self) -> None:
        with pytest.raises(ValueError, match="not computed: second"):
            arms.check([(FIRST, WANTED[FIRST])], WANTED, 1e-3)


class TestOnnx:
    def test_all_blobs_agree(self, cache: Path) -> None:
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
        case = arms.case("tiny", images=2)
        found = figures.PEERS["onnxruntime"].build(case, case.observed)()(case.images[0])
        arms.check(found, case.observed, arms.PEERS_TOLERANCE)


def _broken(index: int, workers: int) -> Work:
    raise ValueError("this arm does other work")


class TestInterleaved:
    def test_every_arm_gets_every_round(self, tmp_path: Path) -> None:
        log = tmp_path / "log"

        def noting(letter: str) -> Callable[[int, int], Work]:
            def prepare(index: int, workers: int) -> Work:
                def work() -> None:
                    with log.open("a") as file:
                        file.write(letter)

                return work

            return prepare

        measured = interleaved([Arm("a", noting("a")), Arm("b", noting("b"), workers=2)], rounds=3, patience=0)
        assert (log.read_text(), measured.turns) == ("abb" * 3, 6)

    def test_a_worker_that_fails(self) -> None:
        with pytest.raises(RuntimeError, match="a worker of the arm 'broken' failed"):
            interleaved([Arm("broken", _broken)], rounds=1, patience=0)


IDLE = [5, 5, 5, 100, 50, 1, 1, 0]
LOADS = {"idle": (3, 0.0), "waiting for a disk": (4, 0.0), "user": (0, 1.0), "stolen": (7, 1.0)}


@pytest.mark.parametrize(("column", "share"), LOADS.values(), ids=LOADS)
def test_busy(column: int, share: float) -> None:
    later = IDLE.copy()
    later[column] += 40
    assert busy(IDLE, later) == share


MEGABYTE = 1 << 20


class TestPeakMemory:
    def test_filled_memory_counts(self) -> None:
        peak = processes.peak_memory([sys.executable, "-c", "kept = b'x' * (64 << 20); import time; time.sleep(0.2)"])
        assert 64 * MEGABYTE < peak < 96 * MEGABYTE

    def test_shared_memory_counts_once(self) -> None:
        program = "import os, time; kept = b'x' * (64 << 20); os.fork(); time.sleep(0.2)"
        assert 64 * MEGABYTE < processes.peak_memory([sys.executable, "-c", program]) < 96 * MEGABYTE

    def test_mapped_files_do_not_count(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"x" * (64 * MEGABYTE))
        mapped = f"file = open({str(path)!r}); mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)"
        program = f"import mmap, time; {mapped}; sum(mapped[::4096]); time.sleep(0.2)"
        assert processes.peak_memory([sys.executable, "-c", program]) < 32 * MEGABYTE

    def test_a_command_that_fails(self) -> None:
        with pytest.raises(RuntimeError, match="exit status 3"):
            processes.peak_memory([sys.executable, "-c", "raise SystemExit(3)"])


def test_networks_open_without_remarks(cache: Path) -> None:
    journal = Journal()
    open_net(weights.stored("tiny").prototxt, journal)
    assert journal.remarks == []
