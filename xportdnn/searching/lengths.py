"""The formats of every layer at every width, from one pass over pictures.

`mse` and `overflow` are the conversion's rules, one length for each scale class. `ristretto` is Ristretto's, letter by
letter, every layer for itself (`quantities`). Where all numbers are 0, whose logarithm Ristretto turns into whatever
number comes out, there is room for 1. The minifloats of a width have one exponent (`exponents`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xportdnn import exponents, fractions, plan
from xportdnn.choices import TRIMMING_MODES, Dialect, Mode
from xportdnn.dialects.retyping import can_quantize
from xportdnn.dialects.ristretto import EXPONENTS
from xportdnn.layers import Array, Arrays
from xportdnn.network import Layer, Value, runnable
from xportdnn.opening import Opened
from xportdnn.precision import Ristretto
from xportdnn.qformats import METHODS
from xportdnn.quantities import Quantities, quantities
from xportdnn.searching.widths import FLOAT, Widths
from xportdnn.workers import Tick

DYNAMIC_FIXED_POINT, MINIFLOAT, POWER_OF_2 = TRIMMING_MODES
POWER_OF_2_BITS = 4  # sign and the exponents -8 to -1
_ACTIVATIONS_BITS = 8  # what Ristretto writes beside powers of two
_FLOAT32 = (23, 8)  # bits of mantissa and exponent
_FLOAT_FL = 16  # what Ristretto takes for float; its formulas clip with 32 bits what they clip with 8
_SAFE = 1.0


@dataclass
class Lengths:
    """Blocks of a trimming mode for any widths.

    Attributes:
        method: of `choices.FL_METHODS`.
        seen: what all lengths are found from.
    """

    layers: Sequence[Layer]
    mode: str
    method: str
    seen: Quantities
    _known: dict[tuple[object, int], int] = field(default_factory=dict)

    def exp_bits(self, bits: int) -> int:
        """The bits of exponent of all minifloats of so many bits."""
        if (MINIFLOAT, bits) not in self._known:
            self._known[MINIFLOAT, bits] = exponents.chosen(self.seen, self.method, bits)
        return self._known[MINIFLOAT, bits]

    def holds(self, bits: int) -> bool:
        """Whether a minifloat of so many bits has a mantissa."""
        return bits - 1 - self.exp_bits(bits) > 0

    def blocks(self, widths: Widths) -> dict[int, Ristretto]:
        """Layer index -> its block."""
        return {layer.index: self._block(layer, widths) for layer in self.layers}

    def _block(self, layer: Layer, widths: Widths) -> Ristretto:
        if self.mode == MINIFLOAT:
            bits = widths.activations
            mant_bits, exp_bits = _FLOAT32 if bits == FLOAT else (bits - 1 - self.exp_bits(bits), self.exp_bits(bits))
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
        method = METHODS[self.method]
        rule = method.of_scores if value in self.seen.scores else method.of_values
        return rule(self.seen.statistics[value], bits)

    def _of_params(self, layer: Layer, bits: int) -> int:
        if (layer.index, bits) not in self._known:
            self._known[layer.index, bits] = self._found_of_params(layer, bits)
        return self._known[layer.index, bits]

    def _found_of_params(self, layer: Layer, bits: int) -> int:
        own = self.seen.params.get(layer.index)
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
    return Lengths(layers, mode, method, quantities(opened, weights, layers, pictures, method, tick, workers))
