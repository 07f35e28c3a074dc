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

_OF_RISTRETTO = "Ristretto's rules rounded its weights and its bias; the board takes another rule for them"


def check_codes(net: Net, layers: Sequence[Layer], model: Caffemodel, arithmetic: Arithmetic) -> None:
    """Stop where the simulation would not be that of the original weights.

    Args:
        layers: those that will run.

    Raises:
        NetworkError: layers whose float weights the board needs.
    """
    if arithmetic is not Arithmetic.CHAIDNN or not isinstance(model, CodedModel):
        return
    reasons = {layer.index: reason for layer, reason in beyond_codes(net, layers)}
    reasons |= {layer.index: _OF_RISTRETTO for layer in layers if _is_ristretto(layer)}
    found = [layer for layer in layers if layer.index in reasons and layer.name in model.coded]
    if not found:
        return
    normalised = fuse(net, layers).normalised
    foldable = all(layer.index in normalised and not _is_ristretto(layer) for layer in found)
    remedy = ", or fold the network before its conversion (--fold)" if foldable else ""
    raise NetworkError(
        f"{model.path}: the board makes its own integers of these layers' float weights, or computes with the floats, "
        f"which this file no longer holds; give the caffemodel{remedy}:",
        [f"{net.at(layer)}: {reasons[layer.index]}" for layer in found],
    )


def _is_ristretto(layer: Layer) -> bool:
    return layer.type.endswith("Ristretto")


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
