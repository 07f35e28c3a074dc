"""A caffemodel's layers and blobs, found without copying or decoding them.

The file is mapped into memory and walked as protobuf wire format: names, types and shapes come out at once, values
are NumPy views made on demand. Both generations are read (`layer` = field 100, `layers` = field 2 and the V0 layer
inside it), as are BlobShape and the legacy num/channels/height/width, float, double and half (`raw_data`, NVIDIA's
fork) values. Values that are not packed are left to google.protobuf. Field numbers: schemas/caffemodel.proto.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from struct import unpack_from
from typing import TYPE_CHECKING, NamedTuple

from xportdnn import files
from xportdnn.accidents import accident
from xportdnn.blobproto import blob_class
from xportdnn.errors import WeightsError
from xportdnn.lazy import np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from xportdnn.layers import Array, Shape

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT, _DOUBLE, _HALF = "<f4", "<f8", "<f2"
_ZIP = b"PK\x03\x04"
_RAW_TYPES = {0: _DOUBLE, 1: _FLOAT, 2: _HALF}


class Segment(NamedTuple):
    """A stretch of values: NumPy dtype, byte offset, byte length; `packed` is False for one tag per value."""

    dtype: str
    start: int
    length: int
    packed: bool = True


@dataclass(frozen=True)
class Blob:
    """One weight blob: its shape and where its values lie.

    Attributes:
        shape: dimensions; legacy blobs have four, or fewer after `Weights` fitted them to the layer.
        legacy: the file gave num/channels/height/width instead of a BlobShape.
        where: "file: layer name, blob index" for messages.
        stored_in: the field of BlobProto that holds the values.
    """

    shape: Shape
    legacy: bool
    where: str
    segments: tuple[Segment, ...] = field(repr=False)
    data: mmap.mmap | bytes | memoryview = field(repr=False)
    stored_in: str = "data"

    @classmethod
    def of(cls, array: Array, where: str) -> Blob:
        """A blob that lies in no file but in the memory of an array; nothing is copied where that is contiguous."""
        flat = np.ascontiguousarray(array, "<f4").reshape(-1)
        return cls(array.shape, False, where, (Segment("<f4", 0, flat.nbytes),), flat.view(np.uint8).data.toreadonly())

    @property
    def count(self) -> int:
        """Number of values stored."""
        return sum(_values(segment) for segment in self.segments)

    @property
    def is_whole(self) -> bool:
        """Whether there are as many values as the shape needs."""
        return self.count == math.prod(self.shape)

    def values(self) -> Array:
        """The values as a read-only float32 array of `shape`, a view of the file where it holds packed floats.

        Raises:
            WeightsError: the number of values does not fit the shape.
        """
        if not self.is_whole:
            raise self._cut()
        parts = [_array(self.data, segment) for segment in self.segments]
        flat = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0, np.float32)
        array = np.asarray(flat, np.float32).reshape(self.shape)
        array.flags.writeable = False
        return array

    def floats(self) -> Sequence[float]:
        """The values in a row, without NumPy where the file holds packed floats: for vectors, which are short.

        Raises:
            WeightsError: the number of values does not fit the shape.
        """
        if len(self.segments) != 1 or not self.segments[0].packed or self.segments[0].dtype != _FLOAT:
            values: list[float] = self.values().ravel().tolist()
            return values
        if not self.is_whole:
            raise self._cut()
        return unpack_from(f"<{self.count}f", self.data, self.segments[0].start)

    def _cut(self) -> WeightsError:
        return WeightsError(
            f"{self.where} holds {self.count} values, its shape {list(self.shape)} needs {math.prod(self.shape)}; "
            "the file is damaged or was cut"
        )


class LayerBlobs(NamedTuple):
    """What a caffemodel says of one layer.

    Attributes:
        generation: 2 for an entry of `layer`; 1, or 0 for one that is wrapped, of `layers`.
    """

    name: str
    type: str
    blobs: tuple[Blob, ...]
    generation: int = 2


@dataclass(frozen=True)
class Caffemodel:
    """The layers of a caffemodel in file order; `path` is empty where no file was given."""

    path: str
    layers: tuple[LayerBlobs, ...]

    @cached_property
    def names(self) -> dict[str, LayerBlobs]:
        """Layers with blobs by name; a later layer of the same name wins, as in Caffe."""
        return {layer.name: layer for layer in self.layers if layer.blobs}


def read(path: str | Path) -> Caffemodel:
    """All layers and blobs of a caffemodel; no value is touched.

    Raises:
        WeightsError: the file cannot be read or is no caffemodel, with the probable accident.
    """
    data = _open(path)
    try:
        layers = tuple(_layers(data, str(path)))
        if not layers and len(data) > 1 << 16:
            raise _DamagedError("it holds no layer")
    except _DamagedError as damage:
        raise WeightsError(f"{path}: not a readable caffemodel: {accident(data, str(damage))}") from None
    return Caffemodel(str(path), layers)


def read_blob(path: str | Path) -> Array:
    """The one BlobProto of a `.binaryproto` file (a mean image), float32 in its own shape.

    Raises:
        WeightsError: the file cannot be read or is no BlobProto.
    """
    data = _open(path)
    try:
        blob = _blob(data, 0, len(data), str(path))
    except _DamagedError as damage:
        raise WeightsError(f"{path}: not a readable binaryproto: {accident(data, str(damage))}") from None
    if not blob.count:
        raise WeightsError(f"{path}: this binaryproto holds no values; a mean file has one blob of floats")
    return blob.values()


def is_zip(path: str | Path) -> bool:
    """Whether the file is a zip archive, as quantized weights are (`codefile`); False of all that cannot be read."""
    try:
        with files.opened(path) as file:
            return file.read(len(_ZIP)) == _ZIP
    except OSError:
        return False


class _DamagedError(Exception):
    """The bytes are no wire format; says where."""


def _open(path: str | Path) -> mmap.mmap | bytes:
    try:
        with files.opened(path) as file:
            if not file.seek(0, 2):
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}; check --weights") from None
    except ValueError:
        return files.read(path)


def _fields(data: mmap.mmap | bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(field number, wire type, start of the value, end of the value); a varint's value is returned as start."""
    at = start
    while at < end:
        tag_at = at
        tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise _DamagedError(f"a field without a number at byte {tag_at}")
        if wire == _BYTES:
            length, at = _varint(data, at, end)
            after = at + length
        elif wire == _VARINT:
            value, after = _varint(data, at, end)
            yield number, wire, value, after
            at = after
            continue
        elif wire in (_FIXED32, _FIXED64):
            after = at + (4 if wire == _FIXED32 else 8)
        else:
            raise _DamagedError(f"impossible wire type {wire} at byte {tag_at}")
        if after > end:
            raise _DamagedError(f"a field at byte {tag_at} runs past its end")
        yield number, wire, at, after
        at = after


def _varint(data: mmap.mmap | bytes, at: int, end: int) -> tuple[int, int]:
    result = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
        if shift > 63:
            break
    raise _DamagedError(f"an unfinished number at byte {at}")


def _layers(data: mmap.mmap | bytes, path: str) -> Iterator[LayerBlobs]:
    for number, wire, start, end in _fields(data, 0, len(data)):
        if number == 100 and wire == _BYTES:
            yield _layer(data, start, end, path, name=1, kind=2, blobs=7)
        elif number == 2 and wire == _BYTES:
            yield _old_layer(data, start, end, path)


def _old_layer(data: mmap.mmap | bytes, start: int, end: int, path: str) -> LayerBlobs:
    """A `layers` entry: V1, or the V0 layer that it wraps (field 1)."""
    for number, wire, inner, after in _fields(data, start, end):
        if number == 1 and wire == _BYTES:
            return _layer(data, inner, after, path, name=1, kind=2, blobs=50)._replace(generation=0)
    return _layer(data, start, end, path, name=4, kind=5, blobs=6)._replace(generation=1)


def _layer(data: mmap.mmap | bytes, start: int, end: int, path: str, *, name: int, kind: int, blobs: int) -> LayerBlobs:
    title = type_name = ""
    spans: list[tuple[int, int]] = []
    for number, wire, at, after in _fields(data, start, end):
        if number == name and wire == _BYTES:
            title = data[at:after].decode("utf-8", "replace")
        elif number == kind:
            type_name = data[at:after].decode("utf-8", "replace") if wire == _BYTES else str(at)
        elif number == blobs and wire == _BYTES:
            spans.append((at, after))
    return LayerBlobs(
        title,
        type_name,
        tuple(_blob(data, at, after, f'{path}: layer "{title}", blob {i}') for i, (at, after) in enumerate(spans)),
    )


def _blob(data: mmap.mmap | bytes, start: int, end: int, where: str) -> Blob:
    shape: Shape | None = None
    legacy: dict[int, int] = {}
    floats: list[Segment] = []
    doubles: list[Segment] = []
    raw: list[Segment] = []
    raw_type = _FLOAT
    at = start
    while at < end:
        number, wire, value, after = next(_fields(data, at, end))
        if number == 7 and wire == _BYTES:
            shape = _dims(data, value, after)
        elif number in (1, 2, 3, 4) and wire == _VARINT:
            legacy[number] = value
        elif number == 5:
            after = _collect(data, at, value, after, end, wire, _FLOAT, floats)
        elif number == 8:
            after = _collect(data, at, value, after, end, wire, _DOUBLE, doubles)
        elif number == 10 and wire == _VARINT:
            raw_type = _RAW_TYPES.get(value, "")
        elif number == 12 and wire == _BYTES:
            raw.append(Segment("", value, after - value))
        at = after
    if raw and not raw_type:
        raise WeightsError(f"{where} holds integers (raw_data_type); export float, double or half precision values")
    # double_data wins over data where both are present (blob.cpp, FromProto)
    segments = tuple(doubles or floats or [segment._replace(dtype=raw_type) for segment in raw])
    stored_in = "double_data" if doubles else "data" if floats or not raw else "raw_data"
    if shape is None and legacy:
        return Blob(tuple(legacy.get(number, 0) for number in (1, 2, 3, 4)), True, where, segments, data, stored_in)
    # a blob without axes, a single number, is stored with no shape at all (blob.cpp, ToProto)
    return Blob(shape or (), False, where, segments, data, stored_in)


def _collect(
    data: mmap.mmap | bytes, tag: int, start: int, after: int, end: int, wire: int, dtype: str, found: list[Segment]
) -> int:
    """Append the values at `tag`: a packed run, or all single values in a row; the offset after them."""
    if wire == _BYTES:
        found.append(Segment(dtype, start, after - start))
        return after
    stride = after - tag
    heads = bytes(data[tag:end:stride])
    run = len(heads) - len(heads.lstrip(heads[:1]))
    if tag + run * stride > end:
        raise _DamagedError(f"a field at byte {tag + (run - 1) * stride} runs past its end")
    found.append(Segment(dtype, tag, run * stride, packed=False))
    return tag + run * stride


def _dims(data: mmap.mmap | bytes, start: int, end: int) -> Shape:
    dims: list[int] = []
    for number, wire, value, after in _fields(data, start, end):
        if number != 1:
            continue
        if wire == _VARINT:
            dims.append(value)
        else:
            at = value
            while at < after:
                dim, at = _varint(data, at, after)
                dims.append(dim)
    return tuple(dims)


def _values(segment: Segment) -> int:
    size = int(segment.dtype[2:])
    return segment.length // (size if segment.packed else size + 1)


def _array(data: mmap.mmap | bytes | memoryview, segment: Segment) -> NDArray[np.floating]:
    if segment.packed:
        return np.frombuffer(data, segment.dtype, _values(segment), segment.start)
    message = blob_class()()
    message.ParseFromString(bytes(data[segment.start : segment.start + segment.length]))
    return np.array(message.data if segment.dtype == _FLOAT else message.double_data, segment.dtype)
