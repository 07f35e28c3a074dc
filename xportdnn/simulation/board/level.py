"""CHaiDNN, bit by bit: what its kernel, its host software and its optimiser make of a network.

Convolution, pooling and Eltwise are the kernel's (`arithmetic.board`); they move integers and know no format but their
own. Concat, Permute, Reshape and their like move integers, too. InnerProduct, Softmax and the other layers of software
compute in float on dequantized integers, with the caffemodel's own weights; their results go back to the kernel rounded
half up in Xilinx mode. How they go back in DynamicFixed mode is not recorded; it is taken to be as for the network's
input, half away from zero.

The network's input is taken as the application feeds it, floats with the mean subtracted, and quantized as the first
layer reads it. (In DynamicFixed mode the board has another way in for 8-bit pixels, `ends.pixels_dynamic_fixed`.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from xportdnn import execute
from xportdnn.arithmetic import Int8s
from xportdnn.arithmetic.board import accumulator, convolution, eltwise, ends, pooling
from xportdnn.arithmetic.board.saturations import Saturations
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.layers import convolution as conv_rule
from xportdnn.layers import pooling as pool_rule
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value
from xportdnn.simulation.board.kinds import MOVED, SOFTWARE
from xportdnn.simulation.board.plan import plan
from xportdnn.simulation.formats import Block, Fixed, Threshold, Whole
from xportdnn.simulation.held import Floats, Hardware, Held, Outcome, Quantized
from xportdnn.simulation.moves import moved

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Entered(NamedTuple):
    """A bottom in the kernel."""

    held: Quantized
    integers: Int8s
    lost: Saturations


class Chaidnn:
    """The arithmetic of `chaidnn`.

    Attributes:
        plan: what the board computes inside what, and its weights.
        clipped: layer index -> weights, biases and factors that the host could not store as they are.
        warnings: where the board differs from what the network says.
    """

    def __init__(
        self,
        net: Net,
        layers: Sequence[Layer],
        weights: Mapping[int, Arrays],
        blocks: Mapping[int, Block],
        inputs: Mapping[Value, Shape],
    ) -> None:
        """Decide how the board runs the layers, and store their weights.

        Raises:
            NetworkError: every layer that the board cannot run.
        """
        self.net, self.weights = net, weights
        self.plan = plan(net, layers, weights, blocks, inputs)
        self.warnings = self.plan.warnings
        stored = {index: found.stored.saturations for index, found in self.plan.convolutions.items()}
        self.clipped = {index: lost.weights + lost.biases + lost.factors for index, lost in stored.items()}

    def feed(self, array: Array, block: Block | None) -> Outcome:
        """An input of the network; it becomes integers where the first layer reads it."""
        return Outcome((Floats(array, fed=True),))

    def run(self, layer: Layer, bottoms: tuple[Held, ...]) -> Outcome:
        """One layer.

        Raises:
            LayerError: NaN or infinity where floats enter the kernel.
        """
        assert layer.kind is not None
        name = layer.kind.name
        if name in MOVED:
            outcome = self._moved(layer, bottoms)
        elif name in SOFTWARE:
            outcome = self._software(layer, bottoms)
        else:
            outcome = _RUN[name](self, layer, bottoms)
        return outcome._replace(stored=layer.index not in self.plan.fusion.inside)

    def hardware(self, layer: Layer) -> Hardware:
        """What the host stores for the kernel."""
        fusion = self.plan.fusion
        fused = [self.net.layers[index].name for index, owner in fusion.owners.items() if owner is layer]
        facts: dict[str, Any] = {"computes": fused, "relu": layer.index in fusion.rectified}
        arrays: dict[str, NDArray[Any]] = {}
        if found := self.plan.convolutions.get(layer.index):
            stored = found.stored
            arrays = {"weights": stored.weights, "bias": stored.bias}
            formula = "(sum + bias) / 2^shift"
            if stored.scale is not None:
                arrays["multiplier"] = stored.scale
                formula = "(sum * (multiplier mod 2^24) + bias * 2^14) / 2^shift"
            channels = stored.weights.shape[1] * layer.params.group
            portions = accumulator.chunks(channels, stored.weights.shape[2:], layer.params.group)
            facts |= {
                "output": f"{formula}, in 32 bits",
                "sum": "18 bits, saturated behind every portion of the input channels",
                "portions": [[portion.start, portion.stop] for portion in portions],
                "shift": stored.shift,
                "rounding": "half away from zero",
                "limits": list(convolution.limits(stored.six)),
            }
        elif layer.kind is not None and layer.kind.name == "Pooling" and layer.params.pool == "AVE":
            facts |= {"divisor": "the whole window", "rounding": "toward minus infinity"}
        return Hardware(arrays, facts, fusion.owners.get(layer.index))

    def _convolution(self, layer: Layer, bottoms: Sequence[Held]) -> Outcome:
        found = self.plan.convolutions[layer.index]
        bottom = _entered(bottoms[0], found.layer_in)
        (top,) = conv_rule.shape(layer.params, (bottom.integers.shape,))
        windows = conv_rule.windows_of(layer.params, bottom.integers.shape)
        rectified = layer.index in self.plan.fusion.rectified
        group = layer.params.group
        result = convolution.convolution(bottom.integers, found.stored, windows, top[2:], group, rectified)
        return _outcome(Quantized(result.top, found.layer_out), (bottom,), result.saturations)

    def _pooling(self, layer: Layer, bottoms: Sequence[Held]) -> Outcome:
        own, written = self.plan.sides[layer.index]
        bottom = _entered(bottoms[0], own)
        images = bottom.integers
        windows = pool_rule.windows_of(layer.params, images.shape[2:])
        counts = pool_rule.window_counts(layer.params, windows, images.shape[2:])
        out, lost = written or bottom.held.format, Saturations()
        if layer.params.pool == "MAX":
            top = pooling.maximum(images, windows, counts)
        elif isinstance(own, Fixed) and isinstance(out, Fixed):
            top, lost = pooling.average_dynamic_fixed(images, windows, counts, own.fl, out.fl)
        else:
            top = pooling.average_xilinx(images, windows, counts)
        return _outcome(Quantized(top, out), (bottom,), lost)

    def _eltwise(self, layer: Layer, bottoms: Sequence[Held]) -> Outcome:
        own, written = self.plan.sides[layer.index]
        first, second = (_entered(held, own) for held in bottoms)
        out = written or first.held.format
        rectified = layer.index in self.plan.fusion.rectified
        result = eltwise.add(first.integers, second.integers, (own or first.held.format).bits, rectified)
        return _outcome(Quantized(result.top, out), (first, second), result.saturations)

    def _relu(self, layer: Layer, bottoms: Sequence[Held]) -> Outcome:
        (held,) = bottoms
        if layer.index in self.plan.fusion.dropped:
            return Outcome((held,), (held,))
        if isinstance(held, Quantized):
            return Outcome((Quantized(np.maximum(held.integers, 0), held.format),), (held,))
        return Outcome((Floats(np.maximum(held.real, 0)),), (held,))

    def _fused(self, layer: Layer, bottoms: Sequence[Held]) -> Outcome:
        """BatchNorm or Scale: the Convolution has done it."""
        return Outcome(tuple(bottoms), tuple(bottoms))

    def _normalize(self, layer: Layer, bottoms: Sequence[Held]) -> Outcome:
        own, out = self.plan.sides[layer.index]
        assert out is not None
        (held,) = bottoms
        real = held.real if own is None or isinstance(held, Floats) else own.dequantize(held.integers)
        (top,) = execute.forward(self.net, layer, (real,), self.weights[layer.index])
        entered = _entered(Floats(top), out)
        return Outcome((entered.held,), (held,), *_counts(entered.lost))

    def _moved(self, layer: Layer, bottoms: Sequence[Held]) -> Outcome:
        whole = [held for held in bottoms if isinstance(held, Quantized)]
        if len(whole) < len(bottoms):
            tops = execute.forward(self.net, layer, tuple(held.real for held in bottoms), ())
            fed = all(isinstance(held, Floats) and held.fed for held in bottoms)
            return Outcome(tuple(Floats(top, fed=fed) for top in tops), tuple(bottoms))
        form = self.plan.sides[layer.index].layer_out or whole[0].format
        integers = moved(layer, [held.integers for held in whole])
        return Outcome(tuple(Quantized(top, form) for top in integers), tuple(bottoms))

    def _software(self, layer: Layer, bottoms: Sequence[Held]) -> Outcome:
        read = tuple(Floats(held.real) for held in bottoms)
        blobs = self.weights.get(layer.index, ())
        tops = execute.forward(self.net, layer, tuple(held.real for held in read), blobs)
        return Outcome(tuple(Floats(top) for top in tops), read)


_RUN = {
    "Convolution": Chaidnn._convolution,
    "Pooling": Chaidnn._pooling,
    "Eltwise": Chaidnn._eltwise,
    "ReLU": Chaidnn._relu,
    "BatchNorm": Chaidnn._fused,
    "Scale": Chaidnn._fused,
    "Normalize": Chaidnn._normalize,
}


def _entered(held: Held, own: Whole | None) -> _Entered:
    """A bottom as the kernel reads it: its integers whatever they were written as, or floats quantized for it."""
    if isinstance(held, Quantized):
        form = own or held.format
        return _Entered(Quantized(held.integers, form), held.integers.astype(np.int8, copy=False), Saturations())
    assert own is not None
    own.clipped(held.real)
    if isinstance(own, Threshold):
        rule = ends.input_xilinx if held.fed else ends.software_xilinx
        result = rule(held.real, own.th, own.bits)
    else:
        result = ends.input_dynamic_fixed(held.real, own.fl, own.bits)
    return _Entered(Quantized(result.top, own), result.top, result.saturations)


def _outcome(top: Quantized, bottoms: Sequence[_Entered], lost: Saturations) -> Outcome:
    for bottom in bottoms:
        lost += bottom.lost
    return Outcome((top,), tuple(bottom.held for bottom in bottoms), *_counts(lost))


def _counts(lost: Saturations) -> tuple[int, int]:
    """Saturated and wrapped values of a run."""
    return lost.inputs + lost.accumulators + lost.outputs, lost.wraps + lost.words + lost.roundings + lost.averages
