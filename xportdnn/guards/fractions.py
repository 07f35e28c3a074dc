"""Fractional lengths of DynamicFixed mode that the board can compute with: moved as little as its limits allow.

A sum of a convolution has fl_layer_in + fl_params fractional bits and is shifted right to fl_layer_out by 1 to 31. Its
bias is trimmed to the output format and shifted left by as much, in 16 bits. AVE pooling shifts by fl_layer_in + 8 -
fl_layer_out (`guards.dynamic_fixed` has the sources). The host stores weights with 1 << fl_params and hands numbers to
software with 1 << fl_layer_out, and 8-bit pixels come in with 1 << fl_layer_in: none of these may be negative
(xi_common_utils.hpp, Trim2FixedPoint; UnpackDataToSoftware; xi_readwrite_util.cpp).

Where the output's format does not hold a bias, the output gives way, unless that costs more than clipping the bias
(`guards.biases`). Where a sum has too many fractional bits, fl_params gives way, which costs only its own layer, and
where that is not enough, the blob that is read. Where a sum has too few for its output, the output gives way: its last
places would be empty. For the sums of a convolution that the board works BatchNorm and Scale into nothing is moved: it
finds fl_params by itself, and so badly for small weights that `guards.dynamic_fixed` can only advise to fold them
first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from xportdnn import fractions, scales
from xportdnn.choices import BOARD_WIDTHS, Triple
from xportdnn.guards import dynamic_fixed
from xportdnn.guards.biases import Biased
from xportdnn.guards.convolutions import Convolution, convolutions
from xportdnn.guards.marks import Guard, Mark
from xportdnn.layers import Array, Arrays
from xportdnn.network import Layer, Net, Value
from xportdnn.plan import Settled
from xportdnn.simulation.board.kinds import SOFTWARE
from xportdnn.statistics import Statistics

_CLEAR = 20.0  # dB that must be left of pixels to clip them for the sake of the way in that takes 8 bits


@dataclass(frozen=True)
class Site:
    """A convolution between two scale classes.

    Attributes:
        reads, writes: scale classes.
        bias: (num_output,).
    """

    layer: Layer
    reads: Value
    writes: Value
    bits: Triple
    bias: Array

    def most(self, fl_layer_out: int) -> int:
        """How many fractional bits a sum may have."""
        room = dynamic_fixed.room_of(self.bias, self.bits.layer_out, fl_layer_out)
        return fl_layer_out + min(room, dynamic_fixed.SHIFTS[1])


class Average(NamedTuple):
    """An AVE pooling between two scale classes."""

    reads: Value
    writes: Value


class Limits(NamedTuple):
    """What a network's fractional lengths must keep.

    Attributes:
        floors: scale classes that must not be negative.
        floats: scale classes of inputs that would be clipped too hard if they were not.
        given: scale classes that the user settled; they stay.
        given_params: layer indices of the same.
    """

    sites: Sequence[Site]
    biases: Sequence[Biased]
    averages: Sequence[Average]
    floors: Set[Value]
    floats: Set[Value]
    given: Set[Value]
    given_params: Set[int]


NO_LIMITS = Limits((), (), (), frozenset(), frozenset(), frozenset(), frozenset())


class Moved(NamedTuple):
    """Scale class -> fractional length, layer index -> those of its own parameters, and what was moved."""

    values: Mapping[Value, int]
    params: Mapping[int, Mapping[str, int]]
    marks: tuple[Mark, ...]


def limits_of(
    net: Net,
    layers: Sequence[Layer],
    weights: Mapping[int, Arrays],
    classes: Mapping[Value, Value],
    seen: Mapping[Value, Statistics],
    bits: Triple,
    settled: Settled,
) -> Limits:
    """What the board asks of a network.

    Args:
        layers: those that were run.
        weights: arrays by layer index.
        classes: value -> scale class.
        seen: scale class -> statistics, of those that get a fractional length.
        bits: a blob's width is `layer_out`.
    """
    found = tuple(convolutions(net, layers))
    sites = tuple(_sites(found, weights, classes, seen, bits, settled))
    biases = tuple(_biases(found, weights, classes, seen, bits, settled))
    averages = [layer for layer in layers if scales.averages(layer) and layer.index not in settled.floats]
    pairs = [Average(classes[layer.bottoms[0]], classes[layer.tops[0]]) for layer in averages]
    fed = {root for value, root in classes.items() if root in seen and net.layers[value.writer].is_input}
    pixels = {root for root in fed if fractions.quality(seen[root], bits.layer_out, 0).sqnr_db > _CLEAR}
    software = {
        classes[value]
        for layer in layers
        if layer.kind is not None and layer.kind.name in SOFTWARE
        for index, value in enumerate(layer.bottoms)
        if scales.reads_numbers(layer, index)
    }
    return Limits(
        sites,
        biases,
        [pair for pair in pairs if pair.reads in seen and pair.writes in seen],
        pixels | software.intersection(seen),
        fed - pixels - software,
        frozenset(root for root in seen if root in settled.fractions),
        frozenset(settled.params_fractions),
    )


def _sites(
    found: Iterable[Convolution],
    weights: Mapping[int, Arrays],
    classes: Mapping[Value, Value],
    seen: Collection[Value],
    bits: Triple,
    settled: Settled,
) -> Iterator[Site]:
    for each in found:
        index, reads, writes = each.layer.index, classes[each.bottom], classes[each.top]
        widths = Triple(
            settled.widths.get(each.bottom, bits.layer_out),
            settled.params_widths.get(index, bits.params),
            settled.widths.get(each.top, bits.layer_out),
        )
        is_float = index in settled.floats
        can_be = not is_float and reads in seen and writes in seen and set(widths) <= set(BOARD_WIDTHS)
        if can_be and not each.normalised:
            _, bias = each.stored(weights)
            yield Site(each.layer, reads, writes, widths, bias)


def _biases(
    found: Iterable[Convolution],
    weights: Mapping[int, Arrays],
    classes: Mapping[Value, Value],
    seen: Collection[Value],
    bits: Triple,
    settled: Settled,
) -> Iterator[Biased]:
    for each in found:
        writes, width = classes[each.top], settled.widths.get(each.top, bits.layer_out)
        is_float = not settled.floats.isdisjoint((each.layer.index, each.writer.index))
        if not is_float and writes in seen and width in BOARD_WIDTHS:
            yield Biased(each.layer, writes, width, each.stored(weights)[1])


def moved(asked: Limits, net: Net, values: Mapping[Value, int], params: Mapping[int, Mapping[str, int]]) -> Moved:
    """The fractional lengths with which the limits hold, as far as they can.

    Args:
        values: scale class -> fractional length.
        params: layer index -> those of its own parameters, by field.
    """
    found = {root: max(fl, 0) if root in asked.floors - asked.given else fl for root, fl in values.items()}
    wanted = {each.layer.index: params[each.layer.index]["fl_params"] for each in asked.sites}
    own = dict(wanted)
    # in circles of layers that each need a shorter output than input there is no solution
    for _ in range(2 * len(values) + 2):
        before = dict(found)
        for biased in asked.biases:
            _lower(asked, biased.writes, found, biased.fitting(found[biased.writes]))
        for site in asked.sites:
            _move(asked, site, found, own, wanted)
        for pair in asked.averages:
            _lower(asked, pair.writes, found, found[pair.reads] + dynamic_fixed.AVERAGE_BITS - dynamic_fixed.SHIFTS[0])
        if before == found:
            break
    changed = {index: {**params[index], "fl_params": fl} for index, fl in own.items()}
    return Moved(found, {**params, **changed}, tuple(_marks(asked, net, values, wanted, found, own)))


def _move(asked: Limits, site: Site, found: dict[Value, int], own: dict[int, int], wanted: Mapping[int, int]) -> None:
    """One convolution's lengths."""
    index, most = site.layer.index, site.most(found[site.writes])
    if index not in asked.given_params:
        own[index] = max(min(wanted[index], most - found[site.reads]), 0)
    _lower(asked, site.reads, found, most - own[index])
    if site.reads != site.writes:
        _lower(asked, site.writes, found, found[site.reads] + own[index] - dynamic_fixed.SHIFTS[0])


def _lower(asked: Limits, root: Value, found: dict[Value, int], fl: int) -> None:
    if root not in asked.given:
        found[root] = min(found[root], max(fl, 0) if root in asked.floors else fl)


def _marks(
    asked: Limits,
    net: Net,
    values: Mapping[Value, int],
    params: Mapping[int, int],
    found: Mapping[Value, int],
    own: Mapping[int, int],
) -> Iterator[Mark]:
    for index, fl in own.items():
        if fl != params[index]:
            yield Mark(Guard.PARAMS, (net.layers[index],), params[index], fl)
    for root, fl in found.items():
        if fl > values[root]:
            yield Mark(Guard.RAISED, (net.layers[root.writer],), values[root], fl)
        elif fl < values[root]:
            held = tuple(each.layer for each in asked.biases if each.writes == root and each.fitting(fl + 1) <= fl)
            kind = Guard.ROOM if held else Guard.LOWERED
            yield Mark(kind, held or (net.layers[root.writer],), values[root], fl)
    for biased in asked.biases:
        fl = found[biased.writes]
        # where the length is the user's, or must not be negative, that is no choice of this guard
        if biased.fitting(fl) == fl and (largest := biased.clipped(fl)):
            yield Mark(Guard.CLIPPED, (biased.layer,), largest, fractions.limits(biased.bits, fl)[1])
    for root in asked.floats:
        if found[root] < 0:
            yield Mark(Guard.FLOATS, (net.layers[root.writer],), found[root], None)
