"""The formats of a network to simulate, wherever they stand."""

from __future__ import annotations

from collections.abc import Mapping

from xportdnn import precision
from xportdnn.dialects import jacinto, planfile
from xportdnn.errors import InputError
from xportdnn.journal import Journal
from xportdnn.network import Net
from xportdnn.precision import Precision, Ristretto


def formats(net: Net, plan: str | None, weights: str | None, journal: Journal) -> Mapping[int, Precision | Ristretto]:
    """Layer index -> its formats: those of the prototxt, CHaiDNN's or Ristretto's, or those of a plan.

    Args:
        plan: the file that `--dialect json` wrote.

    Raises:
        InputError: there are none, or only caffe-jacinto's.
        NetworkError: they cannot be read.
    """
    found = precision.read(net) if plan is None else planfile.read(plan, net, weights, journal)
    if found:
        _warn_of_plain(net, found, journal)
        return found
    if plan is None and jacinto.read(net) is not None:
        raise InputError(
            f"{net.source.name}: the ranges of {jacinto.BLOCK} follow the order of the pictures, so that there are no "
            "fixed formats to compare with; `xportdnn simulate` takes this file, with --images DIR or --input FILE.npy"
        )
    raise InputError(
        f"{plan or net.source.name}: no layer of this file has formats, in a precision_param or Ristretto's "
        "quantization_param; give what the conversion wrote. If this is it, the network has nothing to quantize"
    )


def _warn_of_plain(net: Net, found: Mapping[int, Precision | Ristretto], journal: Journal) -> None:
    """Ristretto's block says nothing to a layer of Caffe's own type."""
    plain = [
        f"{net.layers[index].name} ({net.layers[index].type})"
        for index, block in found.items()
        if isinstance(block, Ristretto) and not net.layers[index].type.endswith("Ristretto")
    ]
    if plain:
        journal.warn(
            "Ristretto reads a quantization_param only in layers of its own types (ConvolutionRistretto, FcRistretto, "
            f"DeconvolutionRistretto); these are computed in float: {', '.join(plain)}"
        )
