"""Which layers go into which weights, which stay, and why.

Layers are looked at in file order. One that scales and shifts goes into the layer that computes its bottom, if that has
weights and nobody else reads the bottom; or else, with those of its kind behind it, into the one layer that reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from xportdnn import execute
from xportdnn.folding.absorb import after, before, channel_axis, takes_from_before, takes_from_behind
from xportdnn.folding.affine import Affine, RefusalError, affine, is_affine
from xportdnn.folding.wiring import Wiring, wiring
from xportdnn.layers import Arrays, Shape
from xportdnn.network import Layer, Value
from xportdnn.opening import Opened


class Folding(NamedTuple):
    """A layer that goes into the weights of another."""

    layer: Layer
    into: Layer


class Kept(NamedTuple):
    """A layer that might have been folded or dropped and stays."""

    layer: Layer
    reason: str


@dataclass(frozen=True)
class Plan:
    """What becomes of a network.

    Attributes:
        foldings: the layers that go into weights, in file order.
        dropped: the Dropout and Split layers that go.
        kept: those that stay, in file order.
        blobs: layer index -> the new blobs of a layer that something goes into.
        homes: every value -> the value that holds it when the layers are gone, itself where nothing happens to it.
        held: the values that are still the same there, and not the home's before something went into it.
        names: the homes whose blobs get another name.
    """

    foldings: tuple[Folding, ...]
    dropped: tuple[Layer, ...]
    kept: tuple[Kept, ...]
    blobs: Mapping[int, Arrays]
    homes: Mapping[Value, Value]
    held: frozenset[Value]
    names: Mapping[Value, str]

    @property
    def removed(self) -> frozenset[int]:
        """The indices of all layers that go."""
        return frozenset(layer.index for layer in (*(each.layer for each in self.foldings), *self.dropped))


def plan(opened: Opened) -> Plan:
    """The plan for a network; layers whose shapes are not known are left alone."""
    planner = _Planner(opened, wiring(opened.net))
    for layer in opened.net.layers:
        if is_affine(layer) and layer.index not in planner.foldings:
            planner.place(layer)
    return planner.finished()


@dataclass
class _Planner:
    opened: Opened
    wires: Wiring
    foldings: dict[int, Folding] = field(default_factory=dict)
    kept: list[Kept] = field(default_factory=list)
    homes: dict[Value, Value] = field(default_factory=dict)
    newest: dict[Value, Value] = field(default_factory=dict)  # a home -> the value that it holds by now
    behind: dict[int, Affine] = field(default_factory=dict)
    ahead: dict[int, Arrays] = field(default_factory=dict)

    def place(self, layer: Layer) -> None:
        """Fold a layer, with those behind it where they go the same way, or note why not."""
        try:
            if any(value not in self.opened.shapes for value in (*layer.bottoms, *layer.tops)):
                raise RefusalError("its shape is not known")
            refusal = self._backward(layer)
            if refusal:
                self._forward(layer, refusal)
        except RefusalError as reason:
            self.kept.append(Kept(layer, str(reason)))

    def home(self, value: Value) -> Value:
        """Where a value is once the layers so far are gone."""
        origin = self.wires.origin(value)
        return self.homes.get(origin, origin)

    def finished(self) -> Plan:
        wires, net = self.wires, self.opened.net
        homes = {top: self.home(top) for layer in net.layers for top in layer.tops}
        newest = {home: self.newest.get(home, home) for home in homes.values()}
        held = frozenset(value for value, home in homes.items() if wires.origin(value) == newest[home])
        names = {home: wires.known.get(value, value.blob) for home, value in newest.items()}
        names = {home: name for home, name in names.items() if name != home.blob}
        kept = sorted((*self.kept, *(Kept(*each) for each in wires.kept)), key=lambda each: each.layer.index)
        return Plan(tuple(self.foldings.values()), wires.dropped, tuple(kept), self._blobs(), homes, held, names)

    def _blobs(self) -> dict[int, Arrays]:
        layers = {each.into.index: each.into for each in self.foldings.values()}
        blobs = {index: self._weights(layer) for index, layer in layers.items()} | self.ahead
        return {
            index: after(layer, blobs[index], self.behind[index]) if index in self.behind else blobs[index]
            for index, layer in layers.items()
        }

    def _weights(self, layer: Layer) -> Arrays:
        return execute.load((layer,), self.opened.weights)[layer.index]

    def _shape(self, layer: Layer) -> Shape:
        return self.opened.shapes[layer.bottoms[0]]

    def _backward(self, layer: Layer) -> str:
        """Fold a layer into the one that computes its bottom; the reason if that is not possible."""
        home = self.home(layer.bottoms[0])
        producer = self.opened.net.layers[home.writer]
        if not takes_from_behind(producer):
            return f"its bottom is computed by {self._named(producer)}, which has no weights for its factors"
        refusal = self._occupied(layer, home, producer)
        if refusal:
            return refusal
        found = self._affine(layer, channel_axis(producer, self._shape(producer)))
        so_far = self.behind.get(producer.index)
        self.behind[producer.index] = so_far.then(found) if so_far else found
        self._go(layer, producer, home)
        self.newest[home] = layer.tops[0]
        return ""

    def _occupied(self, layer: Layer, home: Value, target: Layer) -> str:
        """Why the values of `home` may not change before `layer` reads them; empty if they may."""
        newest = self.newest.get(home, home)
        others = [each for each in self.wires.readers[newest] if each.index != layer.index]
        if others:
            return f'{self._named(others[0])} reads "{newest.blob}" too'
        if newest in self.wires.known:
            return f'"{self.wires.known[newest]}" is read outside the network, or by layers that are not run'
        return self._shared(target)

    def _shared(self, target: Layer) -> str:
        shared = target.index in self.wires.sharing
        return f"{self._named(target)} shares its parameters with another layer" if shared else ""

    def _forward(self, layer: Layer, refusal: str) -> None:
        """Fold a layer and those of its kind behind it into the one layer that reads them.

        Args:
            refusal: why it goes nowhere else.

        Raises:
            RefusalError: that is not possible either.
        """
        run, target = self._run(layer)
        if target is None:
            raise RefusalError(refusal)
        if not takes_from_before(target):
            raise RefusalError(f"{refusal}; nor can {self._named(target)} take them, which reads it")
        if shared := self._shared(target):
            raise RefusalError(f"{refusal}; {shared}")
        bottom = self._shape(target)
        whole = self._affine(layer, channel_axis(target, bottom))
        for each in run[1:]:
            try:
                whole = whole.then(self._affine(each, channel_axis(target, bottom)))
            except RefusalError as reason:
                raise RefusalError(f"{refusal}; {self._named(each)}, which reads it, stays: {reason}") from None
        try:
            self.ahead[target.index] = before(target, self._weights(target), whole, bottom)
        except RefusalError as reason:
            raise RefusalError(f"{refusal}; {reason}") from None
        home = self.home(layer.bottoms[0])
        for each in run:
            self._go(each, target, home)

    def _affine(self, layer: Layer, axis: int) -> Affine:
        return affine(layer, self._weights(layer), self._shape(layer), axis)

    def _run(self, layer: Layer) -> tuple[list[Layer], Layer | None]:
        """A layer with those of its kind that alone read it, and the one layer that reads the last, if it is one."""
        run = [layer]
        while True:
            top = run[-1].tops[0]
            readers = self.wires.readers[top]
            if len(readers) != 1 or top in self.wires.known:
                return run, None
            if not is_affine(readers[0]) or len(readers[0].bottoms) > 1:
                return run, readers[0]
            run.append(readers[0])

    def _go(self, layer: Layer, target: Layer, home: Value) -> None:
        self.foldings[layer.index] = Folding(layer, target)
        self.homes |= dict.fromkeys(layer.tops, home)

    def _named(self, layer: Layer) -> str:
        return self.opened.net.at(layer)
