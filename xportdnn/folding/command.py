"""From a network's files to the folded network, proven on inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xportdnn.caffemodel import Caffemodel
from xportdnn.errors import UsageError
from xportdnn.folding.folded import Folded, fold
from xportdnn.folding.proof import Evidence, prove, random_inputs
from xportdnn.journal import Journal
from xportdnn.layers import Shape
from xportdnn.network import Net, Value
from xportdnn.npy import read_inputs
from xportdnn.opening import open_net, open_weights


def fold_files(deploy_model: str, weights: str, inputs: Sequence[str], dims: Shape | None, journal: Journal) -> Folded:
    """Fold the network of two files and prove it; nothing is written.

    Args:
        inputs: `FILE.npy`, or `BLOB=FILE.npy` for networks with several inputs; random ones if there are none.
        dims: (C, H, W) of the input where the text says none, or another one.

    Raises:
        UsageError: the inputs are not the network's, or their shape is not known.
        FoldingError: the folded network computes something else.
    """
    if inputs and dims is not None:
        raise UsageError("--dims and --input exclude each other: an array has its own shape")
    net, model = open_weights(open_net(deploy_model, journal), weights, journal)
    given = read_inputs(net, inputs, journal) if inputs else {}
    shapes = {value: array.shape for value, array in given.items()} or input_shapes(net, dims)
    evidence = Evidence("the given inputs", [{value.blob: array for value, array in given.items()}]) if given else None
    return fold_proven(net, model, shapes, evidence, journal)


def fold_proven(
    net: Net,
    model: Caffemodel,
    inputs: Mapping[Value, Shape],
    evidence: Evidence | None,
    journal: Journal,
    strict: bool = False,
) -> Folded:
    """Fold a network and prove it, on random inputs where there are no others.

    Raises:
        FoldingError: the folded network computes something else.
    """
    folded = fold(net, model, inputs, journal, strict)
    prove(folded, evidence or random_inputs(inputs), journal)
    return folded


def input_shapes(net: Net, dims: Shape | None) -> Mapping[Value, Shape]:
    """The shapes of a network's inputs, one picture each.

    Raises:
        UsageError: one is not known.
    """
    if dims is not None and len(net.inputs) == 1:
        return {net.inputs[0]: (1, *dims)}
    shapes: dict[Value, Shape] = {}
    for value in net.inputs:
        if value not in net.declared:
            raise UsageError(
                f"input '{value.blob}' has no shape in {net.source.name}, and folding needs one; give --dims C,H,W"
            )
        shape = net.declared[value]
        shapes[value] = (1, *shape[1:]) if len(shape) == 4 else shape
    return shapes
