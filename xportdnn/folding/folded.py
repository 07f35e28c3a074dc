"""A network folded: the plan carried out on its text and its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xportdnn.build import build
from xportdnn.caffemodel import Caffemodel
from xportdnn.folding.fused import split
from xportdnn.folding.model import folded_model
from xportdnn.folding.plan import Plan, plan
from xportdnn.folding.rewrite import rewritten
from xportdnn.journal import Journal
from xportdnn.layers import Shape
from xportdnn.network import Layer, Net, Value
from xportdnn.opening import Opened, complete
from xportdnn.prototxt import parse


@dataclass(frozen=True)
class Folded:
    """A folded network, which can be opened, run and calibrated like any other.

    Attributes:
        original: the network as it was, opened.
        plan: what became of its layers.
        opened: the folded network; `opened.net.source.text` is its prototxt.
        model: its caffemodel.
        values: a value of the original -> the value of the folded network that holds it; values in between, which
            nothing holds any more, are absent.
    """

    original: Opened
    plan: Plan
    opened: Opened
    model: Caffemodel
    values: Mapping[Value, Value]

    @property
    def net(self) -> Net:
        """The folded network."""
        return self.opened.net


def fold(net: Net, model: Caffemodel, inputs: Mapping[Value, Shape], journal: Journal, strict: bool = False) -> Folded:
    """Fold a network.

    Args:
        inputs: shapes of the fed inputs.
        strict: a layer without a rule is an error.

    Raises:
        NetworkError, WeightsError: see `opening.complete`.
    """
    apart = split(net, model)
    for note in apart.notes:
        journal.info(note)
    opened = complete(apart.net, apart.model, _inputs(inputs, apart.net), journal, strict)
    found = plan(opened)
    source = rewritten(opened.net, found)
    folded_net = opened.net if source is opened.net.source else build(parse(source))
    folded, gone = folded_model(opened, apart.model, found.removed, found.blobs)
    _say(opened.net, found, gone, journal)
    again = complete(folded_net, folded, _inputs(inputs, folded_net), journal, strict)
    return Folded(opened, found, again, folded, _values(opened.net, folded_net, found))


def _inputs(inputs: Mapping[Value, Shape], net: Net) -> dict[Value, Shape]:
    """The same inputs in another form of the network, by their blobs' names."""
    tops = {top.blob: top for layer in net.layers if layer.is_input for top in layer.tops}
    return {tops[value.blob]: shape for value, shape in inputs.items()}


def _values(net: Net, folded: Net, found: Plan) -> dict[Value, Value]:
    kept = [layer for layer in net.layers if layer.index not in found.removed]
    tops = {
        old: new
        for before, after in zip(kept, folded.layers, strict=True)
        for old, new in zip(before.tops, after.tops, strict=True)
    }
    return {value: tops[found.homes[value]] for value in found.held}


def _say(net: Net, found: Plan, gone: tuple[str, ...], journal: Journal) -> None:
    source = net.source
    if found.foldings or found.dropped:
        parts = [f"{_counted(each.layer for each in found.foldings)} folded"] if found.foldings else []
        parts += [f"{_counted(found.dropped)} dropped"] if found.dropped else []
        journal.info(f"{source.name}: {', '.join(parts)}")
    else:
        journal.info(f"{source.name}: there is nothing to fold")
    for folding in found.foldings:
        journal.detail(f"{net.at(folding.layer)} is folded into {net.at(folding.into)}")
    for kept in found.kept:
        journal.info(f"{net.where(kept.layer)} stays: {kept.reason}")
    if gone:
        journal.info(
            f"{len(gone)} layers of the caffemodel are not in {source.name} and are left out: {', '.join(gone)}"
        )
    removed = found.removed
    stale = [
        layer.name for layer in net.layers if layer.index not in removed and layer.message.messages("precision_param")
    ]
    if stale and found.foldings:
        journal.warn(
            f"{source.name}: the precision_param blocks of {len(stale)} layers belong to the network before folding; "
            "convert the folded one"
        )


def _counted(layers: Iterable[Layer]) -> str:
    """`21 BatchNorm and 21 Scale`."""
    return " and ".join(f"{count} {name}" for name, count in Counter(layer.type for layer in layers).items())
