"""Which blobs there are on the board: its one input, and who makes and reads what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xportdnn.check.params import board_type, integer, integers, is_custom, param
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.prototxt import Field, Message

# Types that hand on as many channels as their first bottom has.
_SAME_CHANNELS = frozenset(
    {"BatchNorm", "Crop", "Dropout", "Eltwise", "Normalize", "Pooling", "Power", "ReLU", "Scale", "Softmax"}
)
_NUM_OUTPUT = {
    "Convolution": "convolution_param", "Deconvolution": "convolution_param", "InnerProduct": "inner_product_param",
}  # fmt: skip

_SOLVER = frozenset({"net", "train_net", "base_lr", "solver_mode"})


def solver_fields(subject: Subject) -> list[Field]:
    """Fields that tell a solver prototxt from a network."""
    return [entry for entry in subject.document.root.fields if entry.name in _SOLVER]


def input_layer(subject: Subject) -> BoardLayer | None:
    """The layer at the top of the file, if it is an Input layer. Only then is an `input:` header not looked at."""
    if subject.layers and subject.layers[0].entry is subject.entries[0] and subject.layers[0].type == "Input":
        return subject.layers[0]
    return None


def input_names(subject: Subject) -> tuple[str, ...]:
    """The tops of the Input layer, or else the inputs of the header."""
    layer = input_layer(subject)
    return tuple(subject.document.root.strings("input")) if layer is None else layer.tops


def input_shapes(subject: Subject) -> list[tuple[Message, str, list[int]]]:
    """(block, field, dims) of each way in which the shape of the input is written."""
    layer = input_layer(subject)
    if layer is not None:
        block = param(layer, "input_param")
        return [(block, "shape", integers(shape, "dim")) for shape in block.messages("shape")[:1]]
    root = subject.document.root
    found = [(root, "input_dim", integers(root, "input_dim"))] if root.all("input_dim") else []
    return found + [(root, "input_shape", integers(shape, "dim")) for shape in root.messages("input_shape")[:1]]


def channels(subject: Subject) -> Mapping[int, int]:
    """Index of a layer -> channels of its first bottom, as far as the text alone tells them."""
    shapes = input_shapes(subject)
    dims = shapes[0][2] if shapes else []
    known = dict.fromkeys(input_names(subject), dims[1]) if len(dims) == 4 else {}
    found: dict[int, int] = {}
    for layer in subject.layers:
        arriving = [known.get(bottom, 0) for bottom in layer.bottoms]
        if arriving and arriving[0]:
            found[layer.index] = arriving[0]
        leaving = _leaving(layer, arriving)
        known |= dict.fromkeys(layer.tops if layer is not input_layer(subject) else (), leaving)
    return found


def _leaving(layer: BoardLayer, arriving: list[int]) -> int:
    """Channels of the tops, 0 where they are not known."""
    kind = board_type(layer)
    if kind in _NUM_OUTPUT:
        return integer(param(layer, _NUM_OUTPUT[kind]), "num_output", 0)
    if kind == "Concat" and integer(param(layer, "concat_param"), "axis", 1) == 1:
        return sum(arriving) if all(arriving) else 0
    return arriving[0] if arriving and kind in _SAME_CHANNELS else 0


def outputs(subject: Subject) -> Iterator[tuple[str, BoardLayer]]:
    """Blobs of layers that the board knows which nobody reads, or only in place, each with its last maker."""
    makers = {top: layer for layer in subject.layers for top in layer.tops[:1]}  # blob-count allows no second
    read = {bottom for layer in subject.layers for bottom in layer.bottoms if bottom not in layer.tops}
    for blob, layer in makers.items():
        if blob not in read and (board_type(layer) or is_custom(layer)):
            yield blob, layer
