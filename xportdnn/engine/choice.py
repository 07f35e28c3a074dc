"""Which kernel computes a layer: by its type, fields and shapes alone, so that results never depend on the machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, Union

from xportdnn.engine import convolution, depthwise, layout, winograd
from xportdnn.engine.convolution import Convolution
from xportdnn.engine.depthwise import Depthwise
from xportdnn.engine.inner_product import InnerProduct
from xportdnn.engine.joining import Concat, Eltwise
from xportdnn.engine.kernel import Kernel
from xportdnn.engine.lrn import Lrn
from xportdnn.engine.pointwise import Affine, Part, Pointwise, merged, part, sequence
from xportdnn.engine.pooling import Pooling
from xportdnn.engine.winograd import Winograd
from xportdnn.layers import Array, Arrays, Shape, Shapes
from xportdnn.layers.convolution import windows_of
from xportdnn.layers.pooling import windows_of as pooling_windows_of
from xportdnn.lazy import np
from xportdnn.network import Layer
from xportdnn.shapes import axis_index, axis_or_legacy


class Work(NamedTuple):
    """A layer, what it works on, and what is done to its top at once.

    Attributes:
        bottoms, tops: their shapes.
        behind: see `pointwise.part`.
        exact: only kernels that are exact wherever the reference rule is, as on small integers.
    """

    layer: Layer
    bottoms: Shapes
    tops: Shapes
    blobs: Arrays = ()
    behind: tuple[Part, ...] = ()
    exact: bool = False

    @property
    def top(self) -> Shape:
        return self.tops[0]


Choose: TypeAlias = Callable[[Work], Union[Kernel, None]]


class Exact:
    """`kernel` restricted to kernels that are exact wherever the reference rule is, as on small integers.

    A layer that comes again with the same shapes and weights, in another program, gets the kernel that it got before.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, Shapes, tuple[int, ...]], tuple[Arrays, Kernel | None]] = {}

    def __call__(self, work: Work) -> Kernel | None:
        work = work._replace(exact=True)
        if work.behind:
            return kernel(work)
        key = work.layer.index, work.bottoms, tuple(map(id, work.blobs))
        if key not in self._known:
            # the weights are kept, so that no others can come to lie where they lie
            self._known[key] = work.blobs, kernel(work)
        return self._known[key][1]


def kernel(work: Work) -> Kernel | None:
    """The fast rule for a layer, or None where the reference rule has to do."""
    kind = work.layer.kind
    if kind is None or len(work.tops) != 1 or not layout.is_image(work.top):
        return None
    if (own := part(work.layer, work.top, work.blobs)) is not None:
        return Pointwise(sequence((own, *work.behind), layout.size(work.top)[1]))
    make = _MAKERS.get(kind.name)
    return make(work) if make is not None else None


def renames(layer: Layer) -> bool:
    """Whether the layer's tops are its bottom under other names."""
    return layer.kind is not None and layer.kind.name in ("Dropout", "Split")


def takes_parts(layer: Layer) -> bool:
    """Whether the layer's kernel, if it has one, can do something to its top at once."""
    kind = layer.kind
    return kind is not None and kind.name not in _WITHOUT_PARTS


def _convolution(work: Work) -> Kernel | None:
    (bottom, *others), p = work.bottoms, work.layer.params
    if others or len(bottom) != 4 or axis_index(bottom, p.axis) != 1:
        return None
    windows, counts = windows_of(p, bottom), work.top[2:]
    weight, parts = _folded(work)
    finish = sequence(parts, counts[1])
    if p.group == bottom[1] == p.num_output > 1:
        return Depthwise(bottom, windows, counts, depthwise.row_weights(weight, counts[1]), finish)
    if not work.exact and winograd.pays(windows, counts, bottom[1], p.num_output, p.group):
        return Winograd(windows.pad, counts, winograd.factor(weight, counts), finish)
    weights = convolution.factor(weight, p.group, math.prod(counts))
    return Convolution(bottom, windows, counts, weights, finish)


def _folded(work: Work) -> tuple[Array, tuple[Part, ...]]:
    """The weights, with the factors of what follows multiplied into them, and what is left to do."""
    weight, *biases = work.blobs
    zeros, ones = np.zeros(len(weight)), np.ones(len(weight))
    bias = Affine(zeros, ones, biases[0].astype(np.float64) if biases else zeros)
    first, *others = merged((bias, *work.behind))
    assert isinstance(first, Affine)
    if (first.scale != 1).any():
        weight = (weight * first.scale.reshape(-1, 1, 1, 1)).astype(np.float32)
    return weight, (Affine(zeros, ones, first.shift), *others)


def _inner_product(work: Work) -> Kernel | None:
    (bottom,), p = work.bottoms, work.layer.params
    if bottom[0] != 1 or axis_index(bottom, p.axis) != 1:
        return None
    weight, *biases = work.blobs
    zeros, ones = np.zeros(p.num_output), np.ones(p.num_output)
    parts = (*(Affine(zeros, ones, bias.astype(np.float64)) for bias in biases), *work.behind)
    return InnerProduct(weight.T if p.transpose else weight, sequence(parts, 1))


def _pooling(work: Work) -> Kernel | None:
    (bottom,), p = work.bottoms, work.layer.params
    if work.exact and p.pool == "AVE":
        return None
    return Pooling(bottom, pooling_windows_of(p, bottom[2:]), work.top[2:], p.pool == "MAX")


def _lrn(work: Work) -> Kernel | None:
    (bottom,), p = work.bottoms, work.layer.params
    return Lrn(bottom, p.local_size, p.alpha, p.beta, p.k) if p.norm_region == "ACROSS_CHANNELS" else None


def _eltwise(work: Work) -> Kernel | None:
    p = work.layer.params
    return Eltwise(p.operation, p.coeff, sequence(work.behind, layout.size(work.top)[1]))


def _concat(work: Work) -> Kernel | None:
    p = work.layer.params
    return Concat() if axis_or_legacy(work.top, p.axis, p.concat_dim, "concat_dim") == 1 else None


_MAKERS: dict[str, Callable[[Work], Kernel | None]] = {
    "Concat": _concat,
    "Convolution": _convolution,
    "Eltwise": _eltwise,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "Pooling": _pooling,
}
_WITHOUT_PARTS = frozenset({"Concat", "LRN", "Pooling"})
