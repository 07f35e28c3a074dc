"""What a blob holds while a network is simulated: floats, or integers and the format that gives them a meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union

from xportdnn.arithmetic import Integers
from xportdnn.layers import Array, Shape
from xportdnn.network import Layer
from xportdnn.simulation.formats import Format, Whole

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Floats:
    """Real numbers.

    Attributes:
        format: they are known to be numbers of this format, so that quantizing them once more changes nothing.
        fed: they came from outside the network and were only moved since.
    """

    real: Array
    format: Format | None = None
    fed: bool = False

    @property
    def shape(self) -> Shape:
        return self.real.shape


@dataclass(frozen=True)
class Quantized:
    """Integers of some format."""

    integers: Integers
    format: Whole

    @property
    def real(self) -> Array:
        return self.format.dequantize(self.integers)

    @property
    def shape(self) -> Shape:
        return self.integers.shape


Held: TypeAlias = Union[Floats, Quantized]


class Hardware(NamedTuple):
    """What hardware needs to know of a layer besides its bottoms.

    Attributes:
        arrays: the parameters as it stores them, by name.
        facts: single values for a manifest: shifts, formulas, the rounding's name.
        inside: the layer that computes this one, too; None where it computes itself.
    """

    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]
    inside: Layer | None = None


class Outcome(NamedTuple):
    """What became of one layer.

    Attributes:
        read: its bottoms as it read them, quantized where it quantizes them.
        stored: the hardware has the tops in its memory; otherwise they are those of a later layer.
        in_place: `read` took the place of the bottoms, for all that read them later.
    """

    tops: tuple[Held, ...]
    read: tuple[Held, ...] = ()
    saturated: int = 0
    wrapped: int = 0
    stored: bool = True
    in_place: bool = False
