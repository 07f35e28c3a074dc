"""Which blobs are a network's answer, and the class that an answer means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from xportdnn.errors import UsageError
from xportdnn.evaluation.metrics import divergence, rank, softmax
from xportdnn.layers import Array, Shape
from xportdnn.lazy import np
from xportdnn.network import Net, Value

if TYPE_CHECKING:
    from xportdnn.evaluation.metrics import Scores

# Layers that only read an answer off: an index or a list of boxes is no quantity that could be compared in dB.
# DetectionOutput decides from its first two bottoms, the locations and the scores; its third does not depend on the
# picture.
_READING_OFF = {"ArgMax": 1, "DetectionOutput": 2}


class Verdict(NamedTuple):
    """What float and quantized network made of one picture.

    Attributes:
        picture: its position.
        first, second: the class that the float network and the quantized one put first.
        first_rank, second_rank: how many classes each puts before the label; None without a label.
        tied: whether the quantized network gives its best score to several classes.
        divergence: of the quantized probabilities from the float ones, in nats.
    """

    picture: int
    first: int
    second: int
    first_rank: int | None
    second_rank: int | None
    tied: bool
    divergence: float


def outputs(net: Net, shapes: Mapping[Value, Shape]) -> tuple[Value, ...]:
    """The computed values that no layer of the forward reads, in file order; what ArgMax and the like read counts.

    Args:
        shapes: of all values that can be computed; layers that cannot run read nothing.
    """
    read: set[Value] = set()
    for layer in net.layers:
        if layer.kind is not None and layer.kind.name != "Silence" and all(top in shapes for top in layer.tops):
            read.update(layer.bottoms[_READING_OFF.get(layer.kind.name, 0) :])
    made = (top for layer in net.layers if not layer.is_input and not reads_off(net, layer.index) for top in layer.tops)
    return tuple(value for value in made if value in shapes and value not in read)


def reads_off(net: Net, index: int) -> bool:
    """Whether a layer's tops are indices or boxes instead of quantities."""
    kind = net.layers[index].kind
    return kind is not None and kind.name in _READING_OFF


def scores_of(
    net: Net, found: tuple[Value, ...], shapes: Mapping[Value, Shape], wanted: str | None = None
) -> Value | None:
    """The output that gives a score to every class, or None: the network is no classifier.

    It is the last output, a vector per picture, (1, C) or (1, C, 1, 1), and the only output or a Softmax. If the only
    output is a Softmax over the last of three axes, (1, positions, C), the mean of its positions counts.

    Args:
        wanted: the blob of the output that the user says it is.

    Raises:
        UsageError: there is no such output, or it does not give one score to every class.
    """
    if wanted is not None:
        return _named(net, found, shapes, wanted)
    if not found:
        return None
    value, layer = found[-1], net.layers[found[-1].writer]
    shape = shapes[value]
    is_softmax = layer.kind is not None and layer.kind.name == "Softmax"
    if len(shape) == 3 and is_softmax and layer.params.axis in (2, -1):
        return value if shape[2] > 1 and len(found) == 1 else None
    return value if _is_vector(shape) and (is_softmax or len(found) == 1) else None


def _named(net: Net, found: tuple[Value, ...], shapes: Mapping[Value, Shape], wanted: str) -> Value:
    for value in reversed(found):
        if value.blob == wanted:
            if _is_vector(shapes[value]) or (len(shapes[value]) == 3 and shapes[value][2] > 1):
                return value
            by = "x".join(map(str, shapes[value]))
            raise UsageError(f"--score_blob {wanted}: its shape is {by}, which is not one score per class")
    names = ", ".join(value.blob for value in found)
    raise UsageError(f"--score_blob {wanted}: the outputs of {net.source.name} are {names}; give one of them")


def _is_vector(shape: Shape) -> bool:
    return len(shape) > 1 and shape[1] > 1 and all(dim == 1 for dim in shape[2:])


def classes(shape: Shape) -> int:
    """How many classes an output of `scores_of` tells apart."""
    return shape[2] if len(shape) == 3 and shape[2] > 1 else shape[1]


def verdict(picture: int, first: Array, second: Array, label: int | None, probabilities: bool) -> Verdict:
    """What the float top `first` and the quantized top `second` say of a picture.

    Args:
        probabilities: the tops are those of a Softmax; otherwise one is taken before the divergence.
    """
    p, q = _scores(first), _scores(second)
    best = int(q.argmax())
    return Verdict(
        picture,
        first=int(p.argmax()),
        second=best,
        first_rank=None if label is None else rank(p, label),
        second_rank=None if label is None else rank(q, label),
        tied=int((q == q[best]).sum()) > 1,
        divergence=divergence(p, q) if probabilities else divergence(softmax(p), softmax(q)),
    )


def _scores(top: Array) -> Scores:
    """One score per class, float64 (C,), from the top of one picture."""
    return np.asarray(top.reshape(-1, classes(top.shape)).mean(axis=0, dtype=np.float64))


def detections(net: Net) -> Iterator[Value]:
    """The tops of DetectionOutput layers."""
    for layer in net.layers:
        if layer.kind is not None and layer.kind.name == "DetectionOutput":
            yield from layer.tops
