"""Layers that read data in Caffe (Data, ImageData, MemoryData ...): for us, inputs to be fed.

Their first top is the picture; the others are labels, which nothing of the forward needs. A shape is known where the
layer's own fields give one.
"""

from __future__ import annotations

from xportdnn.decode import as_bool, as_int
from xportdnn.layers import Shape, Shapes
from xportdnn.prototxt import Message

_TYPES = {
    "Data", "ImageData", "MemoryData", "HDF5Data", "WindowData", "DummyData", "AnnotatedData", "DenseImageData",
    "VideoData", "ImageSegData",
}  # fmt: skip


def is_source(layer_type: str) -> bool:
    """Whether a layer type reads its tops from a data base, files or memory."""
    return layer_type in _TYPES


def source_shapes(layer_type: str, layer: Message) -> Shapes:
    """The shapes of the tops whose shape the layer's own fields give (none, the picture's, or all)."""
    if layer_type == "MemoryData":
        block = _block(layer, "memory_data_param")
        return (tuple(_number(block, name, 0) for name in ("batch_size", "channels", "height", "width")),)
    if layer_type == "DummyData":
        shapes = _block(layer, "dummy_data_param").messages("shape")
        dims = tuple(tuple(as_int(dim, "dim") for dim in shape.all("dim")) for shape in shapes)
        return dims * len(layer.all("top")) if len(dims) == 1 else dims  # one shape serves all tops
    size = _size(layer)
    return ((1, _channels(layer), *size),) if size else ()


def _size(layer: Message) -> Shape:
    """Height and width after the layer's own crop or resize; empty where the pictures decide."""
    transform = _block(layer, "transform_param")
    for block in (transform, _block(layer, "data_param"), _block(layer, "image_data_param")):
        if crop := _number(block, "crop_size", 0):
            return (crop, crop)
    resize = _block(transform, "resize_param")
    for block, height, width in (
        (resize, "height", "width"),
        (_block(layer, "image_data_param"), "new_height", "new_width"),
        (_block(layer, "dense_image_data_param"), "new_height", "new_width"),
    ):
        if _number(block, height, 0) and _number(block, width, 0):
            return (_number(block, height, 0), _number(block, width, 0))
    return ()


def _channels(layer: Message) -> int:
    gray = any(as_bool(value, "force_gray") for value in _block(layer, "transform_param").all("force_gray"))
    color = all(as_bool(value, "is_color") for value in _block(layer, "image_data_param").all("is_color"))
    return 3 if color and not gray else 1


def _block(message: Message, name: str) -> Message:
    found = message.messages(name)
    return found[-1] if found else Message((), 0, 0)


def _number(message: Message, name: str, default: int) -> int:
    values = message.all(name)
    return as_int(values[-1], name) if values else default
