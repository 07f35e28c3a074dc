"""The formats of every layer at every width, from one pass over pictures.

`mse` and `overflow` are the conversion's rules, one length for each scale class. `ristretto` is Ristretto's, letter by
letter: every layer for itself, from the largest |x| that stands in its first bottom and its first top when the whole
forward is done, when in-place layers have written over them (net.cpp RangeInLayers). Where all numbers are 0, whose
logarithm Ristretto turns into whatever number comes out, there is room for 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xportdnn import calibrate, fractions, plan, scales
from xportdnn.arithmetic import minifloat
from xportdnn.block_params import Parameter, parameters
from xportdnn.choices import TRIMMING_MODES, Dialect, Mode
from xportdnn.dialects.retyping import can_quantize
from xportdnn.dialects.ristretto import EXPONENTS
from xportdnn.exponents import LEAST
from xportdnn.layers import Array, Arrays
from xportdnn.network import Layer, Value, runnable
from xportdnn.opening import Opened
from xportdnn.precision import Ristretto
from xportdnn.qformats import METHODS
from xportdnn.searching.widths import FLOAT, Widths
from xportdnn.statistics import Statistics
from xportdnn.workers import Tick

DYNAMIC_FIXED_POINT, MINIFLOAT, POWER_OF_2 = TRIMMING_MODES
POWER_OF_2_BITS = 4  # sign and the exponents -8 to -1
_ACTIVATIONS_BITS = 8  # what Ristretto writes beside powers of two
_FLOAT32 = (23, 8)  # bits of mantissa and exponent
_FLOAT_FL = 16  # what Ristretto takes for float; its formulas clip with 32 bits what they clip with 8
_SAFE = 1.0


@dataclass(frozen=True)
class Seen:
    """What the pictures showed of the blobs of the layers to quantize.

    Attributes:
        statistics: value -> those of its scale class; of `ristretto` there are none.
        peaks: value -> the largest |x|.
    """

    statistics: Mapping[Value, Statistics]
    peaks: Mapping[Value, float]


@dataclass
class Lengths:
    """Blocks of a trimming mode for any widths.

    Attributes:
        method: of `choices.FL_METHODS`.
        params: layer index -> its weights and, but for `ristretto`, bias, where it has any.
    """

    layers: Sequence[Layer]
    mode: str
    method: str
    seen: Seen
    params: Mapping[int, Parameter]
    _known: dict[tuple[object, int], int] = field(default_factory=dict)

    @property
    def exp_bits(self) -> int:
        """The bits of exponent of all minifloats."""
        return max((LEAST, *map(minifloat.exponent_bits, self.seen.peaks.values())))

    def blocks(self, widths: Widths) -> dict[int, Ristretto]:
        """Layer index -> its block."""
        return {layer.index: self._block(layer, widths) for layer in self.layers}

    def _block(self, layer: Layer, widths: Widths) -> Ristretto:
        if self.mode == MINIFLOAT:
            bits = widths.activations
            mant_bits, exp_bits = _FLOAT32 if bits == FLOAT else (bits - 1 - self.exp_bits, self.exp_bits)
            return Ristretto(precision="MINIFLOAT", mant_bits=mant_bits, exp_bits=exp_bits)
        power_of_2 = self.mode == POWER_OF_2
        bits = _ACTIVATIONS_BITS if power_of_2 else widths.activations
        sides: dict[str, Any] = {
            "bw_layer_in": bits,
            "bw_layer_out": bits,
            "fl_layer_in": self._of_value(layer.bottoms[0], bits),
            "fl_layer_out": self._of_value(layer.tops[0], bits),
        }
        if power_of_2:
            least, greatest = EXPONENTS
            return Ristretto(precision="INTEGER_POWER_OF_2_WEIGHTS", exp_min=least, exp_max=greatest, **sides)
        bits = widths.weights(layer)
        return Ristretto(bw_params=bits, fl_params=self._of_params(layer, bits), **sides)

    def _of_value(self, value: Value, bits: int) -> int:
        if (value, bits) not in self._known:
            self._known[value, bits] = self._found_of_value(value, bits)
        return self._known[value, bits]

    def _found_of_value(self, value: Value, bits: int) -> int:
        if not self.seen.peaks[value]:
            return fractions.overflow(0.0, _SAFE, bits)
        if self.method == "ristretto":
            return _FLOAT_FL if bits == FLOAT else fractions.ristretto(self.seen.peaks[value], bits)
        return METHODS[self.method].of_values(self.seen.statistics[value], bits)

    def _of_params(self, layer: Layer, bits: int) -> int:
        if (layer.index, bits) not in self._known:
            self._known[layer.index, bits] = self._found_of_params(layer, bits)
        return self._known[layer.index, bits]

    def _found_of_params(self, layer: Layer, bits: int) -> int:
        own = self.params.get(layer.index)
        if own is None or not own.values.any():
            return fractions.overflow(0.0, _SAFE, bits)
        if bits == FLOAT:
            # there is nothing to gain by looking for better ones
            return _FLOAT_FL if self.method == "ristretto" else METHODS["overflow"].of_params(own, bits)
        return METHODS[self.method].of_params(own, bits)


def quantized(opened: Opened) -> list[Layer]:
    """The layers that Ristretto quantizes, as far as they run."""
    running = {layer.index for layer in runnable(opened.net, opened.inputs)}
    found = plan.quantized(opened.net, Dialect.RISTRETTO, Mode.DYNAMIC_FIXED)
    return [layer for layer, _ in found if layer.index in running and can_quantize(layer)]


def lengths(
    opened: Opened,
    weights: Mapping[int, Arrays],
    pictures: Sequence[Mapping[Value, Array]],
    mode: str,
    method: str,
    tick: Tick,
    workers: int,
) -> Lengths:
    """Run the pictures through the float network.

    Args:
        weights: arrays by layer index (`execute.load`).
        mode: of `choices.TRIMMING_MODES`.
        method: of `choices.FL_METHODS`.

    Raises:
        CalibrationError: NaN or infinity in the forward.
    """
    layers = quantized(opened)
    see = _last if method == "ristretto" else _classes
    seen = see(opened, weights, pictures, layers, tick, workers)
    powers = {value: fractions.mean_square(each) for value, each in seen.statistics.items()}
    params = {
        layer.index: own
        for layer in layers
        for own in parameters(opened.net, layer, ("fl_params",), weights, powers.get(layer.bottoms[0]))
        if weights[layer.index]
    }
    return Lengths(layers, mode, method, seen, params)


def _classes(
    opened: Opened,
    weights: Mapping[int, Arrays],
    pictures: Sequence[Mapping[Value, Array]],
    layers: Iterable[Layer],
    tick: Tick,
    workers: int,
) -> Seen:
    """What is seen of the scale classes, right after their layers ran."""
    reached = {layer.index for layer in runnable(opened.net, opened.inputs)} | {each.writer for each in opened.inputs}
    classes = scales.fraction_classes(layer for layer in opened.net.layers if layer.index in reached)
    touched = _touched(layers)
    needed = frozenset(classes[value] for value in touched)
    found = calibrate.stream(opened, weights, pictures, classes, needed, tick, workers).statistics
    statistics = {value: found[classes[value]] for value in touched}
    return Seen(statistics, {value: each.peak for value, each in statistics.items()})


def _last(
    opened: Opened,
    weights: Mapping[int, Arrays],
    pictures: Sequence[Mapping[Value, Array]],
    layers: Iterable[Layer],
    tick: Tick,
    workers: int,
) -> Seen:
    """What stands in the blobs when the forward is done."""
    ends = scales.last_versions(opened.net.layers)
    last = {value: ends[value] for value in _touched(layers)}
    found = calibrate.stream(
        opened, weights, pictures, {}, frozenset(), tick, workers, watched=frozenset(last.values())
    ).peaks
    return Seen({}, {value: found[end] for value, end in last.items()})


def _touched(layers: Iterable[Layer]) -> list[Value]:
    return list(dict.fromkeys(value for layer in layers for value in (layer.bottoms[0], layer.tops[0])))
