"""Errors of single layers, with the place of the layer; several of them at once where nothing has run yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from xportdnn.errors import LayerError, NetworkError
from xportdnn.network import Layer, Net


@contextmanager
def placed(net: Net, layer: Layer) -> Iterator[None]:
    """A LayerError from inside gets the layer's place, if it has none yet."""
    try:
        yield
    except LayerError as error:
        where, text = net.where(layer), str(error)
        raise LayerError(text if text.startswith(where) else f"{where}: {text}") from None


@dataclass
class Warnings:
    """What will be otherwise than the network says, the layers of one kind together."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, text: str, layer: Layer, detail: str = "") -> None:
        """One more layer of which this is to be said, with what is special about it."""
        self.found.setdefault(text, []).append(f"{layer.name} ({detail})" if detail else layer.name)

    @property
    def sentences(self) -> tuple[str, ...]:
        """One for each kind, with the names of its layers."""
        return tuple(f"{text}: {', '.join(layers)}" for text, layers in self.found.items())


@dataclass
class Problems:
    """What speaks against running a network, layer by layer."""

    net: Net
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, layer: Layer, problem: str) -> None:
        """One more."""
        self.found.append((layer.index, f"{self.net.at(layer)}: {problem}"))

    @contextmanager
    def of(self, layer: Layer) -> Iterator[None]:
        """A LayerError from inside is one more."""
        try:
            yield
        except LayerError as error:
            self.add(layer, str(error))

    def check(self, headline: str) -> None:
        """Stop if there are any.

        Raises:
            NetworkError: all of them, in file order.
        """
        if self.found:
            raise NetworkError(f"{self.net.source.name}: {headline}", [problem for _, problem in sorted(self.found)])
