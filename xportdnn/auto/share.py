"""The pictures of one worker, run through the network from the layer on that is being looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from xportdnn import execute
from xportdnn.auto.judging import error
from xportdnn.auto.places import Place, with_threshold
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, Value
from xportdnn.opening import Opened
from xportdnn.precision import Precision
from xportdnn.simulation.fake import Fake
from xportdnn.simulation.held import Held
from xportdnn.workers import Tick


class Share:
    """Some of the pictures, each with the blobs that the layers from `entered` on will read."""

    def __init__(
        self,
        opened: Opened,
        layers: Sequence[Layer],
        weights: Mapping[int, Arrays],
        fake: Fake,
        blocks: Mapping[int, Precision],
        places: Mapping[Value, tuple[Place, ...]],
        judged: Sequence[Value],
        pictures: Sequence[Mapping[Value, Array]],
        indices: Sequence[int],
    ) -> None:
        self.net, self.weights, self.layers = opened.net, weights, layers
        self.fake, self.places, self.judged = fake.twin(), places, judged
        self.blocks = dict(blocks)
        self.pictures, self.indices = pictures, indices
        self.position = indices[0]
        self.tick: Tick = lambda: None
        self.inputs = [layer for layer in opened.net.layers if layer.is_input]
        self.live: dict[int, dict[Value, Held]] = {}
        self.float: dict[int, tuple[Array, ...]] = {}
        self.entered = 0

    def learn(self) -> None:
        """Compute what the float network makes of the pictures."""
        for index in self.indices:
            self.position = index
            found: dict[Value, Array] = {}
            for step in execute.run(self.net, self.weights, self.pictures[index]):
                found |= {
                    value: np.array(top)
                    for value, top in zip(step.layer.tops, step.tops, strict=False)
                    if value in self.judged
                }
            self.float[index] = tuple(found[value] for value in self.judged)

    def enter(self, position: int) -> None:
        """Compute the layers before `position` with the formats of now; they will not be computed again."""
        if position <= max(layer.index for layer in self.inputs):
            return
        for index in self.indices:
            self.position = index
            live = self.live[index] if index in self.live else self._fed(index)
            for layer in self.layers:
                if self.entered <= layer.index < position:
                    self._run(layer, live)
            later = {value for layer in self.layers if layer.index >= position for value in layer.bottoms}
            later.update(self.judged)
            self.live[index] = {value: held for value, held in live.items() if value in later}
        self.entered = position

    def take(self, thresholds: Mapping[Value, float | None]) -> None:
        """Bring classes into these formats; None: float."""
        changed: set[int] = set()
        for root, threshold in thresholds.items():
            for place in self.places[root]:
                self.blocks[place.layer] = with_threshold(self.blocks[place.layer], place.is_read, threshold)
                changed.add(place.layer)
        for index in changed:
            self.fake.reformat(self.net.layers[index], self.blocks[index])

    def errors(self) -> dict[int, tuple[float, ...]]:
        """The error of every judged value, from `entered` on."""
        return {index: self._error(index) for index in self.indices}

    def _error(self, index: int) -> tuple[float, ...]:
        self.position = index
        live = dict(self.live[index]) if index in self.live else self._fed(index)
        rest = [layer for layer in self.layers if layer.index >= self.entered]
        pending = Counter(value for layer in rest for value in layer.bottoms)
        for layer in rest:
            self._run(layer, live)
            pending.subtract(layer.bottoms)
            for value in layer.bottoms:
                if not pending[value] and value not in self.judged:
                    live.pop(value, None)
        return tuple(
            error(self.net, value, live[value].real, signal)
            for value, signal in zip(self.judged, self.float[index], strict=True)
        )

    def _fed(self, index: int) -> dict[Value, Held]:
        feeds = self.pictures[index]
        live: dict[Value, Held] = {}
        for layer in self.inputs:
            for value in layer.tops:
                if value in feeds:
                    array = np.asarray(feeds[value], np.float32)
                    live[value] = self.fake.feed(array, self.blocks.get(layer.index)).tops[0]
        return live

    def _run(self, layer: Layer, live: dict[Value, Held]) -> None:
        outcome = self.fake.run(layer, tuple(live[value] for value in layer.bottoms))
        live |= zip(layer.tops, outcome.tops, strict=True)
