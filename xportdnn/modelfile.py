"""A caffemodel as bytes: what `caffemodel` reads, written in the one form that every reader takes.

CHaiDNN's parser wants `layer` entries (not V1 `layers`), a BlobShape and packed `float data`; other readers take that
too. Field numbers: schemas/caffemodel.proto. The bytes come piece by piece, values that the old file already holds as
packed floats straight from its mapping, so that a large file needs little memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TypeAlias, Union

from xportdnn.caffemodel import Blob, LayerBlobs
from xportdnn.lazy import np

Piece: TypeAlias = Union[bytes, memoryview]

_LAYER, _NAME, _TYPE, _BLOBS = 100, 1, 2, 7  # NetParameter.layer; LayerParameter
_DATA, _SHAPE, _DIM = 5, 7, 1  # BlobProto; BlobShape
_FLOAT = "<f4"
_STRETCH = 1 << 22


def pieces(layers: Iterable[LayerBlobs]) -> Iterator[Piece]:
    """The bytes of a caffemodel with these layers in this order; layers without blobs are left out.

    Raises:
        WeightsError: a blob's values do not fit its shape.
    """
    for layer in layers:
        if layer.blobs:
            yield from _layer(layer)


def _layer(layer: LayerBlobs) -> Iterator[Piece]:
    head = _field(_NAME, layer.name.encode("utf-8", "surrogateescape")) + _field(_TYPE, layer.type.encode())
    fronts = [_front(blob) for blob in layer.blobs]
    sizes = [len(front) + 4 * math.prod(blob.shape) for front, blob in zip(fronts, layer.blobs, strict=True)]
    entries = [_opening(_BLOBS, size) for size in sizes]
    length = len(head) + sum(map(len, entries)) + sum(sizes)
    yield _opening(_LAYER, length) + head
    for entry, front, blob in zip(entries, fronts, layer.blobs, strict=True):
        yield entry + front
        yield from _values(blob)


def _front(blob: Blob) -> bytes:
    """Everything of a BlobProto before its values: the shape, and the head of the values."""
    return _shape(blob) + _opening(_DATA, 4 * math.prod(blob.shape))


def _shape(blob: Blob) -> bytes:
    """The BlobShape, which a blob without axes has not (blob.cpp, ToProto).

    A legacy blob that no layer's rule has given its true axes keeps num, channels, height and width: Caffe fits those
    to the layer, and would refuse four axes of a BlobShape.
    """
    if blob.legacy:
        return b"".join(_varint(number << 3) + _varint(dim) for number, dim in enumerate(blob.shape, 1))
    dims = b"".join(map(_varint, blob.shape))
    return _field(_SHAPE, _field(_DIM, dims)) if dims else b""


def _values(blob: Blob) -> Iterator[Piece]:
    """The values as packed little-endian floats."""
    plain = all(segment.packed and segment.dtype == _FLOAT for segment in blob.segments)
    if not plain or blob.count != math.prod(blob.shape):
        yield np.ascontiguousarray(blob.values(), _FLOAT).tobytes()
        return
    view = memoryview(blob.data)
    for segment in blob.segments:
        end = segment.start + segment.length
        for start in range(segment.start, end, _STRETCH):
            yield view[start : min(start + _STRETCH, end)]


def _field(number: int, payload: bytes) -> bytes:
    return _opening(number, len(payload)) + payload


def _opening(number: int, length: int) -> bytes:
    """Tag and length of a field of bytes (wire type 2)."""
    return _varint(number << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    """Seven bits per byte, the lowest first."""
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)
