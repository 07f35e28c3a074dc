"""Packs recorded cases of real Caffe into two small zip files; the same input gives the same bytes.

    python tests/data/pack.py GOLDEN tests/data

GOLDEN holds `caffe/` and `caffe_rejects/`, one folder per case. Every zip has `cases.json`, each case's
`deploy.prototxt` and, where there is one, `weights.caffemodel`. Arrays lie in one float32 vector, `values.npy`, each
distinct array once; `cases.json` says where. Left out are the layers that Caffe adds by itself (Split).
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EPOCH = (1980, 1, 1, 0, 0, 0)


class _Values:
    """Arrays in a row, equal ones once."""

    def __init__(self) -> None:
        self.parts: list[NDArray[np.float32]] = []
        self.places: dict[bytes, int] = {}
        self.end = 0

    def add(self, path: Path) -> dict[str, Any]:
        """Where the array of a `.npy` file lies: its shape and its first element's position."""
        array = np.load(path)
        if array.dtype != np.float32:
            raise ValueError(f"{path}: {array.dtype} is not float32")
        key = array.tobytes()
        if key not in self.places:
            self.places[key] = self.end
            self.parts.append(array.ravel())
            self.end += array.size
        return {"shape": array.shape, "at": self.places[key]}

    def npy(self) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, np.concatenate(self.parts))
        return buffer.getvalue()


def caffe(folder: Path) -> dict[str, bytes]:
    """The entries of caffe.zip: networks with their inputs and the tops that Caffe computed."""
    values = _Values()
    entries: dict[str, bytes] = {}
    cases = []
    for entry in json.loads((folder / "INDEX.json").read_text()):
        case = folder / entry["case"]
        manifest = json.loads((case / "manifest.json").read_text())
        entries |= _files(case)
        cases.append(
            {
                "case": entry["case"],
                "notes": manifest["notes"],
                "inputs": {blob: values.add(case / file) for blob, file in manifest["inputs"].items()},
                "tops": [
                    {"layer": layer["name"], "type": layer["type"], "file": top["file"]}
                    | values.add(case / "outputs" / top["file"])
                    for layer in manifest["layers"]
                    if not _automatic(layer)
                    for top in layer["tops"]
                ],
            }
        )
    return {"cases.json": _json(cases), **entries, "values.npy": values.npy()}


def caffe_rejects(folder: Path) -> dict[str, bytes]:
    """The entries of caffe_rejects.zip: broken or doubtful networks with Caffe's verdict."""
    cases = json.loads((folder / "INDEX.json").read_text())
    entries: dict[str, bytes] = {}
    for entry in cases:
        entries |= _files(folder / entry["case"])
    return {
        "cases.json": _json([{name: entry[name] for name in ("case", "accepted", "message")} for entry in cases])
    } | entries


def _automatic(layer: Mapping[str, Any]) -> bool:
    """Whether Caffe added the layer by itself: `<blob>_<producer>_<index>_split` (insert_splits.cpp)."""
    name: str = layer["name"]
    return layer["type"] == "Split" and name.endswith("_split")


def _files(case: Path) -> dict[str, bytes]:
    names = ("deploy.prototxt", "weights.caffemodel")
    return {f"{case.name}/{name}": (case / name).read_bytes() for name in names if (case / name).exists()}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def write(entries: Mapping[str, bytes], path: Path) -> None:
    """A zip file without anything that differs from run to run."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # the system that writes is else noted
            archive.writestr(info, data)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    write(caffe(source / "caffe"), target / "caffe.zip")
    write(caffe_rejects(source / "caffe_rejects"), target / "caffe_rejects.zip")
