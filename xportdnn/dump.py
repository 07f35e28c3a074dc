"""The reference forward of a network on given arrays, every top written as a `.npy` file."""

from __future__ import annotations

from collections.abc import Sequence

from xportdnn import execute
from xportdnn.journal import Journal
from xportdnn.network import runnable
from xportdnn.npy import prepare_folder, read_inputs, write_tops
from xportdnn.opening import complete, open_net, open_weights


def dump(deploy_model: str, weights: str | None, inputs: Sequence[str], folder: str, journal: Journal) -> int:
    """Run the network and write every layer's tops (`npy.file_name`).

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
    prepare_folder(net, folder)
    steps = runnable(net, feeds)
    written = 0
    with journal.progress("forward", len(steps)) as tick:
        for step in execute.run(net, execute.load(steps, opened.weights), feeds):
            written += write_tops(folder, step.layer, step.tops)
            tick()
    return written
