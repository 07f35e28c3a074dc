"""What the calibration pictures show of a network, and what each rule makes of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from xportdnn import calibrate, execute, plan, scales, sequential
from xportdnn.choices import ScaleClasses
from xportdnn.errors import CalibrationError
from xportdnn.journal import Journal
from xportdnn.layers import Arrays
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.opening import Opened
from xportdnn.options import Options
from xportdnn.pictures import CalibrationSet
from xportdnn.plan import Settled
from xportdnn.sequential import Record
from xportdnn.statistics import Statistics
from xportdnn.thresholds import METHODS
from xportdnn.workers import default_workers


@dataclass(frozen=True)
class Job:
    """A calibration: what is asked for, the network, and what to feed it.

    Attributes:
        settled: what single layers have whatever the pictures say.
        weights: float arrays by layer index.
    """

    options: Options
    opened: Opened
    pictures: CalibrationSet
    settled: Settled
    journal: Journal
    weights: Mapping[int, Arrays]

    @property
    def net(self) -> Net:
        return self.opened.net

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Those that run."""
        return runnable(self.net, self.opened.inputs)

    @cached_property
    def classes(self) -> Mapping[Value, Value]:
        """Value -> scale class, of all values that are reached."""
        fed = {value.writer for value in self.opened.inputs}
        run = {layer.index for layer in self.layers}
        reached = [layer for layer in self.net.layers if layer.index in fed or layer.index in run]
        return scales.classes(reached, self.options.scale_classes)

    @cached_property
    def needed(self) -> frozenset[Value]:
        """The classes that a block will read."""
        return plan.needed(self.net, self.options.matrix, self.classes)

    @property
    def workers(self) -> int:
        return self.options.workers or default_workers()

    def bits(self, root: Value) -> int:
        """The width of a class."""
        return self.settled.widths.get(root, self.options.bitwidths.layer_out)


class Observed(NamedTuple):
    """What a pass saw.

    Attributes:
        thresholds: rule -> scale class -> threshold, before anything is made safe for the board.
        statistics: scale class -> what the streaming pass saw; empty after the rule `xilinx` alone.
        records: what the rule `xilinx` said, layer by layer.
        peaks: the largest |x| of the values that were watched.
    """

    thresholds: Mapping[str, Mapping[Value, float]]
    statistics: Mapping[Value, Statistics]
    records: tuple[Record, ...]
    peaks: Mapping[Value, float]


def job(options: Options, opened: Opened, pictures: CalibrationSet, settled: Settled, journal: Journal) -> Job:
    """A calibration whose weights are fit for it.

    Raises:
        CalibrationError: NaN or infinity in the weights.
    """
    layers = runnable(opened.net, opened.inputs)
    weights = execute.load(layers, opened.weights)
    calibrate.check_weights(opened.net, layers, weights)
    return Job(options, opened, pictures, settled, journal, weights)


def observe(job: Job, watched: Collection[Value]) -> Observed:
    """Run the pictures through the network as the rule wants it; `auto` wants all rules.

    Raises:
        CalibrationError: NaN or infinity in the forward, or too many pictures for the memory.
    """
    method = job.options.rule
    if method == "xilinx":
        _check_memory(job)
        return _sequential(job, watched)
    streamed = _streamed(job, watched, METHODS if method == "auto" else {method})
    if method != "auto":
        return streamed
    if _fitting(job) < len(job.pictures):
        job.journal.info("auto: the rule 'xilinx' is not tried, its pictures would not fit into the memory")
        return streamed
    sequential_run = _sequential(job, ())
    return streamed._replace(thresholds={**streamed.thresholds, **sequential_run.thresholds})


def _streamed(job: Job, watched: Collection[Value], methods: Collection[str]) -> Observed:
    with job.journal.progress("calibrating", len(job.pictures)) as tick:
        statistics, peaks = calibrate.stream(
            job.opened, job.weights, job.pictures, job.classes, job.needed, tick, job.workers, watched
        )
    thresholds = {
        method: {root: METHODS[method](seen, job.bits(root)) for root, seen in statistics.items()} for method in methods
    }
    return Observed(thresholds, statistics, (), peaks)


def _sequential(job: Job, watched: Collection[Value]) -> Observed:
    searched = frozenset(value for value, root in job.classes.items() if root in job.needed)
    with job.journal.progress("calibrating", len(job.layers)) as tick:
        run = sequential.calibrate(
            job.net,
            job.weights,
            job.pictures,
            job.options.bitwidths,
            searched,
            tick,
            job.workers,
            job.settled,
            watched,
        )
    found = _by_class(job.net, run.thresholds, job.classes, job.options.scale_classes)
    return Observed({"xilinx": found}, {}, run.records, run.peaks)


def _by_class(
    net: Net, thresholds: Mapping[Value, float], classes: Mapping[Value, Value], how: ScaleClasses
) -> dict[Value, float]:
    """One threshold per class from the rule's one per value.

    The board needs the largest, so that nothing that is stored is clipped harder than the rule wants; the original
    kept the one that the last layer of the class wrote.
    """
    found: dict[Value, float] = {}
    for value in sorted(thresholds, key=lambda value: value.writer):
        root, threshold = classes[value], thresholds[value]
        if how is ScaleClasses.ORIGINAL:
            found[root] = threshold
        elif not scales.folded(net, value):
            found[root] = max(found.get(root, 0.0), threshold)
    return found


def _fitting(job: Job) -> int:
    """How many pictures the rule `xilinx` could keep in the memory that is free."""
    available = sequential.available_bytes()
    return len(job.pictures) if available is None else max(available // _bytes_each(job), 0)


def _bytes_each(job: Job) -> int:
    return sequential.peak_bytes(job.net, job.opened.shapes, list(job.opened.inputs))


def _check_memory(job: Job) -> None:
    fitting, count, available = _fitting(job), len(job.pictures), sequential.available_bytes()
    if fitting < count and available is not None:
        fewer = f"--calibration_size {fitting} or " if fitting else ""
        raise CalibrationError(
            f"the rule 'xilinx' keeps all pictures in memory: {count} need about "
            f"{_bytes_each(job) * count / 2**30:.1f} GiB and {available / 2**30:.1f} GiB are free, enough for "
            f"{fitting}. Use {fewer}another --threshold_method, whose memory does not grow"
        )
