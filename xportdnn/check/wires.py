"""Which blobs hold the same integers on the board, and what the blocks at their ends take these for.

Only Convolution, Normalize, and in DynamicFixed mode AVE pooling rescale. Layers that have a block but move integers
unchanged (Eltwise, Permute, pooling) must say the same on both sides. Everything without one passes them on: Concat is
taken out of the network and its producers write into its top, Dropout, Flatten and Reshape vanish, a ReLU is folded or
dropped (CHaiDNN xtract_opt.cpp, xlayer_sequence_generator). Layers that the board runs in software read and write
floats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from xportdnn.check.caffe_view import blocks
from xportdnn.check.reading import Number, Reading, fusion
from xportdnn.check.subject import Subject
from xportdnn.network import Layer, Net, Value
from xportdnn.simulation.board.fusion import Fusion

_PASSING = frozenset({"Concat", "Dropout", "Flatten", "Reshape", "Split", "ReLU", "Power"})
# With a block these say what they move; without one the numbers pass all the same.
_MOVING = frozenset({"Eltwise", "Permute", "Pooling"})
_SIDES = ("th_layer_in", "th_layer_out", "fl_layer_in", "fl_layer_out")


class End(NamedTuple):
    """What one block says of the integers of a wire.

    Attributes:
        field: its name in the block.
        meant: every value that the board may have for it: th_layer_out of a Scale is also taken without its fraction.
    """

    reading: Reading
    field: str
    number: Number
    meant: frozenset[float]


class Wire(NamedTuple):
    """Blobs with the same integers.

    Attributes:
        blob: the name of the first of them.
        ends: in file order, at least one.
    """

    blob: str
    ends: tuple[End, ...]

    @property
    def first_odd(self) -> End | None:
        """The first end that leaves no value that suits all up to it."""
        suits = self.ends[0].meant
        for end in self.ends:
            suits &= end.meant
            if not suits:
                return end
        return None


def wires(subject: Subject, prefix: str) -> Iterator[Wire]:
    """Every wire that a block says something of.

    Args:
        prefix: "th" (Xilinx mode) or "fl" (DynamicFixed mode).
    """
    if subject.net is None:
        return
    by_layer = {layer.index: reading for layer, reading in blocks(subject)}
    found = fusion(subject)
    roots = _roots(subject)
    grouped: dict[Value, list[End]] = {}
    for layer in subject.net.layers:
        for value, end in _ends(subject.net, layer, by_layer, found, prefix):
            grouped.setdefault(roots.get(value, value), []).append(end)
    for root, ends in grouped.items():
        yield Wire(root.blob, tuple(ends))


@lru_cache(maxsize=1)
def _roots(subject: Subject) -> dict[Value, Value]:
    """Every value that is tied to another -> the first of its wire."""
    by_layer, found = {layer.index: reading for layer, reading in blocks(subject)}, fusion(subject)
    roots: dict[Value, Value] = {}
    for layer in subject.net.layers if subject.net is not None else ():
        tied = [roots.get(value, value) for value in _tied(layer, by_layer, found)]
        if tied:
            first = min(tied, key=lambda value: value.writer)
            moved = set(tied)
            roots |= {value: first for value, root in roots.items() if root in moved}
            roots |= dict.fromkeys(moved, first)
    return roots


def _tied(layer: Layer, by_layer: Mapping[int, Reading], found: Fusion) -> tuple[Value, ...]:
    name = layer.kind.name if layer.kind is not None else ""
    own = by_layer.get(layer.index)
    silent = own is None or not any(side in own.numbers and side in own.wanted for side in _SIDES)
    if name in _PASSING or (name in _MOVING and silent):
        # the second top of Pooling holds indices
        return (*layer.bottoms, *layer.tops[:1])
    if name in ("BatchNorm", "Scale") and layer.index in found.owners:
        return (*layer.bottoms[:1], *layer.tops)
    return ()


def _ends(
    net: Net, layer: Layer, by_layer: Mapping[int, Reading], found: Fusion, prefix: str
) -> Iterator[tuple[Value, End]]:
    """What a layer's block says of its bottoms and its top."""
    own = by_layer.get(layer.index)
    if own is None or (prefix == "fl" and layer.kind is not None and layer.kind.name == "Deconvolution"):
        return  # the kernel's weights and outputs have formats of their own there
    for field, values in ((f"{prefix}_layer_in", layer.bottoms), (f"{prefix}_layer_out", layer.tops[:1])):
        number = own.one(field)
        if number is None or not number.usable or _inside(net, layer, field):
            continue
        truncated = prefix == "th" and field.endswith("_out") and layer.index in found.owners
        meant = {number.value, float(math.trunc(number.value))} if truncated else {number.value}
        for value in values:
            yield value, End(own, field, number, frozenset(meant))


def _inside(net: Net, layer: Layer, field: str) -> bool:
    """Whether it is the side on which a BatchNorm and the Scale behind it meet: they are one job."""
    if layer.kind is None:
        return False
    if layer.kind.name == "Scale" and field.endswith("_in"):
        writer = net.layers[layer.bottoms[0].writer].kind
        return writer is not None and writer.name == "BatchNorm"
    if layer.kind.name == "BatchNorm" and field.endswith("_out"):
        readers = net.readers.get(layer.tops[0], ())
        return any(reader.kind is not None and reader.kind.name == "Scale" for reader in readers)
    return False
