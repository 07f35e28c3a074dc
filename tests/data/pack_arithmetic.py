"""Packs the recorded cases of CHaiDNN's kernel and of Ristretto into two zip files; same input, same bytes.

    python -m tests.data.pack_arithmetic GOLDEN tests/data

GOLDEN holds `chaidnn_kernel/` and `ristretto/`, one folder per case. The entries are the recorded files themselves.
Left out are the tops that Caffe's own Split layers repeat, networks without a quantized layer, and of large layers
most of the weights as floats: the integers that the board stored are all there, and whole rows of floats for the rule.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.data.pack import write

_KEPT_WEIGHTS = 2048


def chaidnn_kernel(folder: Path) -> dict[str, bytes]:
    """The entries of chaidnn_kernel.zip: `<case>/case.json` and the case's arrays."""
    entries: dict[str, bytes] = {}
    for case in sorted(path.parent for path in folder.glob("*/case.json")):
        for path in [case / "case.json", *sorted(case.glob("*.npy"))]:
            data = _first_rows(path) if path.name == "weights_float.npy" else path.read_bytes()
            entries[f"{case.name}/{path.name}"] = data
    return entries


def _first_rows(path: Path) -> bytes:
    """The weights of as many whole output channels as there is room for, at least one."""
    weights = np.load(path)
    rows = max(1, _KEPT_WEIGHTS * len(weights) // weights.size)
    buffer = io.BytesIO()
    np.save(buffer, weights[:rows])
    return buffer.getvalue()


def ristretto(folder: Path) -> dict[str, bytes]:
    """The entries of ristretto.zip: `<case>/manifest.json`, the network's two files, its input and its arrays.

    The three quantized runs of `quantize_tool` are cases like the others, with their own copy of the weights.
    """
    entries: dict[str, bytes] = {}
    for path in sorted([*folder.glob("*/manifest.json"), *folder.glob("quantize_tool/*/manifest.json")]):
        case = path.parent
        manifest = json.loads(path.read_text())
        manifest["layers"] = [layer for layer in manifest["layers"] if layer["type"] != "Split"]
        if not any("in_quantized" in layer for layer in manifest["layers"]):
            continue
        alone = case.parent == folder
        name = case.name if alone else case.name.replace("deploy", case.parent.name)
        weights = (case if alone else case.parent) / "weights.caffemodel"
        entries[f"{name}/manifest.json"] = json.dumps(manifest, separators=(",", ":")).encode()
        entries[f"{name}/deploy.prototxt"] = (case / "deploy.prototxt").read_bytes()
        entries[f"{name}/weights.caffemodel"] = weights.read_bytes()
        for array in sorted(set(_arrays(manifest))):
            entries[f"{name}/{array}"] = (case / "outputs" / array).read_bytes()
    return entries


def _arrays(manifest: dict[str, Any]) -> Iterator[str]:
    for layer in manifest["layers"]:
        yield from (top["file"] for top in layer["tops"])
        yield from (layer[key] for key in ("in_quantized", "w_quantized", "b_quantized") if key in layer)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    write(chaidnn_kernel(source / "chaidnn_kernel"), target / "chaidnn_kernel.zip")
    write(ristretto(source / "ristretto"), target / "ristretto.zip")
