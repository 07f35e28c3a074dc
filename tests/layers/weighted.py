"""One layer with weights: its forward, the checks that every such layer must pass, and OpenCV's forward."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from tests.layers.one_layer import blob, decoded, shapes, text_of
from xportdnn.errors import LayerError
from xportdnn.layers import Array, Arrays, Shape, Shapes
from xportdnn.prototxt import Source, parse


def blob_shapes(body: str, *bottoms: Shape, tops: int = 1) -> Shapes:
    """The shapes of the layer's weights."""
    found, params = decoded(body, len(bottoms), tops)
    return found.blobs(params, bottoms)


def random_blobs(body: str, *bottoms: Shape, tops: int = 1) -> Arrays:
    """Normally distributed weights of the right shapes."""
    wanted = enumerate(blob_shapes(body, *bottoms, tops=tops), start=100)
    return tuple(blob(*shape, seed=seed) for seed, shape in wanted)


def forward(body: str, *bottoms: Array, blobs: Arrays = (), tops: int = 1) -> Arrays:
    """The tops: float32, shaped as `shape()` says; weights are shaped as `blobs()` says; nothing can be written to."""
    found, params = decoded(body, len(bottoms), tops)
    assert tuple(each.shape for each in blobs) == found.blobs(params, tuple(bottom.shape for bottom in bottoms))
    for array in (*bottoms, *blobs):
        array.flags.writeable = False
    results = found.forward(params, bottoms, blobs)
    assert tuple(result.shape for result in results) == shapes(body, *(bottom.shape for bottom in bottoms), tops=tops)
    assert all(result.dtype == np.float32 for result in results)
    return results


def top(body: str, *bottoms: Array, blobs: Arrays = ()) -> Array:
    """The only top."""
    (result,) = forward(body, *bottoms, blobs=blobs)
    return result


def assert_close(actual: Array, expected: ArrayLike) -> None:
    """Equal within 1e-5, relative or of the greatest value."""
    expected = np.asarray(expected)
    finite = np.abs(expected[np.isfinite(expected) & (np.abs(expected) < 1e38)])
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * float(finite.max(initial=0)))


def assert_images_alone(body: str, batch: Array, blobs: Arrays = (), tops: int = 1) -> None:
    """A batch gives, to the bit, what its images give one by one."""
    together = forward(body, batch, blobs=blobs, tops=tops)
    for index in range(len(batch)):
        alone = forward(body, batch[index : index + 1].copy(), blobs=blobs, tops=tops)
        for whole, part in zip(together, alone, strict=True):
            np.testing.assert_array_equal(whole[index : index + 1], part)


def _read(body: str, bottoms: tuple[Shape, ...], tops: int) -> None:
    """What the network does with a layer before any array is there."""
    (layer,) = parse(Source("test.prototxt", text_of(body, len(bottoms), tops))).root.messages("layer")
    found, params = decoded(body, len(bottoms), tops)
    found.refuse(layer)
    found.shape(params, bottoms)


def assert_refused(body: str, *bottoms: Shape, message: str, tops: int = 1) -> None:
    """The text or the shapes are refused with one line that matches `message`."""
    with pytest.raises(LayerError, match=message) as caught:
        _read(body, bottoms, tops)
    assert "\n" not in str(caught.value)


def opencv(body: str, *bottoms: Array, blobs: Arrays = ()) -> Array:
    """The only top as OpenCV computes it from a prototxt and a caffemodel."""
    inputs = ""
    for index, bottom in enumerate(bottoms):
        dims = " ".join(f"dim: {dim}" for dim in bottom.shape)
        inputs += f'input: "bottom{index}" input_shape {{ {dims} }}\n'
    text = (inputs + text_of(body, len(bottoms), 1)).encode()
    layer_type = decoded(body, len(bottoms), 1)[0].name
    net = cv2.dnn.readNetFromCaffe(np.frombuffer(text, np.uint8), _caffemodel(layer_type, blobs))
    for index, bottom in enumerate(bottoms):
        net.setInput(bottom, f"bottom{index}")
    return cast(Array, net.forward())


def _caffemodel(layer_type: str, blobs: Arrays) -> NDArray[np.uint8]:
    """NetParameter { layer = 100 { name = 1, type = 2, blobs = 7 { shape = 7 { dim = 1 }, data = 5 } } }."""
    entry = _field(1, b"it") + _field(2, layer_type.encode())
    for each in blobs:
        dims = b"".join(_varint(dim) for dim in each.shape)
        entry += _field(7, _field(7, _field(1, dims)) + _field(5, each.astype("<f4").tobytes()))
    return np.frombuffer(_field(100, entry), np.uint8)


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
