"""What the manifest of quantized weights may say: the words of schemas/export.schema.json, each field with its values.

A manifest that was damaged or edited may still be JSON. Where a format is gone codes would pass for weights, so the
reader takes none that says less, more or something else than the program that writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from xportdnn.errors import WeightsError

FORMAT, VERSION, MANIFEST = "xportdnn.weights", 1, "manifest"
ROUNDING = "half away from zero"
AGAIN = "export the weights again with `xportdnn export --npz`"

Check: TypeAlias = Callable[[Any, tuple[str, ...]], None]
"""(value, where it stands: the file, then from the layer to the field)."""

_LONGEST = 60  # characters of a wrong value that a message shows


def check(manifest: Any, path: str) -> None:
    """Stop where a manifest of this version is not one.

    Raises:
        WeightsError: with the layer, the field, its value and what it must be.
    """
    _MANIFEST(manifest, (path, MANIFEST))


def places(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Everything that says where numbers lie: the blobs of a checked manifest, and their scales."""
    for layer in manifest["layers"]:
        for blob in layer["blobs"]:
            yield blob
            if "scale" in blob:
                yield blob["scale"]


def _refuse(value: Any, where: Sequence[str], wanted: str) -> NoReturn:
    shown = json.dumps(value)
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
    raise WeightsError(f"{_place(where[:-1])}: {where[-1]} is {shown}, it must be {wanted}; {AGAIN}")


def _place(where: Sequence[str]) -> str:
    return ": ".join(part for part in (where[0], ", ".join(where[1:])) if part)


def _text(value: Any, where: tuple[str, ...]) -> None:
    if not isinstance(value, str):
        _refuse(value, where, "a text")


def _array_name(value: Any, where: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value in ("", MANIFEST):
        _refuse(value, where, "the name of an array of weights")


def _digest(value: Any, where: tuple[str, ...]) -> None:
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        _refuse(value, where, "a SHA-256 in 64 hexadecimal digits")


def _same(wanted: object) -> Check:
    def same(value: Any, where: tuple[str, ...]) -> None:
        if type(value) is not type(wanted) or value != wanted:
            _refuse(value, where, json.dumps(wanted))

    return same


def _whole(least: int, most: int) -> Check:
    def whole(value: Any, where: tuple[str, ...]) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            _refuse(value, where, f"a whole number from {least} to {most}")

    return whole


def _items(item: Check, least: int, called: str = "") -> Check:
    """A list; its entries are called by their names in messages where these are texts."""

    def items(value: Any, where: tuple[str, ...]) -> None:
        if not isinstance(value, list) or len(value) < least:
            _refuse(value, where, "a list" if not least else f"a list of {least} or more")
        for index, entry in enumerate(value):
            name = entry.get("name") if called and isinstance(entry, dict) else None
            label = f'{called} "{name}"' if isinstance(name, str) else f"{called or where[-1]} {index}"
            item(entry, (*where[:-1], label))

    return items


def _fields(needed: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    known = {**needed, **(optional or {})}

    def fields(value: Any, where: tuple[str, ...]) -> None:
        if not isinstance(value, dict):
            _refuse(value, where, f"an object with the fields {', '.join(needed)}")
        for name in needed:
            if name not in value:
                raise WeightsError(f"{_place(where)}: {name} is missing; {AGAIN}")
        for name, entry in value.items():
            if name not in known:
                raise WeightsError(f"{_place(where)}: {json.dumps(name)} is no field of this version; {AGAIN}")
            known[name](entry, (*where, name))

    return fields


_COUNT = _whole(0, (1 << 31) - 1)
_POWER = _whole(-126, 126)  # of two, such that it is a normal float32
_SHAPE = _items(_COUNT, 0)
_PLACED = _fields({"array": _array_name, "offset": _COUNT, "shape": _SHAPE})
_SOURCE = _fields({"file": _text, "sha256": _digest})
_MORE: Mapping[str, Mapping[str, Check]] = {
    "threshold": {},
    "fixed": {"fl": _POWER},
    "power_of_two": {"exp_min": _POWER, "exp_max": _POWER},
    "minifloat": {"mant_bits": _whole(1, 23), "exp_bits": _whole(1, 8)},
}
_FORMS = {kind: _fields({"kind": _text, "bits": _whole(1, 32), **more}) for kind, more in _MORE.items()}


def _form(value: Any, where: tuple[str, ...]) -> None:
    if not isinstance(value, dict):
        _refuse(value, where, "an object with a kind and bits")
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in _FORMS:
        _refuse(kind, (*where, "kind"), f"one of {', '.join(_FORMS)}")
    _FORMS[kind](value, where)


_BLOB_FIELDS = _fields(
    {"name": _text, "shape": _SHAPE, "array": _array_name},
    {"offset": _COUNT, "packed": _same(True), "format": _form, "scale": _PLACED},
)


def _blob(value: Any, where: tuple[str, ...]) -> None:
    _BLOB_FIELDS(value, where)
    form = value.get("format")
    kind = None if form is None else form["kind"]
    if (kind == "threshold") != ("scale" in value):
        wanted = "is missing" if kind == "threshold" else f"belongs to the format threshold, this is {kind or 'none'}"
        raise WeightsError(f"{_place(where)}: scale {wanted}; {AGAIN}")
    if "packed" in value and form is None:
        raise WeightsError(f"{_place(where)}: packed belongs to codes, and format is missing; {AGAIN}")


_ZEROS = _fields({"before": _COUNT, "after": _COUNT, "total": _whole(1, (1 << 31) - 1)})
_STORED = _fields({"shift": _whole(-(1 << 31), (1 << 31) - 1)})
_REASON = _fields({"reason": _text})


def _board(value: Any, where: tuple[str, ...]) -> None:
    (_REASON if isinstance(value, dict) and "reason" in value else _STORED)(value, where)


_LAYER = _fields(
    {"name": _text, "type": _text, "blobs": _items(_blob, 1, "blob")},
    {"zeros": _ZEROS, "board": _board},
)
_MANIFEST = _fields(
    {
        "format": _same(FORMAT),
        "version": _same(VERSION),
        "xportdnn": _text,
        "deploy_model": _SOURCE,
        "weights": _SOURCE,
        "rounding": _same(ROUNDING),
        "layers": _items(_LAYER, 0, "layer"),
    }
)
