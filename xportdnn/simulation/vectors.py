"""The integers of every layer as files, for whoever builds the hardware and wants to compare it layer by layer.

For each layer one `.npy` file for every bottom as the layer reads it, for its parameters as hardware stores them, and
for every top; integers in the smallest type that holds their format, floats (layers of software) as float32. Layers
that the hardware computes inside another one have no files: the top of that one is the result of all of them.
`manifest.json` lists the files with shapes, formats, shifts and SHA-256; on request each layer gets a C header, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xportdnn import output
from xportdnn.npy import file_stem, npy, prepare_folder
from xportdnn.simulation.c_header import header
from xportdnn.simulation.formats import Fixed, Threshold, Whole
from xportdnn.simulation.held import Held, Quantized
from xportdnn.simulation.integer.jobs import narrow
from xportdnn.simulation.run import Simulation, Step
from xportdnn.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ARITHMETIC = {
    Threshold: "value = integer * step, step = float32(th / (2^(bits-1) - 1)), th as float32",
    Fixed: "value = integer * 2^-fl",
}


@dataclass
class Vectors:
    """A folder that is being filled.

    Attributes:
        c_header: write `<layer>.h` as well.
        layers: the manifest's entries so far.
    """

    simulation: Simulation
    folder: str
    c_header: bool = False
    layers: list[dict[str, Any]] = field(default_factory=list)

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            NetworkError: two layers would write the same files.
            OutputError: it cannot be made or written.
        """
        prepare_folder(self.simulation.net, self.folder)

    def add(self, step: Step) -> None:
        """Write the files of a layer that has just run."""
        layer, net = step.layer, self.simulation.net
        entry: dict[str, Any] = {
            "name": layer.name,
            "type": layer.type,
            "line": net.source.line(layer.entry.start),
            "bottoms": [value.blob for value in layer.bottoms],
            "tops": [value.blob for value in layer.tops],
        }
        self.layers.append(entry)
        hardware = self.simulation.level.hardware(layer)
        if hardware.inside is not None:
            entry["inside"] = hardware.inside.name
            return
        arrays = dict(_arrays(step)) | dict(hardware.arrays)
        whole = any(isinstance(held, Quantized) for held in step.outcome.tops)
        entry["computed_in"] = "integers" if whole else "float32"
        entry |= hardware.facts if whole else {}
        entry["saturated"], entry["wrapped"] = step.outcome.saturated, step.outcome.wrapped
        formats = {name: _format(held) for name, held in _held(step)}
        entry["arrays"] = {
            name: self._write(layer.name, name, array) | formats.get(name, {}) for name, array in arrays.items()
        }
        if self.c_header:
            path = Path(self.folder, f"{file_stem(layer.name)}.h")
            data = header(layer.name, arrays).encode()
            output.write(str(path), data)
            entry["c_header"] = {"file": path.name, "sha256": hashlib.sha256(data).hexdigest()}

    def finish(self) -> None:
        """Write the manifest."""
        manifest = {
            "xportdnn": __version__,
            "network": self.simulation.net.source.name,
            "arithmetic": self.simulation.arithmetic.value,
            "formats": {"threshold": _ARITHMETIC[Threshold], "fixed": _ARITHMETIC[Fixed]},
            "order": "C; tops are (num, channels, height, width), weights (num_output, channels / group, *kernel)",
            "warnings": list(self.simulation.warnings),
            "layers": self.layers,
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        output.write(str(Path(self.folder, "manifest.json")), text.encode("utf-8", "surrogateescape"))

    def _write(self, layer: str, name: str, array: NDArray[Any]) -> dict[str, Any]:
        file, data = f"{file_stem(layer)}__{name}.npy", npy(array)
        output.write(str(Path(self.folder, file)), data)
        shape, digest = list(array.shape), hashlib.sha256(data).hexdigest()
        return {"file": file, "type": array.dtype.name, "shape": shape, "sha256": digest}


def _held(step: Step) -> Iterator[tuple[str, Held]]:
    """What the layer read and wrote, by the names of their files."""
    for name, sides in (("input", step.outcome.read), ("output", step.outcome.tops)):
        for index, held in enumerate(sides):
            yield name if len(sides) == 1 else f"{name}_{index}", held


def _arrays(step: Step) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, held in _held(step):
        yield name, narrow(held.integers, held.format.bits) if isinstance(held, Quantized) else held.real


def _format(held: Held) -> dict[str, Any]:
    return {"format": _described(held.format)} if isinstance(held, Quantized) else {}


def _described(form: Whole) -> dict[str, Any]:
    if isinstance(form, Threshold):
        return {"kind": "threshold", "th": form.th, "bits": form.bits, "step": form.step}
    return {"kind": "fixed", "fl": form.fl, "bits": form.bits}
