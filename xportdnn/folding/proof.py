"""That a folded network computes what the original does, shown on inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from xportdnn import execute
from xportdnn.errors import FoldingError
from xportdnn.folding.folded import Folded
from xportdnn.journal import Journal
from xportdnn.layers import Array, Shape
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.opening import Opened

LIMIT = 1e-4
"""The largest difference that rounding can explain, relative to the largest value of the blob."""

RANGES = (1.0, 128.0)
"""Half widths of random inputs: scaled pictures, and pictures with their mean subtracted."""

# What saturates or decides hides differences, or makes much of them; what only moves values is looked through.
_DECIDING = ("ArgMax", "DetectionOutput", "Sigmoid", "Softmax", "Threshold")
_MOVING = ("Concat", "Dropout", "Flatten", "Permute", "Reshape", "Slice", "Split")


class Proof(NamedTuple):
    """The worst difference between the two networks.

    Attributes:
        relative: largest absolute difference by the blob's largest absolute value.
        blob: where it is.
        compared: how many blobs were compared.
    """

    relative: float
    blob: str
    compared: int


class Evidence(NamedTuple):
    """What both networks are run on.

    Attributes:
        said: what it is, for messages.
        feeds: arrays by the inputs' blobs, one set after the other.
    """

    said: str
    feeds: Iterable[Mapping[str, Array]]


def random_inputs(inputs: Mapping[Value, Shape]) -> Evidence:
    """The same random inputs every time, one set for each of `RANGES`, uniform around 0."""
    rng = np.random.default_rng(0)
    said = f"random inputs within {' and '.join(f'-{width:g} .. {width:g}' for width in RANGES)}"
    sets = (
        {value.blob: rng.uniform(-width, width, shape).astype(np.float32) for value, shape in inputs.items()}
        for width in RANGES
    )
    return Evidence(said, sets)


def prove(folded: Folded, evidence: Evidence, journal: Journal) -> Proof:
    """Run both networks and compare all that leaves them.

    A result that is a probability or a decision is compared by what it is made from: a Softmax that says 1 for every
    input would prove nothing.

    Raises:
        FoldingError: they differ by more than `LIMIT`, or the original does not give finite numbers.
    """
    compared = ends(folded.original)
    worst = Proof(0.0, "", len(compared))
    said, name = evidence.said, folded.net.source.name
    for feed in evidence.feeds:
        before = _values(folded.original, feed, compared)
        after = _values(folded.opened, feed, [folded.values[value] for value in compared])
        for value in compared:
            relative = _relative(folded.original.net, value, before[value], after[folded.values[value]], said)
            if relative > worst.relative:
                worst = worst._replace(relative=relative, blob=value.blob)
    if worst.relative > LIMIT:
        raise FoldingError(
            f"{name}: '{worst.blob}' of the folded network differs from the original by {worst.relative:.3g} of its "
            f"largest value on {said}, more than {LIMIT:g}; nothing was written. Convert the network without folding, "
            "or give inputs that it is made for to `xportdnn fold --input FILE.npy`"
        )
    where = f" (at '{worst.blob}')" if worst.blob else ""
    journal.info(
        f"{name}: the folded network gives the same on {said}: largest relative difference "
        f"{worst.relative:.2g}{where}, {worst.compared} blobs compared"
    )
    return worst


def ends(opened: Opened) -> tuple[Value, ...]:
    """The values to compare: what no layer that runs reads, looked through to what it is made from."""
    layers = runnable(opened.net, opened.inputs)
    read = {value for layer in layers for value in layer.bottoms}
    last = [top for layer in layers for top in layer.tops if top not in read]
    return tuple(dict.fromkeys(_behind(opened.net.layers, last)))


def _behind(layers: Sequence[Layer], values: Iterable[Value]) -> Iterator[Value]:
    for value in values:
        writer = layers[value.writer]
        through = writer.kind is not None and writer.kind.name in (*_DECIDING, *_MOVING)
        if through and not writer.is_input:
            yield from _behind(layers, writer.bottoms)
        else:
            yield value


def _values(opened: Opened, feed: Mapping[str, Array], wanted: Iterable[Value]) -> dict[Value, Array]:
    left = set(wanted)
    feeds = {value: feed[value.blob] for value in opened.inputs}
    found = {value: array for value, array in feeds.items() if value in left}
    weights = execute.load(runnable(opened.net, feeds), opened.weights)
    for step in execute.run(opened.net, weights, feeds):
        found |= {value: top for value, top in zip(step.layer.tops, step.tops, strict=False) if value in left}
    return found


def _relative(net: Net, value: Value, before: Array, after: Array, said: str) -> float:
    if not np.isfinite(before).all():
        raise FoldingError(
            f"{net.where(net.layers[value.writer])}: '{value.blob}' holds NaN or infinity on {said}, before anything "
            "is folded; give inputs that the network is made for to `xportdnn fold --input FILE.npy`"
        )
    difference = np.abs(after.astype(np.float64) - before).max(initial=0.0)
    if not np.isfinite(difference):
        return float("inf")
    return float(difference / largest) if (largest := np.abs(before).max(initial=0.0)) else float(difference)
