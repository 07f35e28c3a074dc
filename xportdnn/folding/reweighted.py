"""A folded network with other weights in the same layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xportdnn.build import build
from xportdnn.folding.folded import Folded
from xportdnn.folding.model import folded_model
from xportdnn.folding.plan import Plan
from xportdnn.folding.rewrite import rewritten
from xportdnn.journal import Journal
from xportdnn.layers import Arrays
from xportdnn.opening import complete
from xportdnn.prototxt import parse


def reweighted(folded: Folded, blobs: Mapping[int, Arrays], strict: bool = False) -> Folded:
    """The network with these blobs; `bias_term: false` goes where there is a bias now.

    Args:
        blobs: index of a layer of the folded network -> its new blobs.
    """
    opened = folded.opened
    values = [top for layer in opened.net.layers for top in layer.tops]
    homes = {value: value for value in values}
    source = rewritten(opened.net, Plan((), (), (), blobs, homes, frozenset(values), {}))
    net = opened.net if source is opened.net.source else build(parse(source))
    model, _ = folded_model(opened, folded.model, frozenset(), blobs)
    # what there is to say of the network was said when it was folded
    return replace(folded, opened=complete(net, model, opened.inputs, Journal(), strict), model=model)
