"""A network's quantized weights as an `.npz` file: integer codes, scales, and a manifest that says what they mean.

The manifest is JSON (schemas/export.schema.json), its UTF-8 bytes in the uint8 array `manifest`. It says where each
blob lies: in an array of its own, `<layer>.<blob>`, or, as all blobs with one axis do, at an offset in the array that
has the name of their type (`float32`, `int8` ...), since two hundred small arrays cost more in a zip file than what is
in them. And it names the rule that makes the real number of a code, in float32 and rounded once:

    no format      the array holds the numbers themselves
    threshold      float32(code) * scale; the scale has the blob's axes, 1 where one number serves all
    fixed          code * 2^-fl
    power_of_two   sign(code) * 2^(|code| - 1 + exp_min); no code is 0
    minifloat      code 0 is 0; |code| - 1 has the exponent e in front of mant_bits of mantissa m:
                   sign(code) * (1 + m * 2^-mant_bits) * 2^(e - 2^(exp_bits - 1) + 1)

Codes packed by `arithmetic.packed` are flat uint8. The zip entries are compressed and carry no time of their own, so
that the same arrays give the same file.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from xportdnn.arithmetic import minifloat, qformat
from xportdnn.arithmetic.packed import packed_size, unpack6
from xportdnn.caffemodel import Blob, Caffemodel, LayerBlobs, is_zip
from xportdnn.errors import WeightsError
from xportdnn.lazy import np

if TYPE_CHECKING:
    import zipfile

    from numpy.typing import NDArray

    from xportdnn.arithmetic import Integers
    from xportdnn.layers import Array

Stored: TypeAlias = Callable[[str], "NDArray[Any]"]
"""Arrays of the file by name."""

FORMAT, VERSION = "xportdnn.weights", 1
MANIFEST = "manifest"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can name
_UNIX = 3
_PERMISSIONS = 0o644 << 16


@dataclass(frozen=True)
class CodedModel(Caffemodel):
    """A caffemodel whose values were read from codes: they are what quantization left of the original's.

    Attributes:
        manifest: see schemas/export.schema.json.
    """

    manifest: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def made_for(self) -> str:
        """The digest of the prototxt with the formats."""
        return str(self.manifest["deploy_model"]["sha256"])

    @property
    def coded(self) -> frozenset[str]:
        """The layers that have codes."""
        layers = self.manifest["layers"]
        return frozenset(entry["name"] for entry in layers if any("format" in blob for blob in entry["blobs"]))


def digest(data: bytes) -> str:
    """What names a file by its content: SHA-256."""
    return hashlib.sha256(data).hexdigest()


def decoded(codes: Integers, form: Mapping[str, Any] | None, scale: Array | None) -> Array:
    """The real numbers of codes, float32; without a format these are the numbers."""
    if form is None:
        return np.asarray(codes, np.float32)
    if form["kind"] == "threshold" and scale is not None:
        return np.asarray(codes.astype(np.float32) * scale)
    if form["kind"] == "fixed":
        return qformat.dequantize(codes, form["fl"])
    if form["kind"] == "minifloat":
        return minifloat.of_codes(codes, form["mant_bits"], form["exp_bits"])
    exponents = np.abs(codes).astype(np.int32) - 1 + form["exp_min"]
    return np.asarray(np.ldexp(np.sign(codes).astype(np.float32), exponents))


def to_bytes(manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The file's bytes; the manifest comes first."""
    import zipfile

    text = json.dumps(manifest, ensure_ascii=False, separators=(",", ":")).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in {MANIFEST: np.frombuffer(text, np.uint8), **arrays}.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, _UNIX, _PERMISSIONS
            content = io.BytesIO()
            np.save(content, array.astype(array.dtype.newbyteorder("<"), copy=False))
            archive.writestr(entry, content.getvalue())
    return buffer.getvalue()


def is_codefile(path: str | Path) -> bool:
    """Whether the file is a zip archive with a manifest; False of all that cannot be read."""
    if not is_zip(path):
        return False
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return f"{MANIFEST}.npy" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def read(path: str | Path) -> CodedModel:
    """The weights of a file that `to_bytes` made, as floats.

    Raises:
        WeightsError: it is damaged, or not what this version writes.
    """
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive, str(path))
            layers = tuple(_layers(archive, manifest, str(path)))
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(
            f"{path}: these quantized weights cannot be read: {error}; export them again with `xportdnn export --npz`"
        ) from None
    return CodedModel(str(path), layers, manifest)


def _manifest(archive: zipfile.ZipFile, path: str) -> Mapping[str, Any]:
    found: Any = json.loads(_array(archive, MANIFEST).tobytes())
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise WeightsError(f"{path}: this .npz was not written by `xportdnn export`; give that, or a caffemodel")
    if found.get("version") != VERSION:
        raise WeightsError(
            f"{path}: was written in version {found.get('version')} of its format, this program reads {VERSION}; "
            "export it again"
        )
    return found


def _layers(archive: zipfile.ZipFile, manifest: Mapping[str, Any], path: str) -> Iterator[LayerBlobs]:
    # arrays that several blobs lie in are read once
    stored = cache(partial(_array, archive))
    for entry in manifest["layers"]:
        blobs = []
        for index, blob in enumerate(entry["blobs"]):
            where = f'{path}: layer "{entry["name"]}", blob {index}'
            blobs.append(Blob.of(_values(stored, blob, where), where))
        yield LayerBlobs(entry["name"], entry["type"], tuple(blobs))


def _values(stored: Stored, blob: Mapping[str, Any], where: str) -> Array:
    scale = _placed(stored, blob["scale"], f"{where}, scale") if "scale" in blob else None
    return decoded(_placed(stored, blob, where), blob.get("format"), scale)


def _placed(stored: Stored, place: Mapping[str, Any], where: str) -> NDArray[Any]:
    """What lies at a place: {"array", "shape"} and perhaps "offset" or "packed"."""
    array, shape = stored(place["array"]).reshape(-1), tuple(place["shape"])
    count = math.prod(shape)
    start, size = place.get("offset", 0), packed_size(count) if place.get("packed") else count
    found = array[start : start + size]
    if found.size != size or ("offset" not in place and array.size != size):
        raise WeightsError(
            f"{where}: {found.size} numbers lie where the shape {list(shape)} needs {size}; export again"
        )
    return unpack6(found, shape) if place.get("packed") else found.reshape(shape)


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as file:
        array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(file.read()), allow_pickle=False)
    return array
