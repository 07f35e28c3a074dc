"""A network's convolutions as the board computes them, as far as the guards look at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from xportdnn.choices import Triple
from xportdnn.errors import LayerError
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value
from xportdnn.simulation.board import geometry
from xportdnn.simulation.board.fusion import fuse

if TYPE_CHECKING:
    from xportdnn.guards.bounds import Numbers


class Convolution(NamedTuple):
    """A Convolution with what the board works into its weights.

    Attributes:
        normalised: the BatchNorm and the Scale behind it, where they are worked in.
    """

    layer: Layer
    normalised: tuple[Layer, Layer] | None = None

    @property
    def writer(self) -> Layer:
        """The layer whose output format counts."""
        return self.normalised[1] if self.normalised else self.layer

    @property
    def bottom(self) -> Value:
        return self.layer.bottoms[0]

    @property
    def top(self) -> Value:
        """What is written, before a ReLU."""
        return self.writer.tops[0]

    def stored(self, weights: Mapping[int, Arrays]) -> tuple[Array, Array]:
        """Weights and bias (num_output,) as the board's host has them before it quantizes.

        Args:
            weights: arrays by layer index.
        """
        blobs = weights[self.layer.index]
        if self.normalised:
            from xportdnn.simulation.board.weights import worked_in

            batch_norm, scale = self.normalised
            return worked_in(batch_norm.params.eps, blobs, weights[batch_norm.index], weights[scale.index])
        return blobs[0], blobs[1] if len(blobs) > 1 else np.zeros(len(blobs[0]), np.float32)

    def fused_peak(self, weights: Mapping[int, Arrays]) -> float:
        """The largest magnitude of the weights with BatchNorm and Scale worked in, without a copy of them.

        Raises:
            LayerError: see `gains`.
        """
        from xportdnn.simulation.board.weights import gains

        assert self.normalised is not None
        batch_norm, scale = self.normalised
        rows = weights[self.layer.index][0].reshape(self.layer.params.num_output, -1)
        factors = gains(batch_norm.params.eps, weights[batch_norm.index], weights[scale.index])
        return float((np.maximum(rows.max(axis=1), -rows.min(axis=1)) * np.abs(factors)).max())

    def numbers(self, weights: Mapping[int, Arrays], th_params: Sequence[float], peak: float, bits: Triple) -> Numbers:
        """What the bounds take; th_params are the block's, for which the board puts others where it fuses."""
        from xportdnn.guards.bounds import Numbers

        weight, bias = self.stored(weights)
        if self.normalised:
            return Numbers(peak, bias, np.abs(weight).reshape(len(weight), -1).max(axis=1), bits)
        return Numbers(peak, bias, np.asarray(th_params, np.float32), bits)


def convolutions(net: Net, layers: Sequence[Layer]) -> Iterator[Convolution]:
    """Those among the layers, in order; without what the board's parser refuses (more than one bottom)."""
    normalised = fuse(net, layers).normalised
    for layer in layers:
        if layer.kind is not None and layer.kind.name == "Convolution" and len(layer.bottoms) == 1:
            behind = normalised.get(layer.index)
            yield Convolution(layer, behind if behind and _can_be_worked_in(*behind) else None)


def _can_be_worked_in(batch_norm: Layer, scale: Layer) -> bool:
    try:
        geometry.check_fused(batch_norm, scale)
    except LayerError:
        return False
    return True
