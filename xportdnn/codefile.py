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

from xportdnn.arithmetic import minifloat, power_of_two, qformat
from xportdnn.arithmetic.packed import BITS as PACKED_BITS
from xportdnn.arithmetic.packed import packed_size, unpack6
from xportdnn.caffemodel import Blob, Caffemodel, LayerBlobs, is_zip
from xportdnn.codeschema import AGAIN, FORMAT, MANIFEST, VERSION, check, places
from xportdnn.errors import WeightsError
from xportdnn.jsonrules import Pairs
from xportdnn.lazy import np

if TYPE_CHECKING:
    import zipfile

    from numpy.typing import NDArray

    from xportdnn.arithmetic import Integers
    from xportdnn.layers import Array

Stored: TypeAlias = Callable[[str], "NDArray[Any]"]
"""Arrays of the file by name."""

_FIRST = slice(30, 30 + len(MANIFEST) + 4)  # of a zip file: the name of its first entry
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
    """Whether the file is a zip archive with a manifest, or was one before it was cut or damaged."""
    if not is_zip(path):
        return False
    import zipfile

    with Path(path).open("rb") as file:
        if file.read(_FIRST.stop)[_FIRST] == f"{MANIFEST}.npy".encode():
            return True
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{MANIFEST}.npy" in archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
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
    except (EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(f"{path}: these quantized weights are cut or damaged ({error}); {AGAIN}") from None
    # zipfile says so of compressions and encryptions that it has not, json of endless nesting
    except (OSError, KeyError, ValueError, ArithmeticError, RuntimeError) as error:
        raise WeightsError(f"{path}: these quantized weights cannot be read: {error}; {AGAIN}") from None
    return CodedModel(str(path), layers, manifest)


def _manifest(archive: zipfile.ZipFile, path: str) -> Mapping[str, Any]:
    found: Any = json.loads(_array(archive, MANIFEST).tobytes(), object_pairs_hook=Pairs)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise WeightsError(f"{path}: this .npz was not written by `xportdnn export`; give that, or a caffemodel")
    if found.get("version") != VERSION:
        raise WeightsError(
            f"{path}: was written in version {json.dumps(found.get('version'))} of its format, this program reads "
            f"{VERSION}; export it again"
        )
    check(found, path)
    return found


def _layers(archive: zipfile.ZipFile, manifest: Mapping[str, Any], path: str) -> Iterator[LayerBlobs]:
    # arrays that several blobs lie in are read once
    stored = cache(partial(_array, archive))
    for entry in manifest["layers"]:
        blobs = []
        for blob in entry["blobs"]:
            where = f'{path}: layer "{entry["name"]}", blob "{blob["name"]}"'
            blobs.append(Blob.of(_values(stored, blob, where), where))
        yield LayerBlobs(entry["name"], entry["type"], tuple(blobs))
    for name, found in _stretches(manifest).items():
        ends = [0, *(end for _, end in found)]
        if [start for start, _ in found] != ends[:-1] or ends[-1] != stored(name).size:
            raise WeightsError(f'{path}: the blobs of array "{name}" overlap, or leave numbers between them; {AGAIN}')


def _stretches(manifest: Mapping[str, Any]) -> dict[str, list[tuple[int, int]]]:
    """Array -> beginning and end of everything in it, sorted."""
    found: dict[str, list[tuple[int, int]]] = {}
    for place in places(manifest):
        start, count = place.get("offset", 0), math.prod(place["shape"])
        size = packed_size(count) if place.get("packed") else count
        found.setdefault(place["array"], []).append((start, start + size))
    return {name: sorted(stretches) for name, stretches in found.items()}


def _values(stored: Stored, blob: Mapping[str, Any], where: str) -> Array:
    form = blob.get("format")
    if form is None:
        return np.asarray(_placed(stored, blob, "float32", where), np.float32)
    codes = _codes(stored, blob, form, where)
    if "scale" not in blob:
        return decoded(codes, form, None)
    scale = _placed(stored, blob["scale"], "float32", f"{where}, scale")
    if not (np.isfinite(scale) & (scale >= 0)).all():
        raise WeightsError(f"{where}, scale: holds numbers that are negative or not finite; {AGAIN}")
    pairs = zip(scale.shape, codes.shape, strict=False)
    if scale.ndim != codes.ndim or any(one not in (1, many) for one, many in pairs):
        raise WeightsError(
            f"{where}, scale: shape is {list(scale.shape)}, it must have the axes of {list(codes.shape)}, each as long "
            f"or 1; {AGAIN}"
        )
    return decoded(codes, form, scale)


def _codes(stored: Stored, blob: Mapping[str, Any], form: Mapping[str, Any], where: str) -> Integers:
    """The integers of a blob, all of them such as its format has.

    Raises:
        WeightsError: some are not.
    """
    bits = form["bits"]
    if blob.get("packed") and bits > PACKED_BITS:
        raise WeightsError(f"{where}: bits is {bits}, packed codes have no more than {PACKED_BITS}; {AGAIN}")
    codes = _placed(stored, blob, code_type(bits), where)
    least, greatest = _limits(form, where)
    low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
    if low < least or high > greatest:
        raise WeightsError(
            f"{where}: holds codes from {low} to {high}, its format {form['kind']} of {bits} bits has {least} to "
            f"{greatest}; {AGAIN}"
        )
    if form["kind"] == "power_of_two" and not codes.all():
        raise WeightsError(f"{where}: holds the code 0, which powers of two have not; {AGAIN}")
    return codes


def _limits(form: Mapping[str, Any], where: str) -> tuple[int, int]:
    """The least and the greatest code of a format.

    Raises:
        WeightsError: it has other bits than it needs.
    """
    half: int = 1 << form["bits"] - 1
    allowed: tuple[int, ...]
    if form["kind"] == "threshold":
        return 1 - half, half - 1
    if form["kind"] == "fixed":
        return -half, half - 1
    if form["kind"] == "minifloat":
        needed = 1 + form["exp_bits"] + form["mant_bits"]
        greatest, allowed = 1 << needed - 1, (needed, needed + 1)
    else:
        greatest = form["exp_max"] - form["exp_min"] + 1
        if greatest < 1:
            raise WeightsError(f"{where}: exp_min is {form['exp_min']} and exp_max {form['exp_max']}; {AGAIN}")
        allowed = (power_of_two.code_bits(form["exp_min"], form["exp_max"]),)
    if form["bits"] not in allowed:
        raise WeightsError(
            f"{where}: bits is {form['bits']}, its format {form['kind']} has {' or '.join(map(str, allowed))}; {AGAIN}"
        )
    return -greatest, min(greatest, half - 1)


def code_type(bits: int) -> str:
    """The smallest signed type that holds codes of so many bits."""
    return "int8" if bits <= 8 else "int16" if bits <= 16 else "int32"


def _placed(stored: Stored, place: Mapping[str, Any], kind: str, where: str) -> NDArray[Any]:
    """What lies at a place: {"array", "shape"} and perhaps "offset" or "packed".

    Args:
        kind: the type that it must have, unpacked.
    """
    try:
        whole = stored(place["array"])
    except KeyError:
        raise WeightsError(f'{where}: the file does not hold its array "{place["array"]}"; {AGAIN}') from None
    packed, shape = place.get("packed", False), tuple(place["shape"])
    wanted = "uint8" if packed else kind
    if whole.dtype.name != wanted:
        raise WeightsError(f'{where}: array "{place["array"]}" is of type {whole.dtype}, it must be {wanted}; {AGAIN}')
    array, count = whole.reshape(-1), math.prod(shape)
    start, size = place.get("offset", 0), packed_size(count) if packed else count
    found = array[start : start + size]
    if found.size != size or ("offset" not in place and array.size != size):
        raise WeightsError(f"{where}: {found.size} numbers lie where the shape {list(shape)} needs {size}; {AGAIN}")
    if "offset" not in place and not packed and whole.shape != shape:
        raise WeightsError(f"{where}: shape is {list(shape)}, that of its array {list(whole.shape)}; {AGAIN}")
    return unpack6(found, shape) if packed else found.reshape(shape)


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as file:
        content = io.BytesIO(file.read())
    try:
        array: NDArray[Any] = np.lib.format.read_array(content, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f'its array "{name}": {error}') from None
    return array
