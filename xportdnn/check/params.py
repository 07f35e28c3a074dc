"""A layer's parameters as the board's parser reads them. What the schema refuses counts as absent here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from xportdnn.decode import as_bool, as_float, as_int
from xportdnn.errors import LayerError
from xportdnn.phases import left_out
from xportdnn.prototxt import Message, Scalar, Value

if TYPE_CHECKING:
    from xportdnn.check.subject import BoardLayer, Subject

T = TypeVar("T")

# caffe_layer_map.hpp, fillCaffeLayerMap, with Caffe's own name for what the board calls otherwise.
REGISTERED: Mapping[str, str] = {
    name: name
    for name in (
        "ArgMax", "BatchNorm", "Concat", "Convolution", "Crop", "Deconvolution", "DetectionOutput", "Dropout",
        "Eltwise", "Flatten", "InnerProduct", "Input", "Normalize", "Permute", "Pooling", "Power", "PriorBox", "ReLU",
        "Reshape", "Scale", "Softmax",
    )
} | {
    "BatchNormRistretto": "BatchNorm",
    "ConvolutionRistretto": "Convolution",
    "DeconvolutionRistretto": "Deconvolution",
    "EltwiseRistretto": "Eltwise",
    "FcRistretto": "InnerProduct",
    "NormalizeRistretto": "Normalize",
    "ScaleRistretto": "Scale",
}  # fmt: skip
# A ReLU, Dropout ... may have its bottom as top; every other layer must make a new blob (EX003).
IN_PLACE = frozenset({"BatchNorm", "Dropout", "Power", "ReLU", "Scale"})

_NOTHING = Message((), -1, -1)


def is_custom(layer: BoardLayer) -> bool:
    """Whether the user brings the layer along, see docs/SOFTWARE_LAYER_PLUGIN.md."""
    return layer.is_custom


def board_type(layer: BoardLayer) -> str:
    """Caffe's name of what the board runs; empty for types that it does not know and for the user's own."""
    return layer.board_type


def of(subject: Subject, *types: str) -> Iterator[BoardLayer]:
    """The layers that the board takes for one of these types."""
    if len(types) == 1:
        return iter(subject.by_type.get(types[0], ()))
    return (layer for layer in subject.layers if layer.board_type in types)


def param(layer: BoardLayer, name: str) -> Message:
    """The block of that name; an empty one where the layer has none."""
    return layer.blocks.get(name, _NOTHING)


def integers(block: Message, name: str) -> list[int]:
    """The whole numbers of a field."""
    return _read(block, name, as_int)


def integer(block: Message, name: str, default: int) -> int:
    """The one whole number of a field."""
    return next(iter(integers(block, name)), default)


def numbers(block: Message, name: str) -> list[float]:
    """The numbers of a field."""
    return _read(block, name, as_float)


def number(block: Message, name: str, default: float) -> float:
    """The one number of a field."""
    return next(iter(numbers(block, name)), default)


def flag(block: Message, name: str, default: bool) -> bool:
    """The one true or false of a field."""
    return next(iter(_read(block, name, as_bool)), default)


def start(block: Message, *names: str) -> int:
    """Where the last of these fields stands that is there; -1 if there is none."""
    return max((entry.start for entry in block.fields if entry.name in names), default=-1)


def why_left_out(layer: BoardLayer) -> str:
    """Why Caffe would not run the layer in TEST; empty if it would."""
    try:
        return left_out(layer.message)
    except LayerError:
        return ""


def texts(layer: BoardLayer, name: str) -> list[tuple[str, int]]:
    """The texts of a repeated field of the layer, each with where it stands."""
    return [
        (entry.value.text, entry.start)
        for entry in layer.message.fields
        if entry.name == name and isinstance(entry.value, Scalar)
    ]


def commas(values: list[int] | list[float]) -> str:
    """`3, 5` for messages."""
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def _read(block: Message, name: str, reader: Callable[[Value, str], T]) -> list[T]:
    found = []
    for value in block.all(name):
        try:
            found.append(reader(value, name))
        except LayerError:
            continue
    return found
