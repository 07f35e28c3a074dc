"""Where weights that were read from codes cannot stand for the original ones.

`fake` and `integer` quantize the codes' real numbers to the same codes. So does the board, but for layers whose
weights it changes before it quantizes them, or does not quantize at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

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
    found = [each for each in beyond_codes(net, layers) if each.layer.name in model.coded]
    if not found:
        return
    remedy = ", or fold the network before its conversion (--fold)" if all(each.foldable for each in found) else ""
    raise NetworkError(
        f"{model.path}: the board makes its own integers of these layers' float weights, or computes with the floats, "
        f"which this file no longer holds; give the caffemodel{remedy}:",
        [f"{net.at(each.layer)}: {each.reason}" for each in found],
    )


class Beyond(NamedTuple):
    """A layer whose codes, if it has some, are not what the board computes with.

    Attributes:
        foldable: whether they would be, had the network been folded first.
    """

    layer: Layer
    reason: str
    foldable: bool


def beyond_codes(net: Net, layers: Sequence[Layer]) -> Iterator[Beyond]:
    """All such layers; of a Convolution with BatchNorm and Scale only the Convolution."""
    fusion = fuse(net, layers)
    for layer in layers:
        assert layer.kind is not None
        if layer.type.endswith("Ristretto"):
            yield Beyond(layer, _OF_RISTRETTO, False)
        elif layer.index in fusion.normalised:
            names = " and ".join(each.name for each in fusion.normalised[layer.index])
            yield Beyond(layer, f"{names} are worked into its weights first", True)
        elif layer.index not in fusion.owners and layer.kind.name != "Convolution":
            yield Beyond(layer, "it runs in software, in float", False)
