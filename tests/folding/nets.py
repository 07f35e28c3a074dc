"""Networks folded from files, and both networks run on the same input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from tests.small_nets import Files, write_net
from xportdnn import api
from xportdnn.folding.command import fold_files
from xportdnn.folding.folded import Folded
from xportdnn.journal import Journal
from xportdnn.layers import Array
from xportdnn.modelfile import pieces
from xportdnn.prototxt import to_bytes

Weights = Mapping[str, Iterable[Array]]


def floats(*values: float) -> Array:
    """A blob with one axis."""
    return np.array(values, np.float32)


def fold_text(folder: Path, text: str, weights: Weights | None = None, journal: Journal | None = None) -> Folded:
    """A network folded and proven; weights that are not given are made up."""
    files = write_net(folder, text, weights)
    return fold_files(str(files.deploy), str(files.weights), (), None, journal or Journal())


def written(folder: Path, folded: Folded) -> Files:
    """The folded network on disk."""
    files = Files(folder / "folded.prototxt", folder / "folded.caffemodel")
    files.deploy.write_bytes(to_bytes(folded.net.source.text))
    files.weights.write_bytes(b"".join(pieces(folded.model.layers)))
    return files


def outputs(deploy: str | Path, weights: str | Path, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The blobs that no layer reads, by name."""
    network = api.read(deploy, weights)
    steps = [(layer, tops) for layer, tops in api.forward(network, **inputs) if not layer.is_input]
    read = {value for layer in network.net.layers for value in layer.bottoms}
    return {
        value.blob: top
        for layer, tops in steps
        for value, top in zip(layer.tops, tops, strict=True)
        if value not in read
    }


def given(folded: Folded, seed: int = 3) -> dict[str, Array]:
    """Random inputs for a network, other ones than its proof uses."""
    rng = np.random.default_rng(seed)
    return {value.blob: rng.normal(1, 5, shape).astype(np.float32) for value, shape in folded.opened.inputs.items()}


def assert_same_outputs(folder: Path, folded: Folded) -> None:
    """The outputs of both networks, read from files, have the same names, shapes and values, to 1e-5 of the largest."""
    inputs = given(folded)
    files = written(folder, folded)
    before = outputs(folder / "deploy.prototxt", folder / "net.caffemodel", inputs)
    after = outputs(files.deploy, files.weights, inputs)
    assert list(after) == list(before)
    for blob, array in before.items():
        np.testing.assert_allclose(after[blob], array, rtol=0, atol=1e-5 * np.abs(array).max(), err_msg=blob)


def names(folded: Folded) -> list[str]:
    """The layers that are left, without the input."""
    return [layer.name for layer in folded.net.layers if not layer.is_input]
