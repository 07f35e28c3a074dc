"""What CHaiDNN computes inside another layer (software/xtract, xtract_opt.cpp, xlayer_sequence_generator).

BatchNorm and Scale behind a Convolution become part of its weights. A ReLU becomes the last step of the layer before
it, if that is a Convolution, an Eltwise or an InnerProduct; everywhere else the board drops it without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from xportdnn.network import Layer, Net, Value
from xportdnn.simulation.places import Problems, Warnings

_FOLDING = ("Convolution", "Eltwise", "InnerProduct")
# Taken out of the network before ReLUs are folded.
_TRANSPARENT = ("Dropout", "Reshape", "Flatten")
_DROPPED = "the board drops every ReLU that is not behind a Convolution, Eltwise or InnerProduct; nothing is rectified"


@dataclass
class Fusion:
    """Layers that the board does not compute by themselves, by their indices.

    Attributes:
        normalised: Convolution -> the BatchNorm and Scale that go into its weights.
        owners: layers that another one computes -> that one: BatchNorm and Scale, and every ReLU folded by the kernel.
        rectified: layers whose last step is a ReLU.
        inside: layers whose own tops the board never has.
        dropped: ReLUs that have no effect.
        shared: ReLUs that cannot be folded alone -> the value that other layers would see rectified, too.
    """

    normalised: dict[int, tuple[Layer, Layer]] = field(default_factory=dict)
    owners: dict[int, Layer] = field(default_factory=dict)
    rectified: set[int] = field(default_factory=set)
    inside: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    shared: dict[int, Value] = field(default_factory=dict)


def fuse(net: Net, layers: Sequence[Layer]) -> Fusion:
    """What is fused in these layers."""
    fusion = Fusion()
    for layer in layers:
        if _is(layer, "Convolution"):
            _normalise(net, layer, fusion)
    for layer in layers:
        if _is(layer, "ReLU"):
            _fold(net, layer, fusion)
    return fusion


def report(net: Net, layers: Sequence[Layer], fusion: Fusion, problems: Problems, warnings: Warnings) -> None:
    """Say what becomes of the ReLUs; those that cannot be folded without changing other layers are problems."""
    for layer in layers:
        if not _is(layer, "ReLU"):
            continue
        if layer.params.negative_slope:
            warnings.add("the board has no negative_slope; everything below 0 becomes 0", layer)
        producer = before(net, layer)
        if layer.index in fusion.dropped:
            warnings.add(_DROPPED, layer, f"behind {producer.type}")
        if value := fusion.shared.get(layer.index):
            owner = fusion.owners.get(producer.index, producer)
            readers = ", ".join(reader.name for reader in net.readers[value])
            problems.add(
                layer,
                f"the board computes it inside {owner.name}, whose top '{value.blob}' has other readers, too "
                f"({readers}); they would see it rectified",
            )


def before(net: Net, layer: Layer) -> Layer:
    """The layer that computes what this one reads first, past those that are taken out of the network."""
    return list(_producers(net, layer))[-1]


def _is(layer: Layer, *names: str) -> bool:
    return layer.kind is not None and layer.kind.name in names


def _normalise(net: Net, conv: Layer, fusion: Fusion) -> None:
    """Fuse Convolution, BatchNorm and Scale in a row: all in place, or none and Scale with one reader."""
    batch_norm = _only_reader(net, conv)
    scale = _only_reader(net, batch_norm) if batch_norm is not None and _is(batch_norm, "BatchNorm") else None
    if batch_norm is None or scale is None or not _is(scale, "Scale"):
        return
    in_place = [layer.tops[0].blob == layer.bottoms[0].blob for layer in (batch_norm, scale)]
    if in_place[0] != in_place[1] or (not in_place[1] and _only_reader(net, scale) is None):
        return
    fusion.normalised[conv.index] = (batch_norm, scale)
    fusion.owners |= {batch_norm.index: conv, scale.index: conv}
    fusion.inside |= {conv.index, batch_norm.index}


def _only_reader(net: Net, layer: Layer) -> Layer | None:
    readers = net.readers.get(layer.tops[0], ()) if len(layer.tops) == 1 else ()
    return readers[0] if len(readers) == 1 else None


def _fold(net: Net, relu: Layer, fusion: Fusion) -> None:
    passed = list(_producers(net, relu))
    producer = passed[-1]
    owner = fusion.owners.get(producer.index, producer)
    if not _is(owner, *_FOLDING):
        if not _is(owner, "ReLU"):
            fusion.dropped.add(relu.index)
        return
    shared = [layer for layer in passed if _only_reader(net, layer) is None]
    if shared:
        fusion.shared[relu.index] = shared[-1].tops[0]
        return
    if not _is(owner, "InnerProduct"):  # whose ReLU is computed in float
        fusion.rectified.add(owner.index)
        fusion.owners[relu.index] = owner
        fusion.inside |= {layer.index for layer in passed}


def _producers(net: Net, relu: Layer) -> Iterator[Layer]:
    """The layer before, and while these are taken out of the network those before them."""
    layer = relu
    while True:
        layer = net.layers[layer.bottoms[0].writer]
        yield layer
        if not _is(layer, *_TRANSPARENT):
            return
