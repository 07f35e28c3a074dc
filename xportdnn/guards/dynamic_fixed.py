"""What the board makes of the user's formats in DynamicFixed mode where it is not what they say; nothing is changed.

The sum of a convolution has fl_layer_in + fl_params fractional bits and is shifted right to fl_layer_out, by 1 to 31
(ap_uint<5>). The bias is trimmed to the output format and then shifted left to the sum's, in 16 bits that wrap around.
AVE pooling shifts by fl_layer_in + 8 - fl_layer_out. Nothing converts between layers: a consumer reads the integers
that are there with its own fl_layer_in. Where BatchNorm and Scale are worked into a Convolution, the board finds
fl_params by itself, from the largest weight that results, and takes fl_layer_out of the Scale's block.

Only that last rule takes all weights and NumPy to read them; the others do with the formats, and with the biases where
a shift is so large that one might not fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from xportdnn.arithmetic import qformat
from xportdnn.choices import BOARD_WIDTHS
from xportdnn.errors import LayerError
from xportdnn.guards.convolutions import Convolution, convolutions
from xportdnn.guards.marks import Guard, Mark
from xportdnn.layers import Arrays
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.plan import Block
from xportdnn.simulation.board.kinds import MOVED
from xportdnn.weights import Weights

SHIFTS = (1, 31)
AVERAGE_BITS = 8
_BIAS_BITS = 16
_SHORT = 1  # bits of fused weights that the board may leave unused without a word
# Layers whose block says how they read and write.
_FORMATTED = frozenset({"Eltwise", "Permute", "Normalize"})


class _Formats(NamedTuple):
    """Of a convolution, as the board takes them.

    Attributes:
        fits: the fl_params that would be best where the board finds it by itself.
    """

    fl_layer_in: int
    fl_params: int
    fl_layer_out: int
    bw_layer_out: int
    fits: int

    @property
    def shift(self) -> int:
        return self.fl_layer_in + self.fl_params - self.fl_layer_out


def marks(net: Net, blocks: Sequence[Block], weights: Weights, inside: bool = True) -> Iterator[Mark]:
    """What the guards find in these blocks.

    Args:
        weights: read only where the formats make a bias or a fused weight matter.
        inside: whether to look at fused weights, which takes all of them and NumPy; else they are only named.
    """
    fields = {block.layer.index: dict(block.fields) for block in blocks}
    layers = runnable(net, net.inputs)
    found = {each.layer.index: each for each in convolutions(net, layers) if each.layer.index in fields}
    fused = tuple(each.layer for each in found.values() if each.normalised)
    if fused and not inside:
        yield Mark(Guard.UNSEEN, fused, len(fused), None)
    for each in found.values():
        formats = _formats(each, fields, weights) if inside or not each.normalised else None
        if formats is not None:
            yield from _of_convolution(each, formats, weights)
    yield from _of_averages(layers, fields)
    yield from _of_blobs(net, layers, fields, found)


def _formats(convolution: Convolution, fields: Mapping[int, Mapping[str, Any]], weights: Weights) -> _Formats | None:
    """None where the board has no such width, or the weights that decide are not known."""
    own, written = fields[convolution.layer.index], fields.get(convolution.writer.index)
    if written is None or not {own["bw_layer_in"], own["bw_params"], written["bw_layer_out"]} <= set(BOARD_WIDTHS):
        return None
    fl_params = fits = own["fl_params"]
    if convolution.normalised:
        from xportdnn.fractions import overflow
        from xportdnn.simulation.board.weights import fused_fl_params

        peak = _peak(convolution, weights)
        if not 0 < peak < math.inf:
            return None
        fl_params = fused_fl_params(own["bw_params"], peak)
        fits = overflow(-peak, peak, own["bw_params"])
    return _Formats(own["fl_layer_in"], fl_params, written["fl_layer_out"], written["bw_layer_out"], fits)


def _peak(convolution: Convolution, weights: Weights) -> float:
    """The largest magnitude of fused weights; 0 where they are not known or no numbers."""
    try:
        arrays = _arrays(convolution, weights)
        return convolution.fused_peak(arrays) if arrays else 0.0
    except LayerError:
        return 0.0


def _arrays(convolution: Convolution, weights: Weights) -> Mapping[int, Arrays] | None:
    """The arrays of the layers that make one convolution; None where a caffemodel does not have them."""
    layers = (convolution.layer, *(convolution.normalised or ()))
    if not all(_has_values(layer, weights) for layer in layers):
        return None
    return {layer.index: tuple(blob.values() for blob in weights[layer.index]) for layer in layers}


def _has_values(layer: Layer, weights: Weights) -> bool:
    """Whether the layer's blobs are there, and not only their shapes."""
    blobs = weights.get(layer.index, ())
    return bool(blobs) and all(blob.is_whole for blob in blobs)


def _biases(convolution: Convolution, weights: Weights) -> Sequence[float]:
    """As the board's host has them before it quantizes; none where a caffemodel does not have them."""
    if convolution.normalised:
        arrays = _arrays(convolution, weights)
        found: list[float] = convolution.stored(arrays)[1].tolist() if arrays else []
        return found
    blobs = weights.get(convolution.layer.index, ())[1:2]
    return blobs[0].floats() if blobs and blobs[0].is_whole else ()


def _of_convolution(convolution: Convolution, formats: _Formats, weights: Weights) -> Iterator[Mark]:
    layers = (convolution.layer,)
    if formats.fits - formats.fl_params > _SHORT:
        yield Mark(Guard.FUSED, layers, formats.fl_params, formats.fits)
    if (fits := _in_range(formats.shift)) != formats.shift:
        yield Mark(Guard.SHIFT, layers, formats.shift, formats.fl_layer_out + formats.shift - fits)
    # an output of bw_layer_out bits can be moved this far without leaving 16
    elif formats.shift > _BIAS_BITS - formats.bw_layer_out:
        room = room_of(_biases(convolution, weights), formats.bw_layer_out, formats.fl_layer_out)
        if room < formats.shift:
            bits = formats.fl_layer_in + formats.fl_params
            yield Mark(Guard.INT16, layers, bits, bits - formats.shift + room)


def _in_range(shift: int) -> int:
    return min(max(shift, SHIFTS[0]), SHIFTS[1])


def room_of(bias: Iterable[float], bits: int, fl: int) -> int:
    """How far left every bias can be shifted, trimmed to the output format."""
    numbers = [value for value in bias if value == value]  # NaN has a rule of its own (`check`)
    least, largest = (qformat.quantized(end(numbers, default=0), bits, fl) for end in (min, max))
    if not least and not largest:
        return SHIFTS[1]
    low, high = min(least, -1), max(largest, 0)
    return _BIAS_BITS - 1 - max((-low - 1).bit_length(), high.bit_length())


def _of_averages(layers: Sequence[Layer], fields: Mapping[int, Mapping[str, Any]]) -> Iterator[Mark]:
    for layer in layers:
        own = fields.get(layer.index)
        if own is not None and _is_average(layer):
            shift = own["fl_layer_in"] + AVERAGE_BITS - own["fl_layer_out"]
            if (fits := _in_range(shift)) != shift:
                yield Mark(Guard.AVERAGE, (layer,), shift, own["fl_layer_out"] + shift - fits)


def _is_average(layer: Layer) -> bool:
    return layer.kind is not None and layer.kind.name == "Pooling" and layer.params.pool == "AVE"


def _of_blobs(
    net: Net,
    layers: Sequence[Layer],
    fields: Mapping[int, Mapping[str, Any]],
    convolutions: Mapping[int, Convolution],
) -> Iterator[Mark]:
    """Every blob that is read with another fractional length than it was written with."""
    inside = {layer.index for each in convolutions.values() for layer in each.normalised or ()}
    written: dict[Value, int | None] = {}  # None: floats, or a layer that the board has no format for
    for layer in layers:
        own = fields.get(layer.index)
        arriving = [written.get(value) for value in layer.bottoms]
        formatted = layer.index in convolutions or _is_average(layer) or _name(layer) in _FORMATTED
        if own is not None and formatted and layer.index not in inside:
            for fl in arriving:
                if fl is not None and fl != own["fl_layer_in"]:
                    yield Mark(Guard.BLOB, (layer,), own["fl_layer_in"], fl)
                    break
        if own is not None and (formatted or layer.index in inside):
            form = own["fl_layer_out"]
        else:
            form = next((fl for fl in arriving if fl is not None), None) if _passes(layer) else None
        written |= dict.fromkeys(layer.tops, form)


def _name(layer: Layer) -> str:
    return layer.kind.name if layer.kind is not None else ""


def _passes(layer: Layer) -> bool:
    """Whether the layer moves integers as they are."""
    return _name(layer) in MOVED or _name(layer) in ("ReLU", "Pooling")
