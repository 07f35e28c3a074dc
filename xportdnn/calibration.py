"""From pictures to one threshold per scale class and per output channel, by whichever method was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xportdnn import calibrate, execute, plan, scales, sequential
from xportdnn.choices import Mode, ScaleClasses
from xportdnn.errors import CalibrationError
from xportdnn.journal import Journal
from xportdnn.layers import Array
from xportdnn.lazy import np
from xportdnn.network import Net, Value, runnable
from xportdnn.opening import Opened
from xportdnn.options import Options
from xportdnn.pictures import CalibrationSet
from xportdnn.plan import Thresholds
from xportdnn.sequential import Record
from xportdnn.statistics import Statistics
from xportdnn.thresholds import METHODS
from xportdnn.workers import default_workers

_SAFE = 1.0  # for a blob that holds only zeros: any positive threshold represents them
_LEAST = 2.0**-126  # the smallest normal float32; less would be read back as zero or lose its digits


@dataclass(frozen=True)
class Evidence:
    """What the thresholds of a run rest on.

    Attributes:
        classes: value -> scale class.
        statistics: scale class -> what the streaming pass saw (streaming methods only).
        records: what the rule said, layer by layer (`xilinx` only).
        thresholds: what was decided.
        constant: scale classes that held only zeros and got a safe threshold.
        dead: layer index -> number of output channels whose weights are all zero.
    """

    pictures: CalibrationSet
    classes: Mapping[Value, Value]
    statistics: Mapping[Value, Statistics]
    records: tuple[Record, ...]
    thresholds: Thresholds
    constant: tuple[Value, ...]
    dead: Mapping[int, int]


def evidence(options: Options, opened: Opened, pictures: CalibrationSet, journal: Journal) -> Evidence:
    """Run the pictures through the network and decide every threshold.

    Raises:
        CalibrationError: NaN or infinity in the weights or the forward, or too many pictures for the memory.
    """
    net = opened.net
    layers = runnable(net, opened.inputs)
    weights = execute.load(layers, opened.weights)
    calibrate.check_weights(net, layers, weights)
    fed = {value.writer for value in opened.inputs}
    reached = [layer for layer in net.layers if layer.index in fed or layer in layers]
    classes = scales.classes(reached, options.scale_classes)
    needed = plan.needed(net, options.matrix, classes)
    statistics: dict[Value, Statistics] = {}
    records: tuple[Record, ...] = ()
    bits = options.bitwidths.layer_out
    workers = options.workers or default_workers()
    if options.threshold_method == "xilinx":
        _check_memory(opened, pictures)
        searched = frozenset(value for value, root in classes.items() if root in needed)
        with journal.progress("calibrating", len(layers)) as tick:
            run = sequential.calibrate(net, weights, pictures, options.bitwidths, searched, tick, workers)
        records = run.records
        found = _by_class(net, run.thresholds, classes, options.scale_classes)
    else:
        with journal.progress("calibrating", len(pictures)) as tick:
            statistics = calibrate.stream(opened, weights, pictures, classes, needed, tick, workers)
        found = {root: METHODS[options.threshold_method](seen, bits) for root, seen in statistics.items()}
    constant = tuple(root for root, threshold in found.items() if threshold < _LEAST)
    if constant:
        names = ", ".join(root.blob for root in constant)
        journal.warn(f"{len(constant)} blobs held only zeros for every picture and get the threshold {_SAFE}: {names}")
    found |= dict.fromkeys(constant, _SAFE)
    limited = [layer for layer, names in plan.quantized(net, options.matrix, Mode.XILINX) if "th_params" in names]
    params, dead = _channels(opened, calibrate.per_channel(limited, weights), journal)
    values = {value: found[root] for value, root in classes.items() if root in found}
    return Evidence(pictures, classes, statistics, records, Thresholds(values, params), constant, dead)


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


def _check_memory(opened: Opened, pictures: CalibrationSet) -> None:
    each = sequential.peak_bytes(opened.net, opened.shapes, list(opened.inputs))
    available = sequential.available_bytes()
    if available is not None and each * len(pictures) > available:
        fitting = max(available // each, 0)
        fewer = f"--calibration_size {fitting} or " if fitting else ""
        raise CalibrationError(
            f"the rule 'xilinx' keeps all pictures in memory: {len(pictures)} need about "
            f"{each * len(pictures) / 2**30:.1f} GiB and {available / 2**30:.1f} GiB are free, enough for {fitting}. "
            f"Use {fewer}another --threshold_method, whose memory does not grow"
        )


def _channels(
    opened: Opened, peaks: Mapping[int, Array], journal: Journal
) -> tuple[dict[int, tuple[float, ...]], dict[int, int]]:
    """One positive threshold per output channel, and how many channels had no weight but zero."""
    params: dict[int, tuple[float, ...]] = {}
    dead: dict[int, int] = {}
    for index, channels in peaks.items():
        zero = channels < _LEAST
        if zero.any():
            layer = opened.net.layers[index]
            dead[index] = int(zero.sum())
            journal.warn(f"{opened.net.where(layer)}: {dead[index]} of {channels.size} output channels have no weights")
        # a dead channel takes the layer's largest threshold, so that its scale is no stranger among its neighbours
        safe = np.where(zero, channels.max() if not zero.all() else np.float32(_SAFE), channels)
        params[index] = tuple(float(threshold) for threshold in safe)
    return params, dead
