"""caffe-jacinto's inference with `net_quantization_param`: what a layer writes is quantized, not what it reads.

Frame after frame, caffe-jacinto widens the range that it saw in the frames before and quantizes by it; the first
`quantization_start` frames stay float (net.cpp, StartQuantization, UpdateQuantizationRangeInLayers). Here a batch is
one frame, fed over and over: its ranges, times `range_expansion_factor`, are those of the float frames, and what comes
out is the frame with weights and blobs quantized by them. A mean of equal ranges is the range, so that
`range_update_factor` changes nothing.

Ranges are taken when a frame is done: what is overwritten in place has the range of what it became.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from xportdnn import calibrate, execute, scales
from xportdnn.arithmetic import scaled
from xportdnn.arithmetic.rounding import Rounding, half_away, stochastic
from xportdnn.arithmetic.scaled import Scaled
from xportdnn.choices import Arithmetic
from xportdnn.dialects.jacinto import MULTIPLYING, STOCHASTIC, NetQuantization, of_blob, quantizes, remedy
from xportdnn.errors import LayerError
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.simulation.fake import quantities, rectifies
from xportdnn.simulation.formats import Block
from xportdnn.simulation.held import Floats, Hardware, Held, Outcome
from xportdnn.simulation.places import Problems
from xportdnn.simulation.run import Simulation

_QUANTIZING = MULTIPLYING | {"BatchNorm", "Scale", "ReLU", "PReLU", "Eltwise", "Concat", "Bias", "Pooling"}


class Range(NamedTuple):
    """The smallest and the largest number of a blob."""

    minimum: float
    maximum: float


class Jacinto:
    """The arithmetic, prepared for a network.

    Attributes:
        clipped: layer index -> weights beyond their format.
    """

    def __init__(
        self,
        net: Net,
        blobs: Mapping[int, Arrays],
        formats: Mapping[Value, Scaled],
        rounding: Callable[[int], Rounding],
        clipped: Mapping[int, int],
    ) -> None:
        """
        Args:
            blobs: the quantized weights by layer index.
            formats: those of the values that are quantized.
            rounding: layer index -> the way its values are rounded.
        """
        self.net, self.blobs, self.formats, self.rounding, self.clipped = net, blobs, formats, rounding, clipped
        self.warnings = ("the batch is taken for a frame that caffe-jacinto sees again and again",)

    def feed(self, array: Array, block: Block | None) -> Outcome:
        """An input of the network, quantized already."""
        return Outcome((Floats(array, fed=True),))

    def run(self, layer: Layer, bottoms: tuple[Held, ...]) -> Outcome:
        """One layer."""
        arrays = execute.forward(self.net, layer, tuple(held.real for held in bottoms), self.blobs[layer.index])
        tops = [self._written(layer, value, array) for value, array in zip(layer.tops, arrays, strict=True)]
        return Outcome(tuple(Floats(array) for array, _ in tops), bottoms, sum(lost for _, lost in tops))

    def _written(self, layer: Layer, value: Value, array: Array) -> tuple[Array, int]:
        form = self.formats.get(value)
        if form is None:
            return array, 0
        seen = np.maximum(array, 0) if rectifies(self.net, layer) else array
        return scaled.trim(array, form, self.rounding(layer.index)), scaled.beyond(seen, form)

    def hardware(self, layer: Layer) -> Hardware:
        """Nothing: these are no numbers of hardware."""
        return Hardware({}, {})


def prepare(
    net: Net, weights: Mapping[int, Arrays], wanted: NetQuantization, feeds: Mapping[Value, Array]
) -> tuple[Simulation, dict[Value, Array]]:
    """A simulation of one frame, and what to feed it.

    Args:
        weights: arrays by layer index.
        feeds: the frame.

    Raises:
        NetworkError: layers whose numbers have no range.
        CalibrationError: NaN or infinity in the weights.
    """
    layers = runnable(net, feeds)
    calibrate.check_weights(net, layers, weights)
    unfit = Problems(net)
    blobs: dict[int, Arrays] = {}
    clipped: dict[int, int] = {}

    def rounding(index: int) -> Rounding:
        return stochastic(np.random.default_rng(index)) if wanted.rounding_scheme == STOCHASTIC else half_away

    for layer in layers:
        own = blobs[layer.index] = weights.get(layer.index, ())
        if quantizes(layer, wanted):
            with unfit.of(layer):
                forms = [of_blob(layer, index, blob, wanted) for index, blob in enumerate(own)]
                clipped[layer.index] = sum(map(scaled.beyond, own[:1], forms[:1]))
                # only the weights are clipped, the bias is not
                blobs[layer.index] = tuple(
                    scaled.trim(blob, form, rounding(layer.index), clip=index == 0)
                    for index, (blob, form) in enumerate(zip(own, forms, strict=True))
                )
    formats: dict[Value, Scaled] = {}
    if wanted.quantize_activations:
        ranges = ranges_of(net, layers, weights, feeds)
        for value in _quantized(net, layers, wanted, feeds):
            with unfit.of(net.layers[value.writer]):
                formats[value] = _of_top(net.layers[value.writer], wanted, ranges[value])
    unfit.check("caffe-jacinto has no format for the numbers of these layers:")
    level = Jacinto(net, blobs, formats, rounding, clipped)
    fed = {
        value: scaled.trim(array, formats[value], rounding(value.writer)) if value in formats else array
        for value, array in feeds.items()
    }
    return Simulation(net, layers, {}, Arithmetic.FAKE, level), fed


def _of_top(layer: Layer, wanted: NetQuantization, seen: Range) -> Scaled:
    least, greatest = (wanted.range_expansion_factor * end for end in seen)
    try:
        return scaled.of_range(
            least,
            greatest,
            wanted.bitwidth_activations,
            wanted.power2_scale_activations,
            wanted.apply_offset_activations,
        )
    except LayerError as error:
        numbers = f"all {seen.minimum:g}" if seen.minimum == seen.maximum else f"{seen.minimum:g} to {seen.maximum:g}"
        fields = "power2_scale_weights: true power2_scale_activations: true"
        raise LayerError(f"what it writes, {numbers}: {error}; {remedy(layer, fields)}") from None


def ranges_of(
    net: Net, layers: Sequence[Layer], weights: Mapping[int, Arrays], feeds: Mapping[Value, Array]
) -> dict[Value, Range]:
    """What caffe-jacinto sees of every value when a float frame is done: the last numbers in its memory."""
    memory: dict[Value, Value] = {}
    for layer in layers:
        for top in layer.tops:
            over = [bottom for bottom in layer.bottoms if bottom.blob == top.blob]
            shared = over or (layer.bottoms[:1] if scales.shares_memory(layer) else [])
            memory[top] = memory.get(shared[0], shared[0]) if shared else top
    seen: dict[Value, Range] = {}
    for step in execute.run(net, weights, feeds):
        calibrate.check_finite(net, step)
        values = [value for value in step.layer.tops if not step.layer.is_input or value in feeds]
        for value, array in zip(values, step.tops, strict=True):
            seen[memory.get(value, value)] = Range(float(array.min()), float(array.max()))
    return {value: seen[memory.get(value, value)] for value in (*feeds, *memory)}


def _quantized(
    net: Net, layers: Sequence[Layer], wanted: NetQuantization, feeds: Mapping[Value, Array]
) -> Iterator[Value]:
    """The values that caffe-jacinto quantizes."""
    yield from (value for value in feeds if _takes_part(net.layers[value.writer], wanted))
    for layer in layers:
        if plain_type(layer) in _QUANTIZING and _takes_part(layer, wanted) and not merged(net, layer):
            yield from (layer.tops[index] for index in quantities(layer))


def _takes_part(layer: Layer, wanted: NetQuantization) -> bool:
    return layer.name not in wanted.ignored_layer_names


def plain_type(layer: Layer) -> str:
    """Caffe's name of the type."""
    assert layer.kind is not None
    return layer.kind.name


def merged(net: Net, layer: Layer) -> bool:
    """Whether a layer behind it, which alone reads it, is computed together with it, so that its own tops stay float.

    A BatchNorm or Scale in front of a Convolution, with none behind it, is merged into that one.
    """
    behind, before = _behind(net, layer), _before(net, layer)
    own = plain_type(layer)
    if own in MULTIPLYING:
        return behind in ("BatchNorm", "Scale", "ReLU")
    if own == "BatchNorm":
        return behind in ("Scale", "ReLU") or (behind == "Convolution" and _type_of(before) != "Convolution")
    if own == "Scale":
        first = _before(net, before) if before is not None else None
        alone = "Convolution" not in (_type_of(before), _type_of(first))
        return behind == "ReLU" or (behind == "Convolution" and alone)
    return False


def _behind(net: Net, layer: Layer) -> str:
    """The type of the only reader; where there are several, Caffe puts a Split in between."""
    readers = net.readers.get(layer.tops[0], ())
    return _type_of(readers[0]) if len(readers) == 1 else "Split"


def _before(net: Net, layer: Layer) -> Layer | None:
    """The writer of the first bottom, if nobody else reads that."""
    if not layer.bottoms or len(net.readers[layer.bottoms[0]]) > 1:
        return None
    return net.layers[layer.bottoms[0].writer]


def _type_of(layer: Layer | None) -> str:
    return layer.kind.name if layer is not None and layer.kind is not None else ""
