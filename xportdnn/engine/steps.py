"""The order of a forward: only what is needed, and layers that run as one taken together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from xportdnn.engine import choice
from xportdnn.engine.choice import Choose, Work
from xportdnn.engine.kernel import Kernel
from xportdnn.engine.pointwise import Part, Pointwise, part
from xportdnn.layers import Arrays, Shape
from xportdnn.network import Layer, Value

# How large the tops of these layers are depends on the values.
_LOOSE = frozenset({"DetectionOutput"})


class Step(NamedTuple):
    """A layer, or a layer and those behind it whose work its kernel does at the same time.

    Attributes:
        tops: of the last of them.
        kernel: None for the reference rule.
        loose: the tops may have other shapes than expected.
    """

    layer: Layer
    bottoms: tuple[Value, ...]
    tops: tuple[Value, ...]
    kernel: Kernel | None = None
    loose: bool = False

    @property
    def is_alias(self) -> bool:
        """Whether the tops are the bottom under other names."""
        return choice.renames(self.layer) and not self.loose

    @property
    def scratch(self) -> int:
        """Numbers of working memory."""
        return self.kernel.scratch if self.kernel is not None else 0

    @property
    def may_overwrite(self) -> bool:
        """Whether the top may lie where the bottom lies."""
        return isinstance(self.kernel, Pointwise)


def needed(layers: Sequence[Layer], observed: Collection[Value]) -> list[Layer]:
    """Those of the layers that an observed value depends on, in order."""
    wanted = set(observed)
    found = []
    for layer in reversed(layers):
        if not wanted.isdisjoint(layer.tops):
            wanted.update(layer.bottoms)
            found.append(layer)
    return found[::-1]


def steps(
    layers: Iterable[Layer],
    weights: Mapping[int, Arrays],
    shapes: Mapping[Value, Shape],
    observed: Collection[Value],
    choose: Choose = choice.kernel,
) -> Iterator[Step]:
    """The layers in order, each with the layers behind it that its kernel takes over."""
    layers = needed(tuple(layers), observed)
    readers: dict[Value, list[Layer]] = {}
    for layer in layers:
        for value in set(layer.bottoms):
            readers.setdefault(value, []).append(layer)
    taken: set[int] = set()
    loose: set[Value] = set()
    for layer in layers:
        if layer.index in taken:
            continue
        if (layer.kind is not None and layer.kind.name in _LOOSE) or not loose.isdisjoint(layer.bottoms):
            loose.update(layer.tops)
            yield Step(layer, layer.bottoms, layer.tops, loose=True)
            continue
        behind = list(_behind(layer, readers, weights, shapes, observed)) if choice.takes_parts(layer) else []
        last = behind[-1][0] if behind else layer
        bottoms, tops = (tuple(shapes[value] for value in values) for values in (layer.bottoms, last.tops))
        parts = tuple(found for _, found in behind)
        kernel = choose(Work(layer, bottoms, tops, weights.get(layer.index, ()), parts))
        if kernel is None:
            yield Step(layer, layer.bottoms, layer.tops)
        else:
            taken.update(other.index for other, _ in behind)
            yield Step(layer, layer.bottoms, last.tops, kernel)


def _behind(
    layer: Layer,
    readers: Mapping[Value, Sequence[Layer]],
    weights: Mapping[int, Arrays],
    shapes: Mapping[Value, Shape],
    observed: Collection[Value],
) -> Iterator[tuple[Layer, Part]]:
    """The layers that work on nothing but the layer's top, number by number, one after the other."""
    while len(layer.tops) == 1 and layer.tops[0] not in observed:
        (layer, *others) = readers[layer.tops[0]]
        found = part(layer, shapes[layer.tops[0]], weights.get(layer.index, ()))
        if others or found is None:
            return
        yield layer, found
