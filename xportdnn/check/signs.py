"""Which values of a network cannot be below 0."""

from __future__ import annotations

from xportdnn.network import Layer, Net, Value

_RECTIFYING = frozenset({"AbsVal", "ReLU6", "Sigmoid", "Softmax"})
_KEEPING = frozenset({
    "Concat", "Crop", "Dropout", "Flatten", "LRN", "Permute", "Pooling", "ReLU", "Reshape", "Slice", "Split",
})  # fmt: skip


def nonnegative(net: Net) -> frozenset[Value]:
    """The values that are at least 0 for every input, as far as the types of the layers show it."""
    found: set[Value] = set()
    for layer in net.layers:
        if layer.kind is not None and not layer.is_input and _keeps(layer, found):
            found |= set(layer.tops)
    return frozenset(found)


def _keeps(layer: Layer, found: set[Value]) -> bool:
    assert layer.kind is not None
    name = layer.kind.name
    if name in _RECTIFYING or (name == "ReLU" and not layer.params.negative_slope):
        return True
    inputs = found.issuperset(layer.bottoms)
    if name == "Eltwise":
        return inputs and all(factor >= 0 for factor in layer.params.coeff)
    return inputs and name in _KEEPING
