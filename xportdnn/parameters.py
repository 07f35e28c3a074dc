"""The parameters of one layer: its block in the text, read by the rules of its type."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from xportdnn.decode import decode, unknown_fields
from xportdnn.errors import LayerError
from xportdnn.layers import LayerKind
from xportdnn.prototxt import Message, Source

_DEPTHWISE = {"DepthwiseConvolution", "ConvolutionDepthwise"}
_LAYER_FIELDS = {
    "name", "type", "bottom", "top", "phase", "loss_weight", "param", "blobs", "propagate_down", "include", "exclude",
    "user_defined_layer",
}  # fmt: skip


class Read(NamedTuple):
    """What the text of a layer says.

    Attributes:
        params: an instance of the type's `params`.
        unknown: fields that Caffe does not have.
        doubt: what Caffe refuses although it cannot change the forward; empty if there is nothing.
    """

    params: Any
    unknown: tuple[str, ...]
    doubt: str


def of_layer(source: Source, layer: Message, kind: LayerKind[Any]) -> Read:
    """The parameters of a layer.

    Raises:
        LayerError: a field of the wrong sort or given twice, or text that Caffe refuses.
    """
    blocks = [entry for entry in layer.fields if entry.name == kind.field]
    if len(blocks) > 1:
        raise LayerError(f"{kind.field} is given again in line {source.line(blocks[1].start)}; merge the two blocks")
    block = blocks[0].value if blocks else None
    if block is not None and not isinstance(block, Message):
        raise LayerError(f"{kind.field} must be a {{ }} block")
    params = decode(block, kind.params, layer)
    kind.refuse(layer)
    if layer.string("type") in _DEPTHWISE and (block is None or not block.all("group")):
        params = replace(params, group=params.num_output)
    unknown = unknown_fields(block, kind.params) if block is not None else []
    unknown = [f"{kind.field}.{name}" for name in unknown] + _unknown_in_layer(layer)
    return Read(params, tuple(unknown), kind.doubt(layer))


def _unknown_in_layer(layer: Message) -> list[str]:
    return [
        entry.name
        for entry in layer.fields
        if entry.name not in _LAYER_FIELDS and not entry.name.endswith("_param") and not entry.name.startswith("[")
    ]
