"""A network's inputs read from `.npy` files, and its tops written as such."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xportdnn import output
from xportdnn.errors import InputError, NetworkError, OutputError, UsageError
from xportdnn.journal import Journal
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_inputs(net: Net, inputs: Sequence[str], journal: Journal) -> dict[Value, Array]:
    """The fed arrays, float32, by value.

    Args:
        inputs: `FILE.npy`, or `BLOB=FILE.npy` for networks with several inputs.

    Raises:
        UsageError: they are not the network's inputs.
        InputError: a file holds no array.
    """
    tops = {value.blob: value for layer in net.layers if layer.is_input for value in layer.tops}
    wanted = [value.blob for value in net.inputs]
    feeds: dict[Value, Array] = {}
    for text in inputs:
        blob, path = _named(text, tops, wanted)
        if blob not in tops:
            raise UsageError(f"--input {text}: the network has no input '{blob}'; its inputs are {', '.join(tops)}")
        if tops[blob] in feeds:
            raise UsageError(f"--input {text}: the input '{blob}' is given twice; give it one file")
        feeds[tops[blob]] = _load(path)
    missing = [blob for blob in wanted if tops[blob] not in feeds]
    if missing:
        raise UsageError(f"--input {missing[0]}=FILE.npy is missing; the network reads {', '.join(wanted)}")
    for value, array in feeds.items():
        declared = net.declared.get(value)
        if declared is not None and len(declared) != array.ndim:
            raise UsageError(
                f"--input: '{value.blob}' has the shape {list(declared)} in {net.source.name}, the array "
                f"{list(array.shape)}; the number of axes must agree"
            )
        if declared is not None and declared != array.shape:
            journal.info(f"input '{value.blob}' is reshaped from {list(declared)} to the array's {list(array.shape)}")
    return feeds


def _named(text: str, tops: dict[str, Value], wanted: Sequence[str]) -> tuple[str, str]:
    blob, separator, path = text.partition("=")
    if separator and (blob in tops or not Path(text).exists()):
        return blob, path
    if len(wanted) != 1:
        raise UsageError(
            f"--input {text}: the network reads {len(wanted)} inputs; give each as BLOB=FILE.npy ({', '.join(wanted)})"
        )
    return wanted[0], text


def _load(path: str) -> Array:
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError):
        raise InputError(f"{path}: this is no .npy file of numbers; write it with numpy.save") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise InputError(f"{path}: must hold one array of real numbers")
    return np.ascontiguousarray(array, np.float32)


def file_stem(name: str) -> str:
    """A name as a part of a file's name; slashes become underscores."""
    return name.replace("/", "_")


def file_name(layer: str, index: int, tops: Sequence[str]) -> str:
    """The file of a layer's top: `<layer>.npy`, or `<layer>__<index>_<blob>.npy` where the layer has several."""
    name = layer if len(tops) == 1 else f"{layer}__{index}_{tops[index]}"
    return f"{file_stem(name)}.npy"


def prepare_folder(net: Net, folder: str) -> None:
    """Make the folder for a network's tops.

    Raises:
        NetworkError: two tops would go into one file.
        OutputError: the folder cannot be made or written.
    """
    _check_names(net)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from None
    output.check(str(Path(folder, "x.npy")), ())


def write_tops(folder: str, layer: Layer, tops: Arrays) -> int:
    """Write the tops that a layer has; returns how many those are."""
    blobs = [value.blob for value in layer.tops]
    for index, array in enumerate(tops):
        output.write(str(Path(folder, file_name(layer.name, index, blobs))), npy(array))
    return len(tops)


def npy(array: NDArray[Any]) -> bytes:
    """The bytes of an array's file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _check_names(net: Net) -> None:
    seen: dict[str, str] = {}
    problems = []
    for layer in net.layers:
        for name in _names_of([value.blob for value in layer.tops], layer.name):
            if name in seen:
                problems.append(f'{net.at(layer)} and layer "{seen[name]}" both write {name}')
            seen[name] = layer.name
    if problems:
        raise NetworkError(f"{net.source.name}: layers whose tops go into one file; rename one of each:", problems)


def _names_of(tops: Sequence[str], layer: str) -> Iterator[str]:
    for index in range(len(tops)):
        yield file_name(layer, index, tops)
