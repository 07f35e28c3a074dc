"""Which values share one threshold.

The board moves integers unchanged through ReLU, pooling, Concat, Eltwise and everything that only rearranges, so the
blobs such a layer ties together can have only one scale (CHaiDNN xtract_opt.cpp; there is no requantization at these
layers). The classes are found by union-find over values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from xportdnn.choices import ScaleClasses
from xportdnn.network import Layer, Net, Value

# What the original tool tied: its Eltwise kept the larger input threshold and gave its sum one of its own.
_ORIGINAL = frozenset({"ReLU", "Pooling", "Split", "Concat", "Dropout", "Flatten", "Reshape", "Permute"})

# Layers that the board computes inside their producer: it never stores the value they read.
_FOLDED = frozenset({"ReLU", "ReLU6", "Clip"})

# Tied layers whose tops hold other numbers than their bottoms.
_COMPUTING = frozenset({"Eltwise", "Pooling"})

# Layers whose tops are their bottom's memory in Caffe; all others write into their own.
_SHARING = frozenset({"Split", "Flatten", "Reshape"})


def classes(layers: Iterable[Layer], how: ScaleClasses) -> dict[Value, Value]:
    """Every value of the layers -> the first value of its class in file order."""
    parents: dict[Value, Value] = {}

    def find(value: Value) -> Value:
        root = value
        while parents.setdefault(root, root) != root:
            root = parents[root]
        while parents[value] != root:
            parents[value], value = root, parents[value]
        return root

    for layer in layers:
        for value in (*layer.bottoms, *layer.tops):
            find(value)
        tied = list(_tied(layer, how))
        for value in tied[1:]:
            first, second = sorted((find(tied[0]), find(value)), key=lambda value: value.writer)
            parents[second] = first
    return {value: find(value) for value in parents}


def fraction_classes(layers: Iterable[Layer]) -> dict[Value, Value]:
    """The same for fractional lengths of DynamicFixed mode, which end at AVE pooling.

    It shifts from fl_layer_in to fl_layer_out (CHaiDNN xi_dnn_conv_utils.hpp, loadsf_avg_pool).
    """
    layers = list(layers)
    tied = [layer for layer in layers if not averages(layer)]
    alone = {value: value for layer in layers for value in (*layer.bottoms, *layer.tops)}
    return alone | classes(tied, ScaleClasses.BOARD)


def last_versions(layers: Iterable[Layer]) -> dict[Value, Value]:
    """Every value of the layers -> what stands in its blob when all of them have run.

    There Ristretto looks for the largest |x| of every layer (net.cpp RangeInLayers): in-place layers have written over
    what theirs put out.
    """
    ends: dict[Value, Value] = {}
    for layer in layers:
        ends |= {value: value for value in (*layer.bottoms, *layer.tops) if value not in ends}
        for top in layer.tops:
            over = {value for value in layer.bottoms if value.blob == top.blob}
            ends |= {value: top for value, end in ends.items() if end in over}
    return ends


def scores(net: Net) -> frozenset[Value]:
    """The values whose largest number is the answer: what a Softmax or an ArgMax reads.

    And what becomes that by being rectified, moved or pooled only. To clip them makes the best classes equal, which the
    error of a whole blob does not show: there are many classes, and one of them is right.
    """
    found: set[Value] = set()
    waiting = [
        value
        for layer in net.layers
        if layer.kind is not None and layer.kind.name in ("Softmax", "ArgMax")
        for value in layer.bottoms
    ]
    while waiting:
        value = waiting.pop()
        if value not in found:
            found.add(value)
            writer = net.layers[value.writer]
            if repeats(writer) or (writer.kind is not None and writer.kind.name == "Pooling"):
                waiting.extend(writer.bottoms)
    return frozenset(found)


def decisive(net: Net, classes: Mapping[Value, Value]) -> frozenset[Value]:
    """The classes that hold scores.

    Args:
        classes: value -> class.
    """
    return frozenset(classes[value] for value in scores(net) if value in classes)


def averages(layer: Layer) -> bool:
    """Whether the layer is AVE pooling."""
    return layer.kind is not None and layer.kind.name == "Pooling" and layer.params.pool == "AVE"


def _tied(layer: Layer, how: ScaleClasses) -> Iterator[Value]:
    if layer.kind is None or layer.kind.ties == "none":
        return
    if how is ScaleClasses.ORIGINAL and layer.kind.name not in _ORIGINAL:
        return
    yield from layer.bottoms if layer.kind.ties == "all" else layer.bottoms[:1]
    # the second top of Pooling holds indices, which are no quantity
    yield from layer.tops[:1] if layer.kind.name == "Pooling" else layer.tops


def folded(net: Net, value: Value) -> bool:
    """Whether the board never stores this value: only layers that it folds into the producer read it."""
    readers = net.readers.get(value, ())
    return bool(readers) and all(reader.kind is not None and reader.kind.name in _FOLDED for reader in readers)


def shares_memory(layer: Layer) -> bool:
    """Whether the layer's tops are its bottom's memory in Caffe (ShareData), so that writing to one is seen in all."""
    return layer.kind is not None and layer.kind.name in _SHARING


def copied(layer: Layer) -> bool:
    """Whether the layer's tops hold only numbers that its bottoms hold already."""
    kind = layer.kind
    return kind is not None and kind.ties != "none" and kind.name not in _FOLDED and kind.name not in _COMPUTING


def reads_numbers(layer: Layer, index: int) -> bool:
    """Whether a bottom holds numbers that count, and not only a size or an order."""
    return layer.kind is None or not (layer.kind.sizes_only or (index > 0 and layer.kind.ties == "first"))


def repeats(layer: Layer) -> bool:
    """Whether the layer only moves or rectifies numbers, so that its block says again what its producer's says."""
    return copied(layer) or (layer.kind is not None and layer.kind.name in _FOLDED)


def members(found: Mapping[Value, Value]) -> dict[Value, tuple[Value, ...]]:
    """Class -> its values."""
    grouped: dict[Value, list[Value]] = {}
    for value, root in found.items():
        grouped.setdefault(root, []).append(value)
    return {root: tuple(values) for root, values in grouped.items()}
