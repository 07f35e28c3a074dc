"""Networks with made-up weights, what the reference rules make of an image, and how near to that is near enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests import small_nets
from xportdnn import execute
from xportdnn.engine import Program, rule
from xportdnn.journal import Journal
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.network import Net, Value, infer_shapes, runnable
from xportdnn.opening import complete, open_net, open_weights

TOLERANCE = 1e-5  # of a blob's largest magnitude


@dataclass(frozen=True)
class Network:
    """A network, the weights of its layers by index, and the shapes of its values."""

    net: Net
    weights: Mapping[int, Arrays]
    shapes: Mapping[Value, Shape]

    @property
    def inputs(self) -> tuple[Value, ...]:
        return self.net.inputs

    def value(self, blob: str, writer: str = "") -> Value:
        """One version of a blob, by the layer that wrote it (the one of the blob's name, if not said)."""
        return small_nets.value(self.net, blob, writer)

    def feeds(self, seed: int = 0) -> dict[Value, Array]:
        """An image of normally distributed numbers, and the same for other inputs."""
        rng = np.random.default_rng(seed)
        return {value: rng.standard_normal(self.shapes[value]).astype(np.float32) for value in self.inputs}

    def reference(self, feeds: Mapping[Value, Array]) -> dict[Value, Array]:
        """All values by the reference rules."""
        found: dict[Value, Array] = {}
        for step in execute.run(self.net, self.weights, feeds):
            found |= zip(step.layer.tops, step.tops, strict=False)
        return found

    def program(self, observed: Collection[Value] | None = None) -> Program:
        """The engine's, observing all values if none are named."""
        return Program(self.net, self.weights, self.shapes, self.inputs, self.shapes if observed is None else observed)


def network(text: str, seed: int = 0) -> Network:
    """A network of a prototxt's text, with normally distributed weights."""
    net = small_nets.net_of(text)
    inputs = {value: net.declared[value] for value in net.inputs}
    blobs = small_nets.random_weights(net, inputs, seed)
    return Network(net, {layer.index: blobs.get(layer.name, ()) for layer in net.layers}, infer_shapes(net, inputs))


def stored(deploy: Path, weights: Path, dims: Shape | None = None) -> Network:
    """A network on disk; `dims` is the shape of its input where the prototxt has none."""
    journal = Journal()
    net, model = open_weights(open_net(deploy, journal), weights, journal)
    inputs = {value: dims or (1, *net.declared[value][1:]) for value in net.inputs}
    opened = complete(net, model, inputs, journal, strict=True)
    return Network(net, execute.load(runnable(net, inputs), opened.weights), opened.shapes)


def one_layer(kind: str, params: str, *bottoms: Shape, seed: int = 0) -> Network:
    """A layer `it` and an input for each of its bottoms."""
    names = [f"bottom{index}" for index in range(len(bottoms))]
    inputs = "".join(small_nets.data(*shape, name=name) for name, shape in zip(names, bottoms, strict=True))
    return network(inputs + small_nets.layer("it", kind, " ".join(names), "it", params), seed)


def assert_close(found: Array, expected: Array, name: str = "") -> None:
    """Shapes and infinities equal, numbers within `TOLERANCE`."""
    assert found.shape == expected.shape, name
    finite = np.abs(expected[np.isfinite(expected) & (np.abs(expected) < 1e38)])
    largest = float(finite.max(initial=0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * largest, equal_nan=True, err_msg=name)


def assert_like_the_reference(case: Network, seed: int = 0) -> None:
    """A network of one layer: `rule` and the reference rule agree, and the bottoms stay as they were."""
    layer = small_nets.by_name(case.net, "it")
    feeds = case.feeds(seed)
    bottoms = tuple(feeds[value] for value in layer.bottoms)
    copies = [bottom.copy() for bottom in bottoms]
    run = rule(case.net, layer, tuple(bottom.shape for bottom in bottoms), case.weights[layer.index])
    found = run(bottoms)
    for bottom, copy in zip(bottoms, copies, strict=True):
        np.testing.assert_array_equal(bottom, copy)
    expected = execute.forward(case.net, layer, bottoms, case.weights[layer.index])
    for array, wanted in zip(found, expected, strict=True):
        assert_close(array, wanted)


def assert_program_like_the_reference(case: Network, observed: Collection[Value] | None = None, seed: int = 0) -> None:
    """Every observed value agrees with the reference rules, and each is yielded once."""
    feeds = case.feeds(seed)
    expected = case.reference(feeds)
    wanted = set(expected if observed is None else observed)
    for value, array in case.program(wanted).run(feeds):
        assert_close(array, expected[value], value.blob)
        wanted.remove(value)
    assert not wanted
