"""Where the damage is, in words: one small rule each, from measured rows to a sentence that names layers and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from xportdnn import scales
from xportdnn.choices import ScaleClasses
from xportdnn.evaluation.outputs import Verdict
from xportdnn.evaluation.ranking import Row, by_damage, steepest
from xportdnn.evaluation.tally import Answers
from xportdnn.network import Layer, Net, Value
from xportdnn.simulation.formats import Whole, whole_out

_MOST = 5  # findings of one rule
_TOLD = 3.0  # dB of lost SQNR from which a layer is worth a sentence about its cause
_CLIPPED = 0.01  # share of clipped values from which the threshold is in doubt
_UNUSED = 0.25  # share of the range; below it two bits or more are never used
_JURY = 5  # pictures from which "always the same class" means something
_ALWAYS = 0.9  # share of pictures that make it "always"


class Finding(NamedTuple):
    """A sentence about one or a few layers; `rule` says which rule found it."""

    rule: str
    layers: tuple[str, ...]
    text: str


def alarms(answers: Mapping[Value, Answers], verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """What makes a quantized network useless, however good its SQNR: answers that do not depend on the picture."""
    stuck = [
        f"the quantized output '{value.blob}' is the same for every picture, the float output is not: the network "
        "answers without looking. A layer on the way holds one value everywhere; the table shows where the SQNR ends"
        for value, seen in answers.items()
        if seen.signal_varies and not seen.quantized_varies
    ]
    if stuck or len(verdicts) < _JURY:
        return tuple(stuck)
    often, usual = (_most_frequent([verdict[which] for verdict in verdicts]) for which in (2, 1))
    if often[1] >= _ALWAYS * len(verdicts) and usual[1] <= often[1] / 2:
        return (
            f"the quantized network gives class {often[0]} for {often[1]} of {len(verdicts)} pictures; the float "
            f"network gives its most frequent class, {usual[0]}, for {usual[1]}",
        )
    return ()


def findings(net: Net, rows: Sequence[Row]) -> tuple[Finding, ...]:
    """All rules on the layers of a network, in file order.

    Rows are taken from all arithmetics alike; what was not computed is not spoken of.
    """
    return tuple(
        finding
        for rule in (_place, _shared_scale, _saturation, _dead_channels, _ends, _wraps)
        for finding in rule(net, rows)
    )


def sides(weights_cost: float | None, activations_cost: float | None, unit: str) -> Iterator[Finding]:
    """Whether weights or activations do the damage, from runs with either side alone.

    Args:
        weights_cost, activations_cost: what each loses, in `unit`; None where it was not measured.
    """
    if weights_cost is None or activations_cost is None:
        return
    costs = f"weights alone cost {weights_cost:.2f} {unit}, activations alone {activations_cost:.2f} {unit}"
    low, high = sorted((abs(weights_cost), abs(activations_cost)))
    if high < 2 * low or high == 0:
        yield Finding("sides", (), f"{costs}: neither side does most of the damage")
    elif activations_cost > weights_cost:
        yield Finding("sides", (), f"{costs}: look at the thresholds of the activations first (--threshold_method)")
    else:
        yield Finding("sides", (), f"{costs}: more bits for the weights would help most")


def _place(net: Net, rows: Sequence[Row]) -> Iterator[Finding]:
    """Where the SQNR falls most, and where it is lowest."""
    worst = next((row for row in by_damage(rows) if row.sqnr_db is not None), None)
    step = steepest(rows)
    if step is not None and (step.drop_db or 0) >= _TOLD:
        yield Finding(
            "place",
            (step.layer.name,),
            f"the SQNR falls most at {_named(step)}: by {step.drop_db:.1f} dB, to {step.sqnr_db:.1f} dB",
        )
    if worst is not None and worst is not step:
        yield Finding("place", (worst.layer.name,), f"the SQNR is lowest at {_named(worst)}: {worst.sqnr_db:.1f} dB")


def _shared_scale(net: Net, rows: Sequence[Row]) -> Iterator[Finding]:
    """A blob that uses a small part of a range which another blob of its scale class needs."""
    by_value = {value: row for row in rows for value in row.layer.tops if row.peak is not None}
    members = scales.members(scales.classes([row.layer for row in rows], ScaleClasses.BOARD))
    told = 0
    for row in by_damage(rows):
        form, peak = written(net, row), row.peak
        if form is None or not peak or (row.drop_db or 0) < _TOLD or scales.copied(row.layer) or told == _MOST:
            continue
        value = row.layer.tops[0]
        others = next(group for group in members.values() if value in group)
        wide = [by_value[other] for other in others if other in by_value and not scales.folded(net, other)]
        wide = [other for other in wide if (other.peak or 0) > peak and not scales.copied(other.layer)]
        reach = largest(form)
        if peak > _UNUSED * reach or not wide:
            continue
        told += 1
        widest = max(wide, key=lambda other: other.peak or 0)
        yield Finding("shared_scale", (row.layer.name, widest.layer.name), _shared(net, row, widest, form))


def _shared(net: Net, row: Row, widest: Row, form: Whole) -> str:
    """`activations of pool10, which share the scale of conv10: averaged afterwards ...`."""
    peak, reach = row.peak or 0.0, largest(form)
    averaged = _averages(row)
    text = (
        f"activations of {row.layer.name}, which share the scale of {widest.layer.name}"
        f"{': averaged afterwards' if averaged else ''}: they reach {peak:.4g} of a range up to {reach:.4g}, so that "
        f"about {math.floor(math.log2(reach / peak))} of {form.bits} bits are never used, and lose "
        f"{row.drop_db:.1f} dB. The board moves the same integers through both and cannot rescale between them. "
    )
    bottom = row.layer.bottoms[0]
    writer = net.layers[bottom.writer]
    if averaged and _pointwise(writer) and net.readers[bottom] == (row.layer,):
        return (
            f"{text}{writer.name} is linear and 1x1: averaging first and convolving afterwards gives the same numbers "
            f"in float, and {writer.name} then gets a scale of its own"
        )
    more_bits = ", and 8 bits divide the step by four" if form.bits < 8 else ""
    return f"{text}A --threshold_method that clips {widest.layer.name} more makes the step finer{more_bits}"


def _pointwise(layer: Layer) -> bool:
    """Whether it is a Convolution of 1x1 without pad or stride, which may change places with an average."""
    if layer.kind is None or layer.kind.name != "Convolution":
        return False
    p = layer.params
    sizes = {*p.kernel_size, *p.stride, p.kernel_h, p.kernel_w, p.stride_h, p.stride_w} - {None}
    return sizes == {1} and not any((*p.pad, p.pad_h, p.pad_w))


def _averages(row: Row) -> bool:
    kind = row.layer.kind
    return kind is not None and kind.name == "Pooling" and row.layer.params.pool == "AVE"


def _saturation(net: Net, rows: Sequence[Row]) -> Iterator[Finding]:
    told = [row for row in rows if row.count and (row.saturated or 0) > _CLIPPED * row.count]
    for row in sorted(told, key=lambda row: -(row.saturated or 0) / row.count)[:_MOST]:
        share = 100 * (row.saturated or 0) / row.count
        form = written(net, row)
        limit = "" if form is None or row.peak is None else f" beyond {largest(form):.4g} (largest |x| {row.peak:.4g})"
        yield Finding(
            "saturation",
            (row.layer.name,),
            f"{_named(row)} clips {share:.1f} % of its values{limit}: calibrate with more pictures, or with a "
            "--threshold_method that clips less",
        )


def _dead_channels(net: Net, rows: Sequence[Row]) -> Iterator[Finding]:
    """Told where it happens: not at a ReLU's bottom, which is not stored, and not again at what only passes it on."""
    dead = [row for row in rows if row.dead and _makes_channels(row) and not _folded(net, row)]
    for row in sorted(dead, key=lambda row: -(row.dead or 0))[:_MOST]:
        yield Finding(
            "dead_channels",
            (row.layer.name,),
            f"{row.dead} of {row.channels} output channels of {_named(row)} hold one value for all pictures, though "
            "they vary in float: they are smaller than half a step of the format",
        )


def _makes_channels(row: Row) -> bool:
    kind = row.layer.kind
    return kind is not None and kind.name not in ("Pooling", "Eltwise", "Softmax")


def _ends(net: Net, rows: Sequence[Row]) -> Iterator[Finding]:
    """The first and the last layer with weights are the usual suspects."""
    weighted = [row for row in rows if row.block is not None and row.layer.kind is not None and row.layer.kind.channels]
    step = steepest(rows)
    if len(weighted) < 3 or step is None or (step.drop_db or 0) < _TOLD:
        return
    for word, row in (("first", weighted[0]), ("last", weighted[-1])):
        if row is step:
            yield Finding(
                "ends",
                (row.layer.name,),
                f"most is lost in the {word} layer with weights, {row.layer.name}: such a layer is often kept at 8 "
                "bits or in float",
            )


def _wraps(net: Net, rows: Sequence[Row]) -> Iterator[Finding]:
    for row in [row for row in rows if row.wrapped][:_MOST]:
        yield Finding(
            "wraps",
            (row.layer.name,),
            f"{row.wrapped} sums of {_named(row)} wrap around in the board's registers: a large value becomes a small "
            "or negative one. Its th_layer_out is too small for what the sums reach before the ReLU",
        )


def written(net: Net, row: Row) -> Whole | None:
    """The integer format of a layer's tops; None where its block says nothing of it."""
    return whole_out(row.block)


def largest(form: Whole) -> float:
    """The largest number of a format."""
    return form.limits[1] * form.step


def _folded(net: Net, row: Row) -> bool:
    return all(scales.folded(net, value) for value in row.layer.tops)


def _named(row: Row) -> str:
    return f"{row.layer.name} ({row.layer.type})"


def _most_frequent(given: Sequence[int]) -> tuple[int, int]:
    """The class given most often, the lowest of several, and how often."""
    best = max(sorted(set(given)), key=given.count)
    return best, given.count(best)
