"""What a network is judged by: its outputs, and how far they are from the float network's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xportdnn.errors import CalibrationError
from xportdnn.layers import Array
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.opening import Opened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

# Of the probabilities of a Softmax: 1 looks at the first class only, much more at all classes alike. Of 1, 2, 4 and
# none, 4 left the least held-out divergence or nearly so, on three networks of docs/accuracy.md.
_TEMPERATURE = 4.0

# What only reads an answer off numbers, and how many of its bottoms depend on the picture.
_READING = {"ArgMax": 1, "DetectionOutput": 2, "Softmax": 1}


def aims(opened: Opened) -> tuple[Value, ...]:
    """The values by which a network is judged: its outputs, or what an output's layer reads an answer from.

    Raises:
        CalibrationError: there are none.
    """
    net = opened.net
    layers = runnable(net, opened.inputs)
    read = {value for layer in layers for value in layer.bottoms}
    found: dict[Value, None] = {}
    for value in (top for layer in layers for top in layer.tops if top not in read):
        while (writer := net.layers[value.writer]).type == "Softmax":
            value = writer.bottoms[0]
        found |= dict.fromkeys(writer.bottoms[: _READING[writer.type]] if writer.type in _READING else (value,))
    if not found:
        raise CalibrationError(f"{net.source.name}: the rule 'auto' finds no output to judge by; take another rule")
    return tuple(found)


def needed(opened: Opened, judged: Sequence[Value]) -> list[Layer]:
    """The layers on which the judged values depend, in order."""
    wanted = set(judged)
    found = []
    for layer in reversed(runnable(opened.net, opened.inputs)):
        if wanted.intersection(layer.tops):
            wanted.update(layer.bottoms)
            found.append(layer)
    return found[::-1]


def error(net: Net, value: Value, quantized: Array, signal: Array) -> float:
    """How far a value is from its float self: squared error over the float value's energy.

    Scores that a Softmax reads are judged by what it makes of them, the mean divergence of their probabilities. Those
    are softened (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015), so that a few pictures say
    something about more classes than their first.
    """
    first, second = signal.astype(np.float64), quantized.astype(np.float64)
    softmax = next((reader for reader in net.readers.get(value, ()) if reader.type == "Softmax"), None)
    if softmax is not None:
        axis = softmax.params.axis
        first, second = _log_probabilities(first, axis), _log_probabilities(second, axis)
        places = first.size // int(first.shape[axis])
        # below 0 by rounding alone, where the two are the same
        return max(0.0, float((np.exp(first) * (first - second)).sum()) / places)
    energy = float(np.square(first).sum())
    return float(np.square(second - first).sum()) / energy if energy else 0.0


def _log_probabilities(scores: Doubles, axis: int) -> Doubles:
    soft = scores / _TEMPERATURE
    soft -= soft.max(axis=axis, keepdims=True)
    found: Doubles = soft - np.log(np.exp(soft).sum(axis=axis, keepdims=True))
    return found
