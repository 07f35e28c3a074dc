"""The layer types: one module each, found by its name.

A type's module is its name in snake case (`InnerProduct` is `inner_product.py`); underscores and letter case do not
matter, so no list has to be kept. A module declares `Params` (the prototxt fields with Caffe's defaults), the rules
`shape` and `forward`, for layers with weights `blobs`, and ends with `KIND = LayerKind(...)`. Only the modules of the
types that a network holds are imported, and none of them imports NumPy before an array is touched.

`forward` is the specification: plain NumPy, float32, NCHW, as near to Caffe's own words as possible.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from xportdnn.prototxt import Message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float32]
else:
    Array = Any

Arrays: TypeAlias = tuple[Array, ...]
Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = tuple[Shape, ...]
P = TypeVar("P")

# Names that other forks give to a type known here.
ALIASES = {
    "ConvolutionDepthwise": "Convolution",
    "DepthwiseConvolution": "Convolution",
    "BatchNormRistretto": "BatchNorm",
    "ConvolutionRistretto": "Convolution",
    "DeconvolutionRistretto": "Deconvolution",
    "EltwiseRistretto": "Eltwise",
    "FcRistretto": "InnerProduct",
    "LRNRistretto": "LRN",
    "NMS": "DetectionOutput",
    "NormalizeRistretto": "Normalize",
    "ScaleRistretto": "Scale",
}


def no_blobs(params: Any, bottoms: Shapes) -> Shapes:
    """The rule of layers without weights."""
    return ()


def accept(layer: Message) -> None:
    """The rule of layers whose text needs no look beyond their parameters."""


def no_doubt(layer: Message) -> str:
    """The same, for settings of the training."""
    return ""


@dataclass(frozen=True)
class LayerKind(Generic[P]):
    """What is known of one layer type.

    Attributes:
        name: Caffe's name of the type.
        params: frozen dataclass of the prototxt fields.
        shape: tops' shapes from bottoms' shapes; raises `LayerError` where Caffe would refuse.
        forward: tops from bottoms and weights, float32; never writes to its arguments.
        field: the prototxt field that holds the parameters, such as "convolution_param".
        bottoms, tops: least and greatest number of each; None is "any".
        blobs: the shapes of the weights the layer needs.
        in_place: Caffe accepts a top with the bottom's name.
        ties: which blobs the board moves as the same integers through this layer, so that they share one
            threshold: "all" (bottoms and tops), "first" (the first bottom and the tops) or "none".
        sizes_only: the tops depend on the bottoms' shapes, not on their numbers.
        refuse: raises `LayerError` for what Caffe refuses in the layer's text outside its own parameter block.
        doubt: what Caffe refuses in the text although it cannot change the forward; empty if there is nothing.
        channels: weights to a (num_output, k) matrix; each row gives one `th_params`. None: no weight thresholds.
    """

    name: str
    params: type[P]
    shape: Callable[[P, Shapes], Shapes]
    forward: Callable[[P, Arrays, Arrays], Arrays]
    field: str = ""
    bottoms: tuple[int, int | None] = (1, 1)
    tops: tuple[int, int | None] = (1, 1)
    blobs: Callable[[P, Shapes], Shapes] = no_blobs
    in_place: bool = True
    ties: Literal["all", "first", "none"] = "none"
    sizes_only: bool = False
    refuse: Callable[[Message], None] = accept
    doubt: Callable[[Message], str] = no_doubt
    channels: Callable[[P, Array], Array] | None = None


@lru_cache(maxsize=1)
def _modules() -> dict[str, str]:
    """Type name without case and underscores -> module name."""
    return {info.name.replace("_", ""): info.name for info in pkgutil.iter_modules(__path__)}


@cache
def kind(layer_type: str) -> LayerKind[Any] | None:
    """The rules of a layer type, or None where there are none."""
    layer_type = ALIASES.get(layer_type, layer_type)
    name = _modules().get(layer_type.lower())
    if name is None:
        return None
    found: LayerKind[Any] = import_module(f"{__name__}.{name}").KIND
    return found if found.name == layer_type else None


def types() -> tuple[str, ...]:
    """The module names of all layer types, sorted."""
    return tuple(sorted(_modules().values()))
