"""Where weights that were read from codes cannot stand for the original ones.

`fake` and `integer` quantize the codes' real numbers to the same codes. So does the board, but for layers whose
weights it changes before it quantizes them, or does not quantize at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xportdnn.caffemodel import Caffemodel
from xportdnn.choices import Arithmetic
from xportdnn.codefile import CodedModel
from xportdnn.errors import NetworkError
from xportdnn.network import Layer, Net
from xportdnn.simulation.board.fusion import fuse


def check_codes(net: Net, layers: Sequence[Layer], model: Caffemodel, arithmetic: Arithmetic) -> None:
    """Stop where the simulation would not be that of the original weights.

    Args:
        layers: those that will run.

    Raises:
        NetworkError: layers whose float weights the board needs.
    """
    if arithmetic is not Arithmetic.CHAIDNN or not isinstance(model, CodedModel):
        return
    problems = [
        f"{net.at(layer)}: {reason}" for layer, reason in beyond_codes(net, layers) if layer.name in model.coded
    ]
    if problems:
        raise NetworkError(
            f"{model.path}: the board makes its own integers of these layers' float weights, which this file no longer "
            "holds; give the caffemodel, or fold the network before its conversion (--fold):",
            problems,
        )


def beyond_codes(net: Net, layers: Sequence[Layer]) -> Iterator[tuple[Layer, str]]:
    """The layers whose codes, if they have some, are not what the board computes with, and why.

    Of a Convolution with BatchNorm and Scale only the Convolution.
    """
    fusion = fuse(net, layers)
    for layer in layers:
        assert layer.kind is not None
        if layer.index in fusion.normalised:
            names = " and ".join(each.name for each in fusion.normalised[layer.index])
            yield layer, f"{names} are worked into its weights first"
        elif layer.index not in fusion.owners and layer.kind.name != "Convolution":
            yield layer, "it runs in software, in float"
