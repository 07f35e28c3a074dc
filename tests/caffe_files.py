"""Caffemodels written byte by byte, in every form that Caffe's versions and forks have used.

A caffemodel is its layers in a row: `v2("conv1", "Convolution", blob(weight), blob(bias)) + v2(...)`. Field numbers
are those of caffe.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xportdnn.layers import Array, Shape
from xportdnn.network import Net, Value

Values: TypeAlias = Literal["floats", "doubles", "halves", "single floats", "single doubles", "none"]


def varint(value: int) -> bytes:
    """Seven bits per byte, lowest first."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, payload: bytes) -> bytes:
    """A field of bytes: a string, a message or packed numbers."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def integer(number: int, value: int) -> bytes:
    """An integer or enum field."""
    return varint(number << 3) + varint(value)


def blob(array: Array, values: Values = "floats", *, legacy: bool = False) -> bytes:
    """The inside of a BlobProto.

    Args:
        values: how the numbers are written; "single" means one tag for each, as before fields were packed.
        legacy: num, channels, height and width instead of a BlobShape.
    """
    return (_legacy(array.shape) if legacy else shape(array.shape)) + _values(array, values)


def shape(dims: Shape) -> bytes:
    """BlobProto.shape, which is left out of a blob without axes."""
    return field(7, field(1, b"".join(map(varint, dims)))) if dims else b""


def _legacy(dims: Shape) -> bytes:
    padded = (1,) * (4 - len(dims)) + dims
    return b"".join(integer(number, dim) for number, dim in enumerate(padded, 1))


def _values(array: NDArray[np.float32], values: Values) -> bytes:
    if values == "floats":
        return field(5, array.astype("<f4").tobytes())
    if values == "doubles":
        return field(8, array.astype("<f8").tobytes())
    if values == "halves":  # NVIDIA's fork: raw_data_type FLOAT16 and raw_data
        return integer(10, 2) + field(12, array.astype("<f2").tobytes())
    if values == "single floats":
        return b"".join(varint(5 << 3 | 5) + number.tobytes() for number in array.astype("<f4").ravel())
    if values == "single doubles":
        return b"".join(varint(8 << 3 | 1) + number.tobytes() for number in array.astype("<f8").ravel())
    return b""


def v2(name: str, layer_type: str, *blobs: bytes) -> bytes:
    """NetParameter.layer, in use since 2014."""
    return field(
        100, field(1, name.encode("utf-8", "surrogateescape")) + field(2, layer_type.encode()) + _all(7, blobs)
    )


def v1(name: str, layer_type: int, *blobs: bytes) -> bytes:
    """NetParameter.layers, with the number of V1LayerParameter.LayerType."""
    return field(2, field(4, name.encode("utf-8", "surrogateescape")) + integer(5, layer_type) + _all(6, blobs))


def v0(name: str, layer_type: str, *blobs: bytes) -> bytes:
    """NetParameter.layers around the V0LayerParameter of 2013."""
    return field(
        2, field(1, field(1, name.encode("utf-8", "surrogateescape")) + field(2, layer_type.encode()) + _all(50, blobs))
    )


def _all(number: int, blobs: tuple[bytes, ...]) -> bytes:
    return b"".join(field(number, inside) for inside in blobs)


def made_up(net: Net, shapes: Mapping[Value, Shape], values: Values = "floats") -> bytes:
    """A caffemodel for a network: small normally distributed numbers, or "none" for shapes alone.

    Layers whose bottoms have no known shape are left out.
    """
    return b"".join(_made_up(net, shapes, values))


def _made_up(net: Net, shapes: Mapping[Value, Shape], values: Values) -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    for layer in net.layers:
        if layer.kind is None or layer.is_input or not all(value in shapes for value in layer.bottoms):
            continue
        wanted = layer.kind.blobs(layer.params, tuple(shapes[value] for value in layer.bottoms))
        if values == "none":
            yield v2(layer.name, layer.type, *map(shape, wanted))
        else:
            arrays = [(rng.standard_normal(dims) / 8).astype(np.float32) for dims in wanted]
            # the statistics of a BatchNorm must not be negative
            arrays = [np.abs(array) for array in arrays] if layer.kind.name == "BatchNorm" else arrays
            yield v2(layer.name, layer.type, *(blob(array, values) for array in arrays))
