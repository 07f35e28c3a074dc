"""Where the damage is, in words: small rules from measured rows to sentences that name layers and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from xportdnn import scales
from xportdnn.choices import Arithmetic, ScaleClasses
from xportdnn.evaluation.outputs import Verdict
from xportdnn.evaluation.ranking import Row, by_damage, steepest
from xportdnn.evaluation.rounding import Rounding, largest, roundings
from xportdnn.evaluation.sensitivity import Effect
from xportdnn.evaluation.tally import Answers
from xportdnn.network import Layer, Net, Value
from xportdnn.simulation.formats import whole_out

_MOST = 5  # findings of one rule
_TOLD = 3.0  # dB of lost SQNR from which a layer is worth a sentence about its cause
_CLIPPED = 0.01  # share of clipped values from which the threshold is in doubt
_OWN = 0.5  # share of a layer's noise from which its own rounding is the cause
_WIDER = 2.0  # how much further a blob reaches that dominates a scale class
_TIED = 0.05  # share of the pictures
_BY_CHANNEL = frozenset({"BatchNorm", "BN", "Clip", "ELU", "PReLU", "ReLU", "ReLU6", "Scale", "Sigmoid", "TanH"})
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
    often = _most_frequent([verdict.second for verdict in verdicts])
    usual = _most_frequent([verdict.first for verdict in verdicts])
    if often[1] >= _ALWAYS * len(verdicts) and usual[1] <= often[1] / 2:
        return (
            f"the quantized network gives class {often[0]} for {often[1]} of {len(verdicts)} pictures; the float "
            f"network gives its most frequent class, {usual[0]}, for {usual[1]}",
        )
    return ()


def findings(net: Net, rows: Sequence[Row], arithmetic: Arithmetic) -> tuple[Finding, ...]:
    """All rules on the layers of a network; what was not computed is not spoken of."""
    return (
        *_place(net, rows),
        *_shared_scale(net, rows),
        *_saturation(net, rows, arithmetic),
        *_dead_channels(net, rows),
        *_ends(net, rows),
        *_wraps(rows),
    )


def sides(weights: Effect | None, activations: Effect | None) -> tuple[Finding, ...]:
    """Whether weights or activations do the damage, from what either side does alone; None: it was not measured."""
    if weights is None or activations is None:
        return ()
    told = f"{_effect(weights)}; {_effect(activations)}"
    first, second = (math.inf if side.identical else side.sqnr_db for side in (weights, activations))
    if first is None or second is None or abs(first - second) < _TOLD or first == second:
        return (Finding("sides", (), f"{told}: neither side does most of the damage"),)
    if second < first:
        text = "the activations do most of the damage: look at their thresholds first"
    else:
        text = "the weights do most of the damage: more bits for them would help most"
    return (Finding("sides", (), f"{told}: {text}"),)


def alone(ranked: Sequence[Effect]) -> tuple[Finding, ...]:
    """One layer that hurts the output far more than any other when it is the only one that is quantized.

    Args:
        ranked: single layers, most harmful first.
    """
    known = [(effect.part.name, effect.sqnr_db) for effect in ranked if effect.sqnr_db is not None]
    if len(known) < 2 or known[1][1] - known[0][1] < _TOLD:
        return ()
    (worst, left), (second, next_left) = known[:2]
    text = (
        f"{worst} alone, with all other layers in float, leaves the output at {left:.1f} dB; the next layer, {second}, "
        f"at {next_left:.1f} dB: a cure for {worst} is worth more than any other"
    )
    return (Finding("alone", (worst,), text),)


def _effect(side: Effect) -> str:
    """`weights alone: output SQNR 35.2 dB, agreement 99.0 %, top-1 56.3 %`."""
    parts = ["no loss" if side.identical else "" if side.sqnr_db is None else f"output SQNR {side.sqnr_db:.1f} dB"]
    parts += [] if side.agreement_top1 is None else [f"agreement {side.agreement_top1:.1f} %"]
    parts += [] if side.top1 is None else [f"top-1 {side.top1:.1f} %"]
    name = side.part.side.value if side.part.side else "both"
    return f"{name} alone: {', '.join(filter(None, parts))}"


def ties(verdicts: Sequence[Verdict]) -> tuple[Finding, ...]:
    """Scores in so coarse steps that the best class is a matter of order."""
    tied = sum(verdict.tied for verdict in verdicts)
    if tied <= _TIED * len(verdicts):
        return ()
    text = (
        f"for {tied} of {len(verdicts)} pictures several classes share the best quantized score, and the first of them "
        "counts: the steps of the scores are wider than the distance between the best classes"
    )
    return (Finding("ties", (), text),)


def _place(net: Net, rows: Sequence[Row]) -> Iterator[Finding]:
    """Where the coarsest format is, where the SQNR falls most, and where it is lowest."""
    coarsest = min(roundings(net, rows), key=lambda rounding: rounding.alone_db, default=None)
    if coarsest is not None:
        yield Finding(
            "place",
            (coarsest.row.layer.name,),
            f"the coarsest format for what it holds is that of {_named(coarsest.row)}: rounding to its steps of "
            f"{coarsest.step:.3g} alone leaves {coarsest.alone_db:.1f} dB, where typical values are "
            f"{coarsest.typical:.3g} (root mean square of those that are not 0)",
        )
    step = steepest(net, rows)
    if step is not None and (step.drop_db or 0) >= _TOLD:
        yield Finding(
            "place",
            (step.layer.name,),
            f"the SQNR falls most at {_named(step)}: by {step.drop_db:.1f} dB, to {step.sqnr_db:.1f} dB",
        )
    worst = next((row for row in by_damage(rows) if row.block is not None and row.sqnr_db is not None), None)
    if worst is not None and worst is not step:
        yield Finding("place", (worst.layer.name,), f"the SQNR is lowest at {_named(worst)}: {worst.sqnr_db:.1f} dB")


def _shared_scale(net: Net, rows: Sequence[Row]) -> Iterator[Finding]:
    """Blobs whose noise is mostly their own rounding, in steps that another blob of the scale class made so wide."""
    by_value = {value: row for row in rows for value in row.layer.tops if row.peak is not None}
    members = scales.members(scales.classes([row.layer for row in rows], ScaleClasses.BOARD))
    told = 0
    for rounding in sorted(roundings(net, rows), key=lambda rounding: rounding.alone_db):
        value, peak = rounding.stored.layer.tops[0], rounding.stored.peak
        if not peak or rounding.share < _OWN or told == _MOST:
            continue
        group = next(group for group in members.values() if value in group)
        others = [by_value[other] for other in group if other in by_value and not scales.folded(net, other)]
        made = [row for row in others if not scales.copied(row.layer) and (row.peak or 0) >= _WIDER * peak]
        if made:
            told += 1
            widest = max(made, key=lambda row: row.peak or 0)
            producer = net.layers[widest.layer.bottoms[0].writer] if scales.repeats(widest.layer) else widest.layer
            text = _shared(net, rounding, producer, widest.peak or 0)
            yield Finding("shared_scale", (rounding.row.layer.name, producer.name), text)


def _shared(net: Net, rounding: Rounding, wider: Layer, reach: float) -> str:
    """`activations of pool10, which share the scale of conv10: averaged afterwards ...`."""
    layer = rounding.row.layer
    averaged = layer.kind is not None and layer.kind.name == "Pooling"
    text = (
        f"activations of {layer.name}, which share the scale of {wider.name}{' (averaged afterwards)' * averaged}: "
        f"they reach {rounding.stored.peak:.3g} and are typically {rounding.typical:.3g}, those of {wider.name} reach "
        f"{reach:.3g}, and both have steps of {rounding.step:.3g}, because the board moves integers from one to the "
        f"other unchanged. That rounding is {100 * rounding.share:.0f} % of the noise here. "
    )
    bottom = layer.bottoms[0]
    writer = net.layers[bottom.writer]
    if averaged and _pointwise(writer) and net.readers[bottom] == (layer,):
        return (
            f"{text}{writer.name} is linear and 1x1: averaging first and convolving afterwards gives the same numbers "
            "in float, and each then has a scale of its own"
        )
    more_bits = ", and so do 8 bits" if rounding.bits < 8 else ""
    return (
        f"{text}--threshold_method auto clips {wider.name} as far as that helps the outputs; a smaller threshold for "
        f"it in --overrides makes the steps finer{more_bits}"
    )


def _pointwise(layer: Layer) -> bool:
    """Whether it is a Convolution of 1x1 without pad or stride, which may change places with an average."""
    if layer.kind is None or layer.kind.name != "Convolution":
        return False
    p = layer.params
    sizes = {*p.kernel_size, *p.stride, p.kernel_h, p.kernel_w, p.stride_h, p.stride_w} - {None}
    return sizes == {1} and not any((*p.pad, p.pad_h, p.pad_w))


def _saturation(net: Net, rows: Sequence[Row], arithmetic: Arithmetic) -> Iterator[Finding]:
    registers = "; sums that leave the board's registers count as well" if arithmetic is Arithmetic.CHAIDNN else ""
    told = [row for row in rows if row.compared and (row.saturated or 0) > _CLIPPED * row.compared]
    for row in sorted(told, key=lambda row: -(row.saturated or 0) / row.compared)[:_MOST]:
        share = 100 * (row.saturated or 0) / row.compared
        form = whole_out(row.block)
        limit = "" if form is None or row.peak is None else f" at {largest(form):.4g} (largest |x| {row.peak:.4g})"
        yield Finding(
            "saturation",
            (row.layer.name,),
            f"{_named(row)} saturates {share:.1f} % of its values{limit}: unless the --threshold_method meant that, "
            f"calibrate with more pictures{registers}",
        )


def _dead_channels(net: Net, rows: Sequence[Row]) -> Iterator[Finding]:
    """Told once for each layer that mixes channels, as they are behind the layers that follow channel by channel."""
    made = [(row, _behind(net, rows, row)) for row in rows if _mixes_channels(row.layer)]
    dead = sorted((pair for pair in made if pair[1].dead), key=lambda pair: -(pair[1].dead or 0))
    for row, last in dead[:_MOST]:
        behind = "" if last is row else f", behind {last.layer.name},"
        yield Finding(
            "dead_channels",
            (row.layer.name,),
            f"{last.dead} of {last.channels} output channels of {_named(row)}{behind} hold one value for all pictures, "
            "though they vary in float: they are smaller than half a step of a format",
        )


def _mixes_channels(layer: Layer) -> bool:
    return layer.kind is not None and layer.kind.name in ("Convolution", "Deconvolution", "InnerProduct")


def _behind(net: Net, rows: Sequence[Row], row: Row) -> Row:
    """The last layer of a chain that treats every channel by itself and has no other readers."""
    readers = net.readers.get(row.layer.tops[0], ())
    if len(readers) != 1 or readers[0].kind is None or readers[0].kind.name not in _BY_CHANNEL:
        return row
    following = next((each for each in rows if each.layer is readers[0] and each.dead is not None), None)
    return row if following is None else _behind(net, rows, following)


def _ends(net: Net, rows: Sequence[Row]) -> Iterator[Finding]:
    """The first and the last layer with weights are the usual suspects."""
    weighted = [row for row in rows if row.block is not None and row.layer.kind is not None and row.layer.kind.channels]
    step = steepest(net, rows)
    if len(weighted) < 3 or step is None or (step.drop_db or 0) < _TOLD:
        return
    for word, row in (("first", weighted[0]), ("last", weighted[-1])):
        if row is step:
            bits = None if row.block is None else row.block.bw_params
            cure = "at 8 bits or in float" if bits is not None and bits < 8 else "in float"
            text = f"most is lost in the {word} layer with weights, {row.layer.name}: such a layer is often kept {cure}"
            yield Finding("ends", (row.layer.name,), text)


def _wraps(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in [row for row in rows if row.wrapped][:_MOST]:
        yield Finding(
            "wraps",
            (row.layer.name,),
            f"{row.wrapped} sums of {_named(row)} wrap around in the board's registers: a large value becomes a small "
            "or negative one. Its th_layer_out is too small for what the sums reach before the ReLU",
        )


def _named(row: Row) -> str:
    return f"{row.layer.name} ({row.layer.type})"


def _most_frequent(given: Sequence[int]) -> tuple[int, int]:
    """The class given most often, the lowest of several, and how often."""
    best = max(sorted(set(given)), key=given.count)
    return best, given.count(best)
