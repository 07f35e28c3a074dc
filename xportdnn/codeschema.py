"""What the manifest of quantized weights may say: the words of schemas/export.schema.json, each field with its values.

A manifest that was damaged or edited may still be JSON. Where a format is gone codes would pass for weights, so the
reader takes none that says less, more or something else than the program that writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xportdnn.errors import WeightsError
from xportdnn.jsonrules import Record, Rule, anything, called, is_number, listed, must, one_of, same, sha256, text

FORMAT, VERSION, MANIFEST = "xportdnn.weights", 1, "manifest"
ROUNDING = "half away from zero"
AGAIN = "export the weights again with `xportdnn export --npz`"


def check(manifest: Any, path: str) -> None:
    """Stop where a manifest of this version is not one.

    Raises:
        WeightsError: with the layer, the field, its value and what it must be, of everything that is wrong.
    """
    found = list(_MANIFEST.inside(manifest, "") if isinstance(manifest, dict) else _MANIFEST(manifest, "", "this"))
    if len(found) == 1:
        raise WeightsError(f"{path}: {MANIFEST}: {found[0]}; {AGAIN}")
    if found:
        raise WeightsError(f"{path}: {MANIFEST}: these fields cannot be used; {AGAIN}:", found)


def places(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Everything that says where numbers lie: the blobs of a checked manifest, and their scales."""
    for layer in manifest["layers"]:
        for blob in layer["blobs"]:
            yield blob
            if "scale" in blob:
                yield blob["scale"]


def _integer(least: int, greatest: int) -> Rule:
    """A whole number that is written as one, since shapes and shifts are used as they are read: not 8.0."""

    def holds(value: Any) -> bool:
        return is_number(value) and isinstance(value, int) and least <= value <= greatest

    return must(holds, f"an integer from {least} to {greatest}")


def _form(value: Any, entry: str, name: str) -> Iterator[str]:
    """A format: which fields it has says its kind."""
    kind = value.get("kind") if isinstance(value, dict) else None
    yield from (_FORMS[kind] if kind in list(_FORMS) else _NO_FORM)(value, entry, name)


def _together(blob: Mapping[str, Any]) -> Iterator[str]:
    """What the fields of a blob need of each other; nothing of a format that is none."""
    form = blob.get("format", {"kind": "none"})
    kind = form.get("kind") if isinstance(form, dict) else None
    if kind == "threshold" and "scale" not in blob:
        yield "scale is missing"
    if kind in ["none", *_FORMS] and kind != "threshold" and "scale" in blob:
        yield f"scale belongs to the format threshold, this is {kind}"
    if "packed" in blob and "format" not in blob:
        yield "packed belongs to codes, and format is missing"


def _board(value: Any, entry: str, name: str) -> Iterator[str]:
    yield from (_REASON if isinstance(value, dict) and "reason" in value else _STORED)(value, entry, name)


_INT32 = 1 << 31
_COUNT = _integer(0, _INT32 - 1)
_POWER = _integer(-126, 126)  # of two, such that it is a normal float32
_BITS = _integer(1, 32)
_ARRAY = must(lambda value: isinstance(value, str) and value not in ("", MANIFEST), "the name of an array of weights")
_SHAPE = listed(_COUNT)
_PLACED = Record({"array": _ARRAY, "offset": _COUNT, "shape": _SHAPE})
_SOURCE = Record({"file": text, "sha256": sha256})
_MORE: Mapping[str, Mapping[str, Rule]] = {
    "threshold": {},
    "fixed": {"fl": _POWER},
    "power_of_two": {"exp_min": _POWER, "exp_max": _POWER},
    "minifloat": {"mant_bits": _integer(1, 23), "exp_bits": _integer(1, 8)},
}
_FORMS = {kind: Record({"kind": text, "bits": _BITS, **more}) for kind, more in _MORE.items()}
_NO_FORM = Record({"kind": one_of(*_FORMS), "bits": _BITS}, others=anything)
_BLOB = Record(
    {
        "name": text,
        "shape": _SHAPE,
        "array": _ARRAY,
        "offset": _COUNT,
        "packed": same(True),
        "format": _form,
        "scale": _PLACED,
    },
    optional=("offset", "packed", "format", "scale"),
    together=_together,
)
_ZEROS = Record({"before": _COUNT, "after": _COUNT, "total": _integer(1, _INT32 - 1)})
_STORED = Record({"shift": _integer(-_INT32, _INT32 - 1)})
_REASON = Record({"reason": text})
_LAYER = Record(
    {"name": text, "type": text, "blobs": listed(called("blob", _BLOB), least=1), "zeros": _ZEROS, "board": _board},
    optional=("zeros", "board"),
)
_MANIFEST = Record(
    {
        "format": same(FORMAT),
        "version": same(VERSION),
        "xportdnn": text,
        "deploy_model": _SOURCE,
        "weights": _SOURCE,
        "rounding": same(ROUNDING),
        "layers": listed(called("layer", _LAYER), most=None),
    }
)
