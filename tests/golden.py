"""The recorded cases of real Caffe that `tests/data/pack.py` packed."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from xportdnn.layers import Array

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Files:
    """A network's two files.

    Attributes:
        weights: None where the case has no caffemodel.
    """

    prototxt: bytes = field(repr=False)
    weights: bytes | None = field(repr=False)

    def write(self, folder: Path) -> tuple[str, str | None]:
        """The paths of prototxt and caffemodel, written into a folder."""
        model = folder / "deploy.prototxt"
        model.write_bytes(self.prototxt)
        if self.weights is None:
            return str(model), None
        blobs = folder / "weights.caffemodel"
        blobs.write_bytes(self.weights)
        return str(model), str(blobs)


@dataclass(frozen=True)
class Top:
    """A top as Caffe computed it, right after its layer ran; `file` is the name that `xportdnn forward` gives it."""

    layer: str
    type: str
    file: str
    array: Array = field(repr=False)


@dataclass(frozen=True)
class Case:
    """A network that Caffe ran."""

    name: str
    notes: str
    files: Files
    inputs: Mapping[str, Array] = field(repr=False)
    tops: tuple[Top, ...] = field(repr=False)


@dataclass(frozen=True)
class Reject:
    """A network that is broken or doubtful, and whether Caffe ran it all the same."""

    name: str
    accepted: bool
    message: str
    files: Files


@lru_cache(maxsize=1)
def caffe() -> dict[str, Case]:
    """All networks with their inputs and tops, by name."""
    with zipfile.ZipFile(DATA / "caffe.zip") as archive:
        values = np.load(io.BytesIO(archive.read("values.npy")))
        return {case.name: case for case in _cases(archive, values)}


def _cases(archive: zipfile.ZipFile, values: Array) -> Iterator[Case]:
    for record in json.loads(archive.read("cases.json")):
        inputs = {blob: _array(values, place) for blob, place in record["inputs"].items()}
        tops = tuple(Top(top["layer"], top["type"], top["file"], _array(values, top)) for top in record["tops"])
        yield Case(record["case"], record["notes"], _files(archive, record["case"]), inputs, tops)


@lru_cache(maxsize=1)
def caffe_rejects() -> dict[str, Reject]:
    """All doubtful networks, by name."""
    with zipfile.ZipFile(DATA / "caffe_rejects.zip") as archive:
        return {
            record["case"]: Reject(
                record["case"], record["accepted"], record["message"], _files(archive, record["case"])
            )
            for record in json.loads(archive.read("cases.json"))
        }


def _files(archive: zipfile.ZipFile, case: str) -> Files:
    weights = f"{case}/weights.caffemodel"
    blobs = archive.read(weights) if weights in archive.namelist() else None
    return Files(archive.read(f"{case}/deploy.prototxt"), blobs)


def _array(values: Array, place: Mapping[str, Any]) -> Array:
    shape = tuple(place["shape"])
    size = int(np.prod(shape, dtype=np.int64))
    return values[place["at"] : place["at"] + size].reshape(shape)
