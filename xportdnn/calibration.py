"""From pictures to one threshold per scale class and per output channel, by whichever method was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xportdnn import channels, plan, precision, settle
from xportdnn.auto.search import Found, search
from xportdnn.choices import Mode
from xportdnn.guards import xilinx as guards
from xportdnn.guards.convolutions import convolutions
from xportdnn.guards.deconvolutions import Levelled, levelled
from xportdnn.guards.marks import Mark
from xportdnn.journal import Journal
from xportdnn.network import Layer, Net, Value
from xportdnn.observation import Job, Observed, job, observe
from xportdnn.opening import Opened
from xportdnn.options import Options
from xportdnn.pictures import CalibrationSet
from xportdnn.plan import NOTHING_SETTLED, Settled, Thresholds
from xportdnn.sequential import Record
from xportdnn.statistics import Statistics

_SAFE = 1.0  # for a blob that holds only zeros: any positive threshold represents them
_LEAST = 2.0**-126  # the smallest normal float32; less would be read back as zero or lose its digits


@dataclass(frozen=True)
class Evidence:
    """What the thresholds of a run rest on.

    Attributes:
        classes: value -> scale class.
        statistics: scale class -> what the streaming pass saw (all methods but `xilinx`).
        records: what the rule said, layer by layer (`xilinx` only).
        found: what the rule `auto` came to.
        thresholds: what was decided.
        marks: what the guards did for it.
        constant: scale classes that held only zeros and got a safe threshold.
        dead: layer index -> number of output channels whose weights are all zero.
    """

    pictures: CalibrationSet
    classes: Mapping[Value, Value]
    statistics: Mapping[Value, Statistics]
    records: tuple[Record, ...]
    found: Found | None
    thresholds: Thresholds
    marks: tuple[Mark, ...]
    constant: tuple[Value, ...]
    dead: Mapping[int, int]


def evidence(
    options: Options,
    opened: Opened,
    pictures: CalibrationSet,
    journal: Journal,
    settled: Settled = NOTHING_SETTLED,
) -> Evidence:
    """Run the pictures through the network and decide every threshold.

    Args:
        settled: what single layers have whatever the pictures say.

    Raises:
        CalibrationError: NaN or infinity in the weights or the forward, or too many pictures for the memory.
    """
    work = job(options, opened, pictures, settled, journal)
    guarding = tuple(convolutions(work.net, work.layers)) if options.guarded else ()
    seen = observe(work, [each.top for each in guarding])
    rules, constant = _safe(work, seen)
    params = _params(work)
    weights = Levelled({**params.thresholds, **settled.params}, ())
    if options.guarded:
        weights = levelled(work.layers, weights.params, options.bitwidths, settled)
    th_params = weights.params
    found = _auto(work, seen, rules, constant, th_params) if options.rule == "auto" else None
    thresholds = found.thresholds if found else rules[options.rule]
    given = {root for root in thresholds if isinstance(settled.thresholds.get(root), float)}
    raw = Thresholds(thresholds, th_params)
    sites = guards.sites(guarding, work.weights, seen.peaks, work.classes, raw, options.bitwidths, settled)
    guarded = guards.guarded(tuple(sites), thresholds, given)
    return Evidence(
        pictures,
        work.classes,
        seen.statistics,
        seen.records,
        found,
        _spread(work.classes, guarded.thresholds, th_params),
        (*guarded.marks, *weights.marks),
        constant,
        params.dead,
    )


def _safe(work: Job, seen: Observed) -> tuple[dict[str, dict[Value, float]], tuple[Value, ...]]:
    """Every rule's thresholds with the user's own among them and none of 0; and the classes that held only zeros."""
    bits = work.options.bitwidths.layer_out
    rules: dict[str, dict[Value, float]] = {}
    constant: dict[Value, None] = {}
    for rule, found in seen.thresholds.items():
        thresholds = {**found, **settle.overridden(work.settled, found, seen.statistics, bits)}
        zeros = [root for root, threshold in thresholds.items() if threshold < _LEAST]
        rules[rule] = {**thresholds, **dict.fromkeys(zeros, _SAFE)}
        constant.update(dict.fromkeys(zeros))
    if constant:
        names = ", ".join(root.blob for root in constant)
        work.journal.warn(
            f"{len(constant)} blobs held only zeros for every picture and get the threshold {_SAFE}: {names}"
        )
    return rules, tuple(constant)


def _params(work: Job) -> channels.Params:
    """The thresholds of the weights."""
    options, settled, net = work.options, work.settled, work.net

    def width(layer: Layer) -> int:
        return settled.params_widths.get(layer.index, options.bitwidths.params)

    limited = [layer for layer, names in plan.quantized(net, options.matrix, Mode.XILINX) if "th_params" in names]
    found = channels.params(limited, work.weights, options.params_rule, width)
    for index, count in found.dead.items():
        total = len(found.thresholds[index])
        work.journal.warn(f"{net.where(net.layers[index])}: {count} of {total} output channels have no weights")
    return found


def _auto(
    work: Job,
    seen: Observed,
    rules: Mapping[str, Mapping[Value, float]],
    constant: tuple[Value, ...],
    params: Mapping[int, tuple[float, ...]],
) -> Found:
    options, net, first = work.options, work.net, next(iter(rules.values()))
    blocks, _ = plan.xilinx(
        net,
        options.bitwidths,
        _spread(work.classes, first, params),
        options.matrix,
        options.scale_classes,
        work.settled,
    )
    formats = {block.layer.index: precision.of_fields(block.fields) for block in blocks}
    fixed = {*constant, *(root for root in first if root in work.settled.thresholds)}
    with work.journal.progress("searching", len(first)) as tick:
        found = search(
            work.opened,
            work.weights,
            work.pictures,
            work.classes,
            formats,
            {name: {root: each.get(root, first[root]) for root in first} for name, each in rules.items()},
            {root: statistics.peak for root, statistics in seen.statistics.items() if root not in fixed},
            tick,
            work.workers,
        )
    _tell(net, found, work.journal)
    return found


def _spread(
    classes: Mapping[Value, Value], found: Mapping[Value, float], params: Mapping[int, tuple[float, ...]]
) -> Thresholds:
    """The thresholds of classes as those of all their values."""
    return Thresholds({value: found[root] for value, root in classes.items() if root in found}, params)


def _tell(net: Net, found: Found, journal: Journal) -> None:
    for move in found.moves:
        journal.detail(
            f"auto: {net.layers[move.root.writer].name} ('{move.root.blob}'): {move.before:.6g} -> {move.after:.6g}; "
            f"it stood for {100 * move.share:.0f} % of the outputs' error, now {100 * move.left:.0f} % of what it was"
        )
    start = f"auto: the thresholds of '{found.start}' bring the outputs nearest to float"
    if not found.searched:
        why = "the network is too large for a search, or there was one picture"
        journal.info(f"{start}; none was moved: {why}")
    elif found.moves:
        journal.info(
            f"{start}; {len(found.moves)} of {len(found.thresholds)} were moved, and the error left is "
            f"{100 * found.after / found.before:.0f} %, for every other one of {found.pictures} pictures, which had no "
            "part in choosing"
        )
    else:
        journal.info(f"{start}; moving one helped no pictures but those that chose")
