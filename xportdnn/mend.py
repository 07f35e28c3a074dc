"""Deploy files that forget what their weights show: a bias that was never trained, a group of depthwise weights.

Forks load such pairs without a word; Caffe and the board's parser refuse them. Where the weights leave no doubt, the
missing field is written into the convolution's parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xportdnn.build import build
from xportdnn.caffemodel import Caffemodel, LayerBlobs
from xportdnn.edits import insertion
from xportdnn.network import Layer, Net
from xportdnn.prototxt import Edit, Field, Message, parse

_NORMALISING = ("BatchNorm", "BN")
_DEPTHWISE = ("ConvolutionDepthwise", "DepthwiseConvolution")


class Mended(NamedTuple):
    """A network that fits its weights, and what was written for that."""

    net: Net
    notes: tuple[str, ...]


def mend(net: Net, model: Caffemodel) -> Mended:
    """The network with `bias_term: false` and `group` where its weights show that they are missing."""
    edits: list[Edit] = []
    changed: dict[str, list[str]] = {}
    for layer in net.layers:
        stored = model.names.get(layer.name)
        if stored is None or layer.kind is None or layer.kind.name != "Convolution" or not layer.params.num_output:
            continue
        missing = list(_missing(net, layer, stored))
        if missing:
            edits += _written(net, layer, missing)
            for name, value in missing:
                changed.setdefault(f"{name}: {value}", []).append(layer.name)
    if not edits:
        return Mended(net, ())
    source = net.source
    notes = tuple(
        f"{source.name}: '{field}' is missing in {len(names)} convolution(s), as the weights show; it is written: "
        f"{', '.join(names)}"
        for field, names in changed.items()
    )
    return Mended(build(parse(source.edited(edits))), notes)


def _missing(net: Net, layer: Layer, stored: LayerBlobs) -> Iterator[tuple[str, str]]:
    readers = [reader for top in layer.tops for reader in net.readers.get(top, ())]
    cancelled = bool(readers) and all(reader.type in _NORMALISING for reader in readers)
    if layer.params.bias_term and len(stored.blobs) == 1 and cancelled:  # BatchNorm takes any bias out again
        yield "bias_term", "false"
    outputs, per_group = (*stored.blobs[0].shape, 0, 0)[:2]
    forgotten = layer.params.group == 1 == per_group and outputs == layer.params.num_output > 1
    if forgotten and stored.type in _DEPTHWISE:
        yield "group", str(outputs)


def _written(net: Net, layer: Layer, missing: list[tuple[str, str]]) -> Iterator[Edit]:
    entry: Field = next(entry for entry in layer.message.fields if entry.name == "convolution_param")
    assert isinstance(entry.value, Message)
    new = []
    for name, value in missing:
        present = [item for item in entry.value.fields if item.name == name]
        if present:
            yield Edit(present[-1].value.start, present[-1].value.end, value)
        else:
            new.append(f"{name}: {value}")
    if new:
        yield insertion(net.source, entry, new)
