"""A Caffe network as an ONNX graph, built from the parsed network and its weights.

The conversion is exact but for rounding, and kind to the peer: BatchNorm and Scale become Mul and Add, which
onnxruntime computes faster than its BatchNormalization, and one pair does for both where nobody wants the value between
them; it is then folded into the convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from xportdnn.layers import Array, Arrays, Shape, convolution, pooling
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OPSET = 17


def name_of(value: Value) -> str:
    """The tensor of a value; blobs that layers overwrite in place are several."""
    return f"{value.blob}@{value.writer}"


def model(
    net: Net, shapes: Mapping[Value, Shape], weights: Mapping[int, Arrays], outputs: Collection[Value]
) -> ModelProto:
    """The graph that computes `outputs` (none of them an input) from the network's inputs.

    Raises:
        ValueError: a layer that has no ONNX form here.
    """
    builder = _Builder(net, shapes, weights, frozenset(outputs))
    for layer in runnable(net, net.inputs):
        builder.add(layer)
    graph = helper.make_graph(
        builder.nodes,
        net.source.name,
        [_typed(value, shapes) for value in net.inputs],
        [_typed(value, shapes) for value in outputs],
        builder.initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)


def _typed(value: Value, shapes: Mapping[Value, Shape]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name_of(value), TensorProto.FLOAT, shapes[value])


class _Builder:
    """Collects nodes and initializers, layer by layer."""

    def __init__(
        self, net: Net, shapes: Mapping[Value, Shape], weights: Mapping[int, Arrays], outputs: frozenset[Value]
    ) -> None:
        self.net = net
        self.shapes = shapes
        self.weights = weights
        self.outputs = outputs
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []

    def add(self, layer: Layer) -> None:
        assert layer.kind is not None
        rule = _RULES.get(layer.kind.name)
        if rule is None:
            raise ValueError(f"{self.net.at(layer)}: no ONNX form of {layer.kind.name}")
        rule(self, layer)

    def node(self, layer: Layer, operator: str, *extra: str, bottom: str = "", **attributes: Any) -> None:
        """A node from the layer's bottoms, or from `bottom`, and `extra` inputs to its first top."""
        inputs = [bottom] if bottom else [name_of(value) for value in layer.bottoms]
        self.nodes.append(
            helper.make_node(operator, [*inputs, *extra], [name_of(layer.tops[0])], name=layer.name, **attributes)
        )

    def constant(self, layer: Layer, label: str, array: Array) -> str:
        name = f"{layer.name}:{label}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def blobs(self, layer: Layer) -> list[str]:
        return [self.constant(layer, f"blob{i}", blob) for i, blob in enumerate(self.weights[layer.index])]


_Rule: TypeAlias = Callable[[_Builder, Layer], None]


def _convolution(graph: _Builder, layer: Layer) -> None:
    windows = convolution.windows_of(layer.params, graph.shapes[layer.bottoms[0]])
    graph.node(
        layer,
        "Conv",
        *graph.blobs(layer),
        group=layer.params.group,
        kernel_shape=windows.kernel,
        strides=windows.stride,
        dilations=windows.dilation,
        pads=windows.pad * 2,
    )


def _pooling(graph: _Builder, layer: Layer) -> None:
    params, size, counts = layer.params, graph.shapes[layer.bottoms[0]][2:], graph.shapes[layer.tops[0]][2:]
    windows = pooling.windows_of(params, size)
    reached = [(count - 1) * stride for count, stride in zip(counts, windows.stride, strict=True)]
    # Caffe's last window may stick out: padding behind stands for the rounding up
    behind = [
        max(start + kernel - length - pad, 0)
        for start, kernel, length, pad in zip(reached, windows.kernel, size, windows.pad, strict=True)
    ]
    pads = (*windows.pad, *behind)
    if params.pool == "AVE" and any(pads):
        raise ValueError(f"{graph.net.at(layer)}: no ONNX form of padded averages")
    if params.pool == "AVE" and windows.kernel == size:
        graph.node(layer, "GlobalAveragePool")
        return
    operator = {"MAX": "MaxPool", "AVE": "AveragePool"}[params.pool]
    graph.node(layer, operator, kernel_shape=windows.kernel, strides=windows.stride, pads=pads)


def _inner_product(graph: _Builder, layer: Layer) -> None:
    flat = f"{layer.name}:flat"
    graph.nodes.append(helper.make_node("Flatten", [name_of(layer.bottoms[0])], [flat], axis=layer.params.axis))
    graph.node(layer, "Gemm", *graph.blobs(layer), bottom=flat, transB=int(not layer.params.transpose))


def _affine(graph: _Builder, layer: Layer) -> None:
    """BatchNorm or Scale, with the BatchNorm before it where only this layer reads that."""
    if layer.kind is not None and layer.kind.name == "BatchNorm" and _absorbed(graph, layer.tops[0]):
        return
    bottom = layer.bottoms[0]
    factor, shift = _factor_shift(graph, layer)
    if _absorbed(graph, bottom):
        before = graph.net.layers[bottom.writer]
        bottom, (first, offset) = before.bottoms[0], _factor_shift(graph, before)
        factor, shift = factor * first, factor * offset + shift
    product = f"{layer.name}:product"
    planes = [
        graph.constant(layer, label, vector.astype(np.float32).reshape(-1, 1, 1))
        for label, vector in (("factor", factor), ("shift", shift))
    ]
    graph.nodes.append(helper.make_node("Mul", [name_of(bottom), planes[0]], [product]))
    graph.node(layer, "Add", planes[1], bottom=product)


def _absorbed(graph: _Builder, value: Value) -> bool:
    """Whether a Scale computes this BatchNorm's value by the way."""
    writer, readers = graph.net.layers[value.writer], graph.net.readers.get(value, ())
    types = [layer.type for layer in (writer, *readers)]
    return types == ["BatchNorm", "Scale"] and value not in graph.outputs


def _factor_shift(graph: _Builder, layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The layer as x * factor + shift for each channel, float64."""
    blobs = [blob.astype(np.float64) for blob in graph.weights[layer.index]]
    if layer.type == "Scale":
        return blobs[0], blobs[1] if len(blobs) > 1 else np.zeros_like(blobs[0])
    mean, variance = blobs[0] / blobs[2], blobs[1] / blobs[2]
    factor = 1 / np.sqrt(variance + layer.params.eps)
    return factor, -mean * factor


def _eltwise(graph: _Builder, layer: Layer) -> None:
    if layer.params.coeff or layer.params.operation != "SUM":
        raise ValueError(f"{graph.net.at(layer)}: no ONNX form of this Eltwise")
    graph.node(layer, "Add" if len(layer.bottoms) == 2 else "Sum")


def _relu(graph: _Builder, layer: Layer) -> None:
    if layer.params.negative_slope:
        raise ValueError(f"{graph.net.at(layer)}: no ONNX form of a leaky ReLU")
    graph.node(layer, "Relu")


_RULES: dict[str, _Rule] = {
    "BatchNorm": _affine,
    "Concat": lambda graph, layer: graph.node(layer, "Concat", axis=1),
    "Convolution": _convolution,
    "Dropout": lambda graph, layer: graph.node(layer, "Identity"),
    "Eltwise": _eltwise,
    "InnerProduct": _inner_product,
    "Pooling": _pooling,
    "ReLU": _relu,
    "Scale": _affine,
    "Softmax": lambda graph, layer: graph.node(layer, "Softmax", axis=layer.params.axis),
}
