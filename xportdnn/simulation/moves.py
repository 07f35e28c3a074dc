"""Layers that only move numbers, on integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from xportdnn.arithmetic import Integers
from xportdnn.layers import Array, Arrays
from xportdnn.network import Layer

if TYPE_CHECKING:
    from collections.abc import Iterable


def moved(layer: Layer, bottoms: Sequence[Integers | Array]) -> tuple[Integers, ...]:
    """The tops of a layer that rearranges its bottoms and computes nothing (`scales.copied`)."""
    assert layer.kind is not None
    # a rule that looks at no number works on numbers of every type
    arrays = cast("Arrays", tuple(bottoms))
    return tuple(cast("Iterable[Integers]", layer.kind.forward(layer.params, arrays, ())))
