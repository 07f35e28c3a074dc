"""What the `.npz` says of itself, and the arrays that it names (schemas/export.schema.json)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xportdnn.arithmetic.board.weights import Stored
from xportdnn.arithmetic.packed import BITS, pack6
from xportdnn.codefile import digest
from xportdnn.codeschema import FORMAT, ROUNDING, VERSION
from xportdnn.exporting.coded import Coded
from xportdnn.exporting.weights import Exported
from xportdnn.lazy import np
from xportdnn.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Contents:
    """Manifest and arrays of a file while it is put together.

    Attributes:
        packed: write six-bit codes without gaps.
        pools: arrays with one axis, by their type.
    """

    manifest: dict[str, Any]
    packed: bool = False
    own: dict[str, NDArray[Any]] = field(default_factory=dict)
    pools: dict[str, list[NDArray[Any]]] = field(default_factory=dict)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name."""
        return {kind: np.concatenate(parts) for kind, parts in sorted(self.pools.items())} | self.own

    @property
    def has_packed(self) -> bool:
        """Whether codes were packed."""
        return any("packed" in blob for entry in self.manifest["layers"] for blob in entry["blobs"])

    def alone(self, name: str, array: NDArray[Any]) -> dict[str, Any]:
        """Keep an array under its name, or another one where this is taken; says where it is."""
        free = next(each for each in _tries(name) if each not in self.own)
        self.own[free] = array
        return {"array": free}

    def together(self, array: NDArray[Any]) -> dict[str, Any]:
        """Keep a small array behind the others of its type; says where it is."""
        pool = self.pools.setdefault(array.dtype.name, [])
        offset = sum(part.size for part in pool)
        pool.append(array.reshape(-1))
        return {"array": array.dtype.name, "offset": offset}


def contents(found: Sequence[Exported], deploy_model: str, weights: str, packed: bool) -> Contents:
    """Everything that the file will hold.

    Args:
        packed: see `Contents`.
    """
    made = Contents(
        {
            "format": FORMAT,
            "version": VERSION,
            "xportdnn": __version__,
            "deploy_model": source(deploy_model),
            "weights": source(weights),
            "rounding": ROUNDING,
            "layers": [],
        },
        packed,
    )
    for each in found:
        made.manifest["layers"].append(_layer(made, each))
    return made


def source(path: str) -> dict[str, str]:
    """A file by its name and content."""
    return {"file": Path(path).name, "sha256": digest(Path(path).read_bytes())}


def _layer(made: Contents, each: Exported) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": each.layer.name,
        "type": each.layer.type,
        "blobs": [_blob(made, f"{each.layer.name}.{blob.name}", blob) for blob in each.blobs],
    }
    if each.zeros.total:
        entry["zeros"] = each.zeros._asdict()
    if isinstance(each.board, Stored):
        # its bias in int16 follows from the float one and the formats
        entry["board"] = {"shift": each.board.shift}
    elif each.board is not None:
        entry["board"] = {"reason": each.board}
    return entry


def _blob(made: Contents, name: str, blob: Coded) -> dict[str, Any]:
    array = blob.values if blob.codes is None else blob.codes
    entry: dict[str, Any] = {"name": blob.name, "shape": list(array.shape)}
    if array.ndim < 2:
        entry |= made.together(array)
    elif made.packed and blob.codes is not None and blob.form is not None and blob.form["bits"] <= BITS:
        entry |= made.alone(name, pack6(blob.codes)) | {"packed": True}
    else:
        entry |= made.alone(name, array)
    if blob.form is not None:
        entry["format"] = dict(blob.form)
    if blob.scale is not None:
        entry["scale"] = _placed(made, blob.scale)
    return entry


def _placed(made: Contents, array: NDArray[Any]) -> dict[str, Any]:
    return made.together(array) | {"shape": list(array.shape)}


def _tries(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}~{number}"
        number += 1
