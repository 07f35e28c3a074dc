"""NVIDIA's BatchNorm, which is a BatchNorm and a Scale in one, taken apart into the two.

Its blobs are mean, variance, a correction that nothing uses, scale and bias (NVIDIA/caffe batch_norm_layer.cpp,
`scale_bias`; opencv pull request 10746). The mean and variance are no sums, so that the third blob becomes 1; eps is
at least 1e-5 there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from xportdnn.build import build
from xportdnn.caffemodel import Blob, Caffemodel, LayerBlobs
from xportdnn.edits import lines_of
from xportdnn.lazy import np
from xportdnn.literals import quoted
from xportdnn.network import Layer, Net
from xportdnn.prototxt import Edit, Scalar, parse

_BLOBS = 5
_FIELDS = ("scale_bias", "scale_filler", "bias_filler")
_LEAST_EPS = 1e-5


class Split(NamedTuple):
    """A network and its weights without such layers, and one sentence if there were any."""

    net: Net
    model: Caffemodel
    notes: tuple[str, ...]


def split(net: Net, model: Caffemodel) -> Split:
    """Every BatchNorm with five blobs as a BatchNorm with three and a Scale with two behind it."""
    fused = [layer for layer in net.layers if _is_fused(layer, model.names.get(layer.name))]
    if not fused:
        return Split(net, model, ())
    taken = {layer.name for layer in net.layers} | {layer.name for layer in net.left_out}
    names = {layer.name: _free(f"{layer.name}_scale", taken) for layer in fused}
    source = net.source.edited([edit for layer in fused for edit in _edits(net, layer, names[layer.name])])
    note = (
        f"{net.source.name}: {len(fused)} BatchNorm layers hold a scale and a bias, as in NVIDIA's Caffe; each is now "
        f"a BatchNorm and a Scale: {', '.join(layer.name for layer in fused)}"
    )
    return Split(build(parse(source)), replace(model, layers=tuple(_entries(model, names))), (note,))


def _is_fused(layer: Layer, stored: LayerBlobs | None) -> bool:
    if stored is None or layer.kind is None or layer.kind.name != "BatchNorm" or len(stored.blobs) != _BLOBS:
        return False
    counts = [blob.count for blob in stored.blobs]
    return counts[2] == 1 and len({*counts[:2], *counts[3:]}) == 1


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _edits(net: Net, layer: Layer, name: str) -> Iterator[Edit]:
    """The fields of the fork go, and a Scale stands behind the layer, in place."""
    source, newline = net.source, net.source.newline
    for entry in layer.message.fields:
        if entry.name != "batch_norm_param" or isinstance(entry.value, Scalar):
            continue
        for field in entry.value.fields:
            if field.name in _FIELDS:
                yield Edit(*lines_of(source, field.start, field.end), "")
            elif field.name == "eps" and layer.params.eps < _LEAST_EPS:
                yield Edit(field.value.start, field.value.end, str(_LEAST_EPS))
    top = quoted(layer.tops[0].blob)
    lines = (
        "layer {", f"  name: {quoted(name)}", '  type: "Scale"', f"  bottom: {top}", f"  top: {top}",
        "  scale_param { bias_term: true }", "}",
    )  # fmt: skip
    yield Edit(layer.entry.end, layer.entry.end, newline + newline.join(lines))


def _entries(model: Caffemodel, names: Mapping[str, str]) -> Iterator[LayerBlobs]:
    for entry in model.layers:
        if entry.name not in names or len(entry.blobs) != _BLOBS:
            yield entry
            continue
        mean, variance, correction, scale, bias = (_flat(blob) for blob in entry.blobs)
        one = Blob.of(np.ones(1, np.float32), correction.where)
        yield LayerBlobs(entry.name, entry.type, (mean, variance, one))
        yield LayerBlobs(names[entry.name], "Scale", (scale, bias))


def _flat(blob: Blob) -> Blob:
    """The blob with one axis."""
    return replace(blob, shape=(blob.count,), legacy=False)
