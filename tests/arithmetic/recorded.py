"""The recorded cases that `tests/data/pack_arithmetic.py` packed: CHaiDNN's kernel and Ristretto."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.golden import DATA, Files
from xportdnn.layers import Array


@dataclass(frozen=True)
class KernelCase:
    """A layer that CHaiDNN's kernel ran.

    Attributes:
        facts: the case's `case.json`.
        arrays: by the names of its files; `weights_float` may hold the first rows only.
    """

    name: str
    facts: dict[str, Any] = field(repr=False)
    arrays: dict[str, NDArray[Any]] = field(repr=False)


@lru_cache(maxsize=1)
def kernel() -> dict[str, KernelCase]:
    """All of the kernel's cases, by name."""
    cases: dict[str, KernelCase] = {}
    with zipfile.ZipFile(DATA / "chaidnn_kernel.zip") as archive:
        for entry in archive.namelist():
            name, file = entry.split("/")
            if file == "case.json":
                cases[name] = KernelCase(name, json.loads(archive.read(entry)), {})
            else:
                cases[name].arrays[file.removesuffix(".npy")] = np.load(io.BytesIO(archive.read(entry)))
    return cases


def kernel_cases(op: str) -> list[KernelCase]:
    """The kernel's cases of one operation."""
    return [case for case in kernel().values() if case.facts["op"] == op]


@dataclass(frozen=True)
class RistrettoLayer:
    """A layer that Ristretto quantized.

    Attributes:
        case: the network it belongs to.
        files: that network's.
        bottom: what it read, as the layer before had left it.
        trimmed: its bottom, weights and bias after trimming, by the words "in", "w" and "b".
        top: what it computed.
    """

    case: str
    name: str
    files: Files = field(repr=False)
    bottom: Array = field(repr=False)
    trimmed: dict[str, Array] = field(repr=False)
    top: Array = field(repr=False)

    @property
    def label(self) -> str:
        return f"{self.case}-{self.name}"


@lru_cache(maxsize=1)
def ristretto() -> tuple[RistrettoLayer, ...]:
    """All quantized layers of all networks."""
    with zipfile.ZipFile(DATA / "ristretto.zip") as archive:
        cases = [Path(entry).parent.name for entry in archive.namelist() if entry.endswith("manifest.json")]
        return tuple(layer for case in cases for layer in _layers(archive, case))


def _layers(archive: zipfile.ZipFile, case: str) -> Iterator[RistrettoLayer]:
    def array(name: str) -> Array:
        loaded: Array = np.load(io.BytesIO(archive.read(f"{case}/{name}")))
        return loaded

    files = Files(archive.read(f"{case}/deploy.prototxt"), archive.read(f"{case}/weights.caffemodel"))
    blobs: dict[str, Array] = {}
    for layer in json.loads(archive.read(f"{case}/manifest.json"))["layers"]:
        tops = {top["blob"]: array(top["file"]) for top in layer["tops"]}
        if "in_quantized" in layer:
            # Caffe's Split gives a blob's readers names of their own, such as data_data_0_split_1
            blob = next(name for name in blobs if layer["bottoms"][0] in (name, _split_of(name, layer)))
            trimmed = {key: array(layer[f"{key}_quantized"]) for key in ("in", "w", "b") if f"{key}_quantized" in layer}
            yield RistrettoLayer(case, layer["name"], files, blobs[blob], trimmed, next(iter(tops.values())))
        blobs |= tops


def _split_of(blob: str, layer: dict[str, Any]) -> str:
    bottom: str = layer["bottoms"][0]
    return bottom if bottom.startswith(f"{blob}_") and "_split_" in bottom else ""
