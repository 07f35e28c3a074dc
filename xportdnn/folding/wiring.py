"""Who reads a value once Dropout and Split are out of the way, and which blobs must keep their names.

A Dropout or Split hands its bottom on as it is; all values that come from one value in this way are its *copies*. They
become one blob, so at most one of them may have a name that somebody outside the network knows.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from xportdnn.network import Layer, Net, Value

_PASSING = ("Dropout", "Split")


@dataclass(frozen=True)
class Wiring:
    """A network's values as they will be connected.

    Attributes:
        origins: a value -> the one that it is a copy of; values that are no copies are absent.
        readers: a value that is no copy -> the layers that read it or a copy of it.
        dropped: the Dropout and Split layers that can go.
        kept: those that cannot, with the reason.
        known: a value that is no copy -> the name by which its blob is known outside, where there is one.
        sharing: layers whose blobs another layer uses too, by `param { name }` or by the layer's name.
    """

    origins: Mapping[Value, Value]
    readers: Mapping[Value, tuple[Layer, ...]]
    dropped: tuple[Layer, ...]
    kept: tuple[tuple[Layer, str], ...]
    known: Mapping[Value, str]
    sharing: frozenset[int]

    def origin(self, value: Value) -> Value:
        """The value that it is a copy of, or itself."""
        return self.origins.get(value, value)


def wiring(net: Net) -> Wiring:
    """The wiring of a network."""
    outside = frozenset(_outside(net))
    origins: dict[Value, Value] = {}
    readers: dict[Value, tuple[Layer, ...]] = {}
    dropped: dict[int, Layer] = {}
    kept: dict[int, tuple[Layer, str]] = {}
    known: dict[Value, str] = {}
    for value in (top for layer in net.layers for top in layer.tops):
        if value in origins:
            continue
        family = _family(net, value, kept)
        if reason := _conflict(net, family, outside):
            kept |= {layer.index: (layer, reason) for layer in family.handing if not outside.isdisjoint(layer.tops)}
            family = _family(net, value, kept)
        origins |= dict.fromkeys(family.values[1:], value)
        readers[value] = family.readers
        dropped |= {layer.index: layer for layer in family.handing}
        for name in _names(family, outside):
            known[value] = name
    in_order = tuple(dropped[index] for index in sorted(dropped))
    return Wiring(origins, readers, in_order, tuple(kept.values()), known, _sharing(net))


class _Family(NamedTuple):
    """A value with all its copies, the layers that hand it on, and those that read it."""

    values: tuple[Value, ...]
    handing: tuple[Layer, ...]
    readers: tuple[Layer, ...]


def _family(net: Net, value: Value, kept: Container[int]) -> _Family:
    values = [value]
    handing: list[Layer] = []
    readers: dict[int, Layer] = {}
    for each in values:  # which grows meanwhile
        for layer in net.readers.get(each, ()):
            if layer.kind is not None and layer.kind.name in _PASSING and layer.index not in kept:
                handing.append(layer)
                values += layer.tops
            else:
                readers[layer.index] = layer
    return _Family(tuple(values), tuple(handing), tuple(readers.values()))


def _names(family: _Family, outside: Container[Value]) -> list[str]:
    """The names by which a family is known outside."""
    return list(dict.fromkeys(value.blob for value in family.values if value in outside))


def _conflict(net: Net, family: _Family, outside: Container[Value]) -> str:
    """Why a family cannot become one blob; empty if it can."""
    names = _names(family, outside)
    ends = [value.blob for value in family.values[1:] if value not in net.readers]
    if len(names) > 1:
        return f'the blobs "{names[0]}" and "{names[1]}" are both known outside the network'
    if ends and family.readers:
        return f'"{ends[0]}" is an output of the network, and would be none if a layer read it'
    return ""


def _outside(net: Net) -> Iterator[Value]:
    """Values known outside: inputs, outputs, and the last versions of blobs that layers left out of it read."""
    last: dict[str, Value] = {}
    for layer in net.layers:
        last |= {top.blob: top for top in layer.tops}
        yield from (top for top in layer.tops if top not in net.readers or layer.is_input)
    yield from (last[blob] for blob in net.read_elsewhere if blob in last)


def _sharing(net: Net) -> frozenset[int]:
    users: dict[tuple[str, str], set[int]] = {}
    for layer in net.layers:
        users.setdefault(("layer", layer.name), set()).add(layer.index)
        for param in layer.message.messages("param"):
            if name := param.string("name"):
                users.setdefault(("param", name), set()).add(layer.index)
    return frozenset(index for found in users.values() if len(found) > 1 for index in found)
