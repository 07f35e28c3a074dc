"""Axes and sizes of blobs, as Caffe's blob.hpp counts them."""

from __future__ import annotations

from xportdnn.errors import LayerError


def written(shape: tuple[int, ...]) -> str:
    """A shape for messages: `1x3x224x224`."""
    return "x".join(map(str, shape)) if shape else "one value without axes"


def axis_index(shape: tuple[int, ...], axis: int, name: str = "axis") -> int:
    """`axis` counted from the front; -1 is the last one (`CanonicalAxisIndex`).

    Raises:
        LayerError: the blob has no such axis; `name` is the prototxt field to blame.
    """
    if not -len(shape) <= axis < len(shape):
        allowed = f"use {-len(shape)} to {len(shape) - 1}" if shape else "the layer needs a bottom with axes"
        raise LayerError(f"{name} {axis} is out of range for a bottom of {written(shape)}; {allowed}")
    return axis % len(shape)


def axis_or_legacy(shape: tuple[int, ...], axis: int | None, legacy: int | None, legacy_name: str) -> int:
    """The axis of Concat and Slice: `axis`, or the field it was called before, or 1.

    Raises:
        LayerError: both are given, or the blob has no such axis.
    """
    if axis is not None and legacy is not None:
        raise LayerError(f"axis {axis} and {legacy_name} {legacy} are both given; keep axis only")
    if legacy is not None:
        return axis_index(shape, legacy, legacy_name)
    return axis_index(shape, 1 if axis is None else axis)
