"""From pictures to Q.F formats: one fractional length for each scale class and for each parameter of a layer.

A class's length is found from the statistics of one streaming pass over the float network, a parameter's from its
numbers (`fractions`); then both are held to what the board can compute with (`guards.fractions`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from xportdnn import calibrate, execute, fractions, plan, scales
from xportdnn.block_params import Parameter, parameters
from xportdnn.choices import BOARD_WIDTHS, Dialect, Mode
from xportdnn.fractions import Quality
from xportdnn.guards import fractions as guards
from xportdnn.guards.marks import Mark
from xportdnn.journal import Journal
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.opening import Opened
from xportdnn.options import Options
from xportdnn.pictures import CalibrationSet
from xportdnn.plan import Fractions, Settled
from xportdnn.statistics import Statistics
from xportdnn.workers import default_workers

_SAFE = 1.0  # what there is room for where all numbers are 0: any format represents them
_COARSE = 20.0  # dB; below, a format of weights and bias costs more than all others together
_WORST = 16  # formats that are shown without --verbose


class Row(NamedTuple):
    """What was decided for a scale class or a parameter.

    Attributes:
        layer: the first that writes a blob of the class, or whose parameter it is.
        what: the blob, or the block's field.
        minimum, maximum: of the numbers.
    """

    layer: Layer
    what: str
    bits: int
    fl: int
    minimum: float
    maximum: float
    quality: Quality


@dataclass(frozen=True)
class Formats:
    """What the formats of a run rest on.

    Attributes:
        classes: value -> scale class.
        fractions: what was decided.
        values: scale class -> its row.
        params: layer index -> the rows of its own parameters.
        marks: what the guards did for it.
        with_bias: whether fl_params was found for weights and bias together.
    """

    pictures: CalibrationSet
    classes: Mapping[Value, Value]
    fractions: Fractions
    values: Mapping[Value, Row]
    params: Mapping[int, tuple[Row, ...]]
    marks: tuple[Mark, ...]
    with_bias: bool = False


class Method(NamedTuple):
    """A way to find lengths: from statistics with a largest |x| above 0, and of parameters that are not all 0.

    Attributes:
        of_scores: of values of which the largest ones decide (`scales.scores`).
    """

    of_values: Callable[[Statistics, int], int]
    of_scores: Callable[[Statistics, int], int]
    of_params: Callable[[Parameter, int], int]


METHODS: Mapping[str, Method] = {
    "ristretto": Method(
        lambda seen, bits: fractions.ristretto(seen.peak, bits),
        lambda seen, bits: fractions.ristretto(seen.peak, bits),
        lambda own, bits: fractions.ristretto_params(float(abs(own.values).max()), bits),
    ),
    "overflow": Method(
        lambda seen, bits: fractions.overflow(seen.minimum, seen.maximum, bits),
        lambda seen, bits: fractions.overflow(seen.minimum, seen.maximum, bits),
        lambda own, bits: fractions.overflow(float(own.values.min()), float(own.values.max()), bits),
    ),
    "mse": Method(fractions.mse, fractions.whole, lambda own, bits: fractions.least_cost(own.values, bits, own.cost)),
}


def formats(options: Options, opened: Opened, pictures: CalibrationSet, journal: Journal, settled: Settled) -> Formats:
    """Run the pictures through the network and find every fractional length.

    Args:
        settled: what single layers have whatever the pictures say.

    Raises:
        CalibrationError: NaN or infinity in the weights or the forward.
    """
    net, bits, method = opened.net, options.bitwidths, METHODS[options.fl_rule]
    layers = runnable(net, opened.inputs)
    weights = execute.load(layers, opened.weights)
    calibrate.check_weights(net, layers, weights)
    reached = {layer.index for layer in layers} | {value.writer for value in opened.inputs}
    as_ristretto = options.dialect is Dialect.RISTRETTO and options.fl_rule == "ristretto"
    group = scales.last_versions if as_ristretto else scales.fraction_classes
    classes = group(layer for layer in net.layers if layer.index in reached)
    needed = plan.needed(net, options.table, classes, Mode.DYNAMIC_FIXED)
    observed = {root: root for root in needed} if as_ristretto else classes
    workers = options.workers or default_workers()
    with journal.progress("calibrating", len(pictures)) as tick:
        seen = calibrate.stream(opened, weights, pictures, observed, needed, tick, workers).statistics
    widths = {root: settled.widths.get(root, bits.layer_out) for root in seen}
    decisive = scales.decisive(net, classes)
    values = {
        root: settled.fractions[root]
        if root in settled.fractions
        else _of_values(method.of_scores if root in decisive else method.of_values, each, widths[root])
        for root, each in seen.items()
    }
    # Ristretto trims the bias like the weights, though its own rule does not look at it
    with_bias = options.dialect is Dialect.RISTRETTO and not as_ristretto
    powers = {root: fractions.mean_square(each) for root, each in seen.items()} if with_bias else {}
    own = {
        layer.index: tuple(parameters(net, layer, names, weights, powers.get(classes[layer.bottoms[0]])))
        for layer, names in plan.quantized(net, options.table, Mode.DYNAMIC_FIXED)
        if layer.index in reached - settled.floats
    }
    own_widths = {index: settled.params_widths.get(index, bits.params) for index in own}
    params = {
        index: _of_params(method, each, own_widths[index], settled.params_fractions.get(index))
        for index, each in own.items()
    }
    limits = guards.NO_LIMITS
    if options.guarded and bits.layer_out in BOARD_WIDTHS:
        limits = guards.limits_of(net, layers, weights, classes, seen, bits, settled)
    moved = guards.moved(limits, net, values, params)
    return Formats(
        pictures,
        classes,
        Fractions({value: moved.values[root] for value, root in classes.items() if root in seen}, moved.params),
        {root: _row_of_values(net, root, each, widths[root], moved.values[root]) for root, each in seen.items()},
        {index: tuple(_rows_of_params(each, own_widths[index], moved.params[index])) for index, each in own.items()},
        moved.marks,
        with_bias,
    )


def _of_values(rule: Callable[[Statistics, int], int], seen: Statistics, bits: int) -> int:
    return rule(seen, bits) if seen.peak else fractions.overflow(0.0, _SAFE, bits)


def _of_params(method: Method, own: Iterable[Parameter], bits: int, given: int | None) -> dict[str, int]:
    """Those of one layer, by field."""
    safe = fractions.overflow(0.0, _SAFE, bits)
    return {
        each.field: given if given is not None else method.of_params(each, bits) if each.values.any() else safe
        for each in own
    }


def _row_of_values(net: Net, root: Value, seen: Statistics, bits: int, fl: int) -> Row:
    found = fractions.quality(seen, bits, fl)
    return Row(net.layers[root.writer], root.blob, bits, fl, seen.minimum, seen.maximum, found)


def _rows_of_params(own: Iterable[Parameter], bits: int, found: Mapping[str, int]) -> Iterator[Row]:
    for each in own:
        fl, lowest, highest = found[each.field], float(each.values.min()), float(each.values.max())
        yield Row(each.layer, each.field, bits, fl, lowest, highest, each.quality(bits, fl))


def tell(found: Formats, journal: Journal) -> None:
    """What was decided, as a table in the network's order: the worst formats, and with `--verbose` all of them."""
    values, params = list(found.values.values()), [row for rows in found.params.values() for row in rows]
    rows = [*values, *params]
    if not rows:
        return
    worst = sorted(range(len(rows)), key=lambda at: rows[at].quality.sqnr_db)[:_WORST]
    few = len(worst) < len(rows)
    journal.info(
        f"{len(values)} formats of blobs, {len(params)} of parameters"
        + (f"; the {_WORST} of least signal to quantization noise (--verbose: all)" if few else "")
    )
    head, *lines = _table(rows)
    journal.info(head)
    for at, line in enumerate(lines):
        say = journal.info if at in worst else journal.detail
        say(line)
    coarse = [row for row in params if found.with_bias and row.quality.sqnr_db < _COARSE]
    if coarse:
        named = ", ".join(f"{row.layer.name} ({row.quality.sqnr_db:.1f} dB)" for row in coarse)
        journal.warn(
            "weights and bias have one format in Ristretto, and no fl_params holds both well; give them more bits (the "
            f"second number of --bitwidths) or take the network unfolded: {named}"
        )


def _table(rows: Iterable[Row]) -> Iterator[str]:
    cells = [("layer", "number", "range", "bits", "fl", "saturated", "SQNR"), *map(_cells, rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for first, second, *others in cells:
        right = (cell.rjust(width) for cell, width in zip(others, widths[2:], strict=True))
        yield "  ".join((first.ljust(widths[0]), second.ljust(widths[1]), *right))


def _cells(row: Row) -> tuple[str, ...]:
    saturated, sqnr_db = row.quality
    share = f"{100 * saturated:.2g} %"
    ratio = f"{sqnr_db:.1f} dB" if math.isfinite(sqnr_db) else "exact"
    return row.layer.name, row.what, f"{row.minimum:.4g} .. {row.maximum:.4g}", str(row.bits), str(row.fl), share, ratio
