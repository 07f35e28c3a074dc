"""Calibration as Xilinx's own quantizer does it: the whole image set, layer by layer, everything before quantized.

Every convolution quantizes the blob it reads, in the blob's own memory, and its weights; so later layers see what the
integers will be, and all branches of a Split see what the first of them did to the data. What is known of the rule,
and from which published outputs, stands in docs/xilinx-rule.md.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xportdnn import klj, scales
from xportdnn.arithmetic.rounding import half_even
from xportdnn.arithmetic.threshold import trim
from xportdnn.calibrate import check_finite
from xportdnn.choices import Triple
from xportdnn.engine import rule
from xportdnn.execute import Step
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.plan import NOTHING_SETTLED, Settled
from xportdnn.workers import Crew, Tick, crew

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Record(NamedTuple):
    """What the rule said of one layer; `found` is None where thresholds were only passed on."""

    layer: Layer
    th_in: float | None
    th_out: float | None
    found: klj.Found | None


class Outcome(NamedTuple):
    """All records in order, the threshold that every value ended up with, and the largest |x| of the watched ones."""

    records: tuple[Record, ...]
    thresholds: Mapping[Value, float]
    peaks: Mapping[Value, float]


def calibrate(
    net: Net,
    weights: Mapping[int, Arrays],
    pictures: Sequence[Mapping[Value, Array]],
    bits: Triple,
    searched: frozenset[Value],
    tick: Tick = lambda: None,
    workers: int = 1,
    settled: Settled = NOTHING_SETTLED,
    watched: Collection[Value] = (),
) -> Outcome:
    """The thresholds of every layer in order.

    Args:
        pictures: what to feed, one mapping per image.
        searched: values for which a threshold is wanted.
        tick: called after every layer.
        workers: processes over which the pictures are dealt out.
        settled: formats that need no search, and layers that stay float; later layers see what becomes of them.
        watched: values whose largest |x| is wanted.

    Raises:
        CalibrationError: a layer gave NaN or infinity.
    """
    fed = sorted(pictures[0])

    def share(indices: Sequence[int]) -> Share:
        return Share(net, weights, [pictures[index] for index in indices], indices, bits, settled)

    with crew(share, len(pictures), workers, lambda: None) as shares:
        rule = _Rule(shares, bits.layer_out, searched, settled, frozenset(watched))
        records = [rule.input(net.layers[value.writer], value) for value in fed]
        for layer in runnable(net, fed):
            records.append(rule.layer(layer))
            tick()
    return Outcome(tuple(records), rule.thresholds, rule.peaks)


class _Rule:
    """The rule itself: what is quantized with which threshold, layer by layer, on all shares of the pictures."""

    def __init__(
        self,
        shares: Crew[Share],
        bits: int,
        searched: frozenset[Value],
        settled: Settled,
        watched: frozenset[Value],
    ) -> None:
        self.shares, self.bits, self.searched, self.settled, self.watched = shares, bits, searched, settled, watched
        self.thresholds: dict[Value, float] = {}
        self.peaks: dict[Value, float] = {}

    def input(self, layer: Layer, value: Value) -> Record:
        found = self._search(value)
        return Record(layer, None, found.threshold if found else None, found)

    def layer(self, layer: Layer) -> Record:
        assert layer.kind is not None
        th_in = self.thresholds.get(layer.bottoms[0]) if layer.bottoms else None
        passed: float | None = None
        is_quantized = layer.index not in self.settled.floats
        if layer.kind.name in ("Convolution", "Deconvolution"):
            if is_quantized:
                self._quantize(layer.bottoms[0], th_in)
        elif layer.kind.name == "Eltwise":
            inputs = {value: self.thresholds.get(value) for value in layer.bottoms}
            th_in = passed = max((threshold for threshold in inputs.values() if threshold is not None), default=None)
            for value, own in inputs.items():
                if is_quantized and not self.shares.call(Share.is_quantized, value)[0]:
                    self._quantize(value, own)
                    self._quantize(value, th_in)
        elif layer.kind.name == "Pooling" or (scales.copied(layer) and layer.kind.name != "Concat"):
            passed = th_in
        self.shares.call(Share.forward, layer.index)
        found = None
        for value in layer.tops:
            if passed is not None and value not in self.settled.thresholds:
                self.thresholds[value] = passed
            else:
                found = found or self._search(value)
            if value in self.watched:
                self.peaks[value] = found.max_abs if found else float(self._extent(value).peak)
        self.shares.call(Share.release, layer.index)
        return Record(layer, th_in, self.thresholds.get(layer.tops[0]) if layer.tops else None, found)

    def _search(self, value: Value) -> klj.Found | None:
        if value not in self.searched:
            return None
        given = self.settled.thresholds.get(value)
        if isinstance(given, float):
            self.thresholds[value] = given
            return None
        bits = self.settled.widths.get(value, self.bits)
        seen = self._extent(value)
        bins = klj.bins_to_search(seen, bits)
        parts = [] if bins is None else self.shares.call(Share.histogram, value, bins, float(seen.peak))
        found = klj.search(seen, np.sum(parts, axis=0) if parts else None, bits)
        self.thresholds[value] = found.threshold
        return found

    def _extent(self, value: Value) -> klj.Extent:
        return klj.joined(self.shares.call(Share.extent, value))

    def _quantize(self, value: Value, threshold: float | None) -> None:
        if threshold is not None:
            self.shares.call(Share.quantize, value, threshold, self.settled.widths.get(value, self.bits))


@dataclass
class _Memory:
    """One stretch of memory, shared by blobs that alias each other; `quantized` until a layer writes it anew."""

    quantized: bool = False


class _Blob(NamedTuple):
    """A value's arrays, one per image, and the memory they lie in."""

    memory: _Memory
    arrays: list[Array]


class Share:
    """Some of the pictures, with the blobs of theirs that are still needed."""

    def __init__(
        self,
        net: Net,
        weights: Mapping[int, Arrays],
        pictures: Sequence[Mapping[Value, Array]],
        indices: Sequence[int],
        bits: Triple,
        settled: Settled,
    ) -> None:
        self.net, self.weights, self.indices, self.bits, self.settled = net, weights, indices, bits, settled
        self.position = indices[0]
        self.tick: Tick = lambda: None
        self.pending = Counter(value for layer in runnable(net, pictures[0]) for value in set(layer.bottoms))
        self.blobs = {
            value: _Blob(_Memory(), [np.array(feeds[value], np.float32) for feeds in pictures]) for value in pictures[0]
        }

    def extent(self, value: Value) -> klj.Extent:
        """The extent of a blob over these pictures."""
        return klj.extent(self.blobs[value].arrays)

    def histogram(self, value: Value, bins: int, peak: float) -> NDArray[np.int64]:
        """The histogram of a blob over these pictures."""
        return klj.histogram(self.blobs[value].arrays, bins, peak)

    def is_quantized(self, value: Value) -> bool:
        """Whether a layer has quantized this memory since it was written."""
        return self.blobs[value].memory.quantized

    def quantize(self, value: Value, threshold: float, bits: int) -> None:
        """Quantize a blob in its own memory, which aliasing blobs see too."""
        blob = self.blobs[value]
        for array in blob.arrays:
            array[...] = trim(array, np.float32(threshold), bits, half_even)
        blob.memory.quantized = True

    def forward(self, index: int) -> None:
        """Run a layer on these pictures, the weights of convolutions quantized.

        Raises:
            CalibrationError: NaN or infinity in a top.
        """
        layer = self.net.layers[index]
        blobs = self.weights.get(index, ())
        weighted = layer.kind is not None and layer.kind.name in ("Convolution", "Deconvolution")
        if weighted and index not in self.settled.floats:
            bits = self.settled.params_widths.get(index, self.bits.params)
            blobs = (quantized_weights(layer, blobs[0], bits, self.settled.params.get(index)), *blobs[1:])
        bottoms = [self.blobs[value] for value in layer.bottoms]
        run = rule(self.net, layer, tuple(blob.arrays[0].shape for blob in bottoms), blobs)
        tops: list[list[Array]] = [[] for _ in layer.tops]
        for at, index in enumerate(self.indices):
            self.position = index
            arrays = run(tuple(blob.arrays[at] for blob in bottoms))
            check_finite(self.net, Step(layer, arrays))
            for top, array in zip(tops, arrays, strict=True):
                top.append(array)
        for value, top in zip(layer.tops, tops, strict=True):
            if scales.shares_memory(layer):
                self.blobs[value] = _Blob(bottoms[0].memory, top)
            else:
                own = [_unshared(array, bottoms, at) for at, array in enumerate(top)]
                if _reshaped(self.net, value):  # a view in other axes exists only of what lies in Caffe's order
                    own = [np.ascontiguousarray(array) for array in own]
                self.blobs[value] = _Blob(_Memory(), own)

    def release(self, index: int) -> None:
        """Drop what no later layer reads."""
        layer = self.net.layers[index]
        for value in set(layer.bottoms):
            self.pending[value] -= 1
        for value in {*layer.bottoms, *layer.tops}:
            if not self.pending[value]:
                self.blobs.pop(value, None)


def _unshared(top: Array, bottoms: Sequence[_Blob], at: int) -> Array:
    """A top in memory of its own, also where the rule handed a view of a bottom on."""
    return top.copy() if any(np.may_share_memory(top, blob.arrays[at]) for blob in bottoms) else top


def _reshaped(net: Net, value: Value) -> bool:
    """Whether a layer that shares memory reads the value, directly or behind others that do."""
    return any(
        reader.kind is not None
        and (reader.kind.name in ("Flatten", "Reshape") or any(_reshaped(net, top) for top in reader.tops))
        for reader in net.readers.get(value, ())
        if scales.shares_memory(reader)
    )


def quantized_weights(layer: Layer, weight: Array, bits: int, thresholds: tuple[float, ...] | None = None) -> Array:
    """A convolution's weights, every output channel quantized with its threshold, or its largest |w|."""
    assert layer.kind is not None
    assert layer.kind.channels is not None
    if thresholds is None:
        peaks = np.abs(layer.kind.channels(layer.params, weight)).max(axis=1)
    else:
        peaks = np.array(thresholds, np.float32)
    if layer.kind.name == "Deconvolution":
        return _deconvolution_weights(layer, weight, peaks, bits)
    return trim(weight, peaks.reshape(-1, *(1,) * (weight.ndim - 1)), bits, half_even)


def _deconvolution_weights(layer: Layer, weight: Array, peaks: Array, bits: int) -> Array:
    """Weights (C, num_output / group, kh, kw) quantized with one threshold per output channel."""
    group = layer.params.group
    channels, per_group = weight.shape[:2]
    grid = peaks.reshape(group, 1, per_group).repeat(channels // group, axis=1).reshape(channels, per_group)
    return trim(weight, grid.reshape(channels, per_group, *(1,) * (weight.ndim - 2)), bits, half_even)


def peak_bytes(net: Net, shapes: Mapping[Value, Shape], feeds: Sequence[Value]) -> int:
    """Bytes that one image needs at the layer where most blobs live, float32, with |x| of the top that is searched."""
    steps = runnable(net, feeds)
    pending = Counter(value for layer in steps for value in set(layer.bottoms))
    size = {value: 4 * int(np.prod(shape, dtype=np.int64)) for value, shape in shapes.items()}
    live = sum(size[value] for value in feeds)
    peak = 2 * live
    for layer in steps:
        tops = [size.get(value, 0) for value in layer.tops]
        live += sum(tops)
        peak = max(peak, live + max(tops, default=0))
        for value in set(layer.bottoms):
            pending[value] -= 1
            live -= size.get(value, 0) if not pending[value] else 0
        live -= sum(size.get(value, 0) for value in layer.tops if not pending[value])
    return peak


def available_bytes() -> int | None:
    """Memory that can be used without swapping: the system's, or the control group's if that is less."""
    limits = []
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            limits.append(int(line.split()[1]) * 1024)
    group_limit, group_used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if group_limit and group_used and group_limit[0].isdigit():
        limits.append(int(group_limit[0]) - int(group_used[0]))
    if not limits and hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits) if limits else None


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
