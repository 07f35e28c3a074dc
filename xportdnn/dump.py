"""The reference forward of a network on given arrays, every top written as a `.npy` file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from xportdnn import execute, output
from xportdnn.errors import InputError, NetworkError, OutputError, UsageError
from xportdnn.journal import Journal
from xportdnn.layers import Array
from xportdnn.lazy import np
from xportdnn.network import Net, Value, runnable
from xportdnn.opening import complete, open_net, open_weights


def dump(deploy_model: str, weights: str | None, inputs: Sequence[str], folder: str, journal: Journal) -> int:
    """Run the network and write `<layer>.npy`, or `<layer>__<index>_<blob>.npy` where a layer has several tops.

    Args:
        inputs: `FILE.npy`, or `BLOB=FILE.npy` for networks with several inputs.

    Returns:
        The number of files written.

    Raises:
        UsageError: an input is missing or names no input of the network.
        NetworkError: a layer type has no rule; a forward with holes in it would mislead.
    """
    net, model = open_weights(open_net(deploy_model, journal), weights, journal)
    feeds = read_inputs(net, inputs, journal)
    opened = complete(net, model, {value: array.shape for value, array in feeds.items()}, journal, strict=True)
    _check_names(net)
    _make(folder)
    steps = runnable(net, feeds)
    written = 0
    with journal.progress("forward", len(steps)) as tick:
        for step in execute.run(net, execute.load(steps, opened.weights), feeds):
            for index, array in enumerate(step.tops):
                name = file_name(step.layer.name, index, [value.blob for value in step.layer.tops])
                output.write(str(Path(folder, name)), _npy(array))
                written += 1
            tick()
    return written


def read_inputs(net: Net, inputs: Sequence[str], journal: Journal) -> dict[Value, Array]:
    """The fed arrays, float32, by value.

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


def file_name(layer: str, index: int, tops: Sequence[str]) -> str:
    """The file of a layer's top; slashes become underscores."""
    name = layer if len(tops) == 1 else f"{layer}__{index}_{tops[index]}"
    return f"{name.replace('/', '_')}.npy"


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


def _make(folder: str) -> None:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from None
    output.check(str(Path(folder, "x.npy")), ())


def _npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
