"""Layer types under the names that a program knows them by."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from xportdnn.literals import quoted
from xportdnn.network import Layer, Net
from xportdnn.prototxt import Edit, Scalar

# The types whose layers quantize (pmgysel/caffe src/caffe/ristretto/layers). LRNRistretto, on GPUs alone, is left out;
# BatchNormRistretto, EltwiseRistretto and so on are CHaiDNN's names, which Ristretto does not know.
QUANTIZING = {
    "Convolution": "ConvolutionRistretto",
    "Deconvolution": "DeconvolutionRistretto",
    "InnerProduct": "FcRistretto",
}
_SUFFIX = "Ristretto"


def can_quantize(layer: Layer) -> bool:
    """Whether Ristretto has a quantizing layer of this type; it knows no other program's names of Convolution."""
    name = plain(layer)
    return name in QUANTIZING and layer.type in (name, QUANTIZING[name])


def plain(layer: Layer) -> str:
    """The type as Caffe calls it where it has one of Ristretto's or CHaiDNN's names, else as written."""
    return layer.kind.name if layer.kind is not None and layer.type.endswith(_SUFFIX) else layer.type


def retyped(net: Net, quantized: Collection[int] = ()) -> Iterator[Edit]:
    """Edits of the type strings that must change.

    Args:
        quantized: indices of the layers that get Ristretto's type, all others lose it.
    """
    for layer in net.layers:
        name = QUANTIZING[plain(layer)] if layer.index in quantized else plain(layer)
        if name != layer.type:
            written = [value for value in layer.message.all("type") if isinstance(value, Scalar)]
            yield Edit(written[-1].start, written[-1].end, quoted(name))
