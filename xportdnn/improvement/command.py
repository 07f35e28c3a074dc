"""From files to a folded network with better weights; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence

from xportdnn.errors import UsageError
from xportdnn.folding.command import fold_proven
from xportdnn.folding.folded import Folded
from xportdnn.folding.proof import Evidence
from xportdnn.improvement.choosing import Wanted, improved
from xportdnn.journal import Journal
from xportdnn.npy import read_inputs
from xportdnn.opening import open_net, open_weights
from xportdnn.options import Options
from xportdnn.pictures import calibration_set


def improve_files(options: Options, inputs: Sequence[str], wanted: Wanted, journal: Journal) -> Folded:
    """Fold the network of two files, prove it, and improve its weights as far as that helps.

    Args:
        options: those of the conversion that the network is meant for, and its calibration pictures.
        inputs: `FILE.npy` to prove on; the first picture if there are none.

    Raises:
        UsageError: there is only one picture, or the inputs are not the network's.
        FoldingError: folding or equalization changes the outputs.
        CalibrationError: NaN or infinity in the forward, or too many pictures for the memory.
    """
    net = open_net(options.deploy_model, journal)
    pictures, shape = calibration_set(options, net, journal)
    net, model = open_weights(net, options.weights, journal)
    given = read_inputs(net, inputs, journal) if inputs else {}
    for value, array in given.items():
        if array.shape != shape:
            raise UsageError(
                f"--input '{value.blob}' has the shape {list(array.shape)} and the pictures are fed as {list(shape)}; "
                "leave one of them out, or give an array of the same shape"
            )
    said = "the given inputs" if given else "the first picture"
    feeds = [{value.blob: array for value, array in (given or pictures[0]).items()}]
    evidence = Evidence(said, feeds)
    folded = fold_proven(net, model, {pictures.target: shape}, evidence, journal, options.strict)
    return improved(folded, pictures, options, wanted, evidence, journal)
