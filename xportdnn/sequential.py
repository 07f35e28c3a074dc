"""Calibration as Xilinx's own quantizer does it: the whole image set, layer by layer, everything before quantized.

Every convolution quantizes the blob it reads, in the blob's own memory, and its weights; so later layers see what the
integers will be, and all branches of a Split see what the first of them did to the data. What is known of the rule,
and from which published outputs, stands in docs/xilinx-rule.md.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from xportdnn import klj, scales
from xportdnn.arithmetic.rounding import half_even
from xportdnn.arithmetic.threshold import trim
from xportdnn.calibrate import check_finite
from xportdnn.choices import Triple
from xportdnn.execute import Step, forward
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable


class Record(NamedTuple):
    """What the rule said of one layer; `found` is None where thresholds were only passed on."""

    layer: Layer
    th_in: float | None
    th_out: float | None
    found: klj.Found | None


class Outcome(NamedTuple):
    """All records in order, and the threshold that every value ended up with."""

    records: tuple[Record, ...]
    thresholds: Mapping[Value, float]


@dataclass
class _Memory:
    """One stretch of memory, shared by blobs that alias each other; `quantized` until a layer writes it anew."""

    quantized: bool = False


class _Blob(NamedTuple):
    """A value's arrays, one per image, and the memory they lie in."""

    memory: _Memory
    arrays: list[Array]


def calibrate(
    net: Net,
    weights: Mapping[int, Arrays],
    pictures: Sequence[Mapping[Value, Array]],
    bits: Triple,
    searched: frozenset[Value],
    tick: Callable[[], None] = lambda: None,
) -> Outcome:
    """The thresholds of every layer in order.

    Args:
        pictures: what to feed, one mapping per image; the arrays are overwritten.
        searched: values for which a threshold is wanted.
        tick: called after every layer.

    Raises:
        CalibrationError: a layer gave NaN or infinity.
    """
    run = _Run(net, weights, bits, searched)
    records = list(run.inputs(pictures))
    for layer in runnable(net, pictures[0]):
        records.append(run.layer(layer))
        tick()
    return Outcome(tuple(records), run.thresholds)


class _Run:
    """The blobs that are still needed, and the threshold of every value so far."""

    def __init__(self, net: Net, weights: Mapping[int, Arrays], bits: Triple, searched: frozenset[Value]) -> None:
        self.net, self.weights, self.bits, self.searched = net, weights, bits, searched
        self.blobs: dict[Value, _Blob] = {}
        self.thresholds: dict[Value, float] = {}
        self.pending: Counter[Value] = Counter()

    def inputs(self, pictures: Sequence[Mapping[Value, Array]]) -> Iterator[Record]:
        for layer in runnable(self.net, pictures[0]):
            self.pending.update(set(layer.bottoms))
        for value in pictures[0]:
            layer = self.net.layers[value.writer]
            arrays = [np.array(feeds[value], np.float32) for feeds in pictures]
            self.blobs[value] = _Blob(_Memory(), arrays)
            found = self._search(value)
            yield Record(layer, None, found.threshold if found else None, found)

    def layer(self, layer: Layer) -> Record:
        assert layer.kind is not None
        name = layer.kind.name
        th_in = self.thresholds.get(layer.bottoms[0]) if layer.bottoms else None
        blobs = self.weights.get(layer.index, ())
        passed: float | None = None
        if name in ("Convolution", "Deconvolution"):
            self._quantize(layer.bottoms[0], th_in)
            blobs = (self._quantized_weights(layer, blobs[0]), *blobs[1:])
        elif name == "Eltwise":
            inputs = [self.thresholds.get(value) for value in layer.bottoms]
            th_in = passed = max((th for th in inputs if th is not None), default=None)
            for value, own in dict(zip(layer.bottoms, inputs, strict=True)).items():
                if not self.blobs[value].memory.quantized:
                    self._quantize(value, own)
                    self._quantize(value, th_in)
        elif (scales.copied(layer) and name != "Concat") or name == "Pooling":
            passed = th_in
        self._forward(layer, blobs)
        found = None
        for value in layer.tops:
            if passed is not None:
                self.thresholds[value] = passed
            elif (searched := self._search(value)) and found is None:
                found = searched
        th_out = self.thresholds.get(layer.tops[0]) if layer.tops else None
        self._release(layer)
        return Record(layer, th_in, th_out, found)

    def _forward(self, layer: Layer, blobs: Arrays) -> None:
        bottoms = [self.blobs[value] for value in layer.bottoms]
        images = len(bottoms[0].arrays) if bottoms else len(next(iter(self.blobs.values())).arrays)
        tops: list[list[Array]] = [[] for _ in layer.tops]
        for image in range(images):
            arrays = forward(self.net, layer, tuple(blob.arrays[image] for blob in bottoms), blobs)
            check_finite(self.net, Step(layer, arrays))
            for top, array in zip(tops, arrays, strict=True):
                top.append(array)
        for value, top in zip(layer.tops, tops, strict=True):
            shared = next((b.memory for b in bottoms if np.shares_memory(b.arrays[0], top[0])), None)
            self.blobs[value] = _Blob(shared or _Memory(), top)

    def _search(self, value: Value) -> klj.Found | None:
        if value not in self.searched:
            return None
        found = klj.threshold(self.blobs[value].arrays, self.bits.layer_out)
        self.thresholds[value] = found.threshold
        return found

    def _quantize(self, value: Value, threshold: float | None) -> None:
        """Quantize a blob in its own memory, which aliasing blobs see too."""
        if threshold is None:
            return
        blob = self.blobs[value]
        for array in blob.arrays:
            array[...] = trim(array, threshold, self.bits.layer_out, half_even)
        blob.memory.quantized = True

    def _quantized_weights(self, layer: Layer, weight: Array) -> Array:
        assert layer.kind is not None
        assert layer.kind.channels is not None
        rows = layer.kind.channels(layer.params, weight)
        if (
            layer.kind.name == "Deconvolution"
        ):  # rows are regrouped there: quantize with the threshold put back in place
            return _deconvolution_weights(layer, weight, np.abs(rows).max(axis=1), self.bits.params)
        peaks = np.abs(rows).max(axis=1).reshape(-1, *(1,) * (weight.ndim - 1))
        return trim(weight, peaks, self.bits.params, half_even)

    def _release(self, layer: Layer) -> None:
        for value in set(layer.bottoms):
            self.pending[value] -= 1
            if not self.pending[value]:
                del self.blobs[value]
        for value in layer.tops:
            if not self.pending[value]:
                del self.blobs[value]


def _deconvolution_weights(layer: Layer, weight: Array, peaks: Array, bits: int) -> Array:
    """Weights (C, num_output / group, kh, kw) quantized with one threshold per output channel."""
    group = layer.params.group
    channels, per_group = weight.shape[:2]
    grid = peaks.reshape(group, 1, per_group).repeat(channels // group, axis=1).reshape(channels, per_group)
    return trim(weight, grid.reshape(channels, per_group, *(1,) * (weight.ndim - 2)), bits, half_even)


def peak_bytes(net: Net, shapes: Mapping[Value, Shape], feeds: Sequence[Value]) -> int:
    """Bytes that one image needs at the layer where most blobs live, float32.

    With them count the image as it was given, which stays to the end, and |x| of the top that is searched.
    """
    steps = runnable(net, feeds)
    pending = Counter(value for layer in steps for value in set(layer.bottoms))
    size = {value: 4 * int(np.prod(shape, dtype=np.int64)) for value, shape in shapes.items()}
    given = live = sum(size[value] for value in feeds)
    peak = given + max(size[value] for value in feeds)
    for layer in steps:
        tops = [size.get(value, 0) for value in layer.tops]
        live += sum(tops)
        peak = max(peak, live + max(tops, default=0))
        for value in set(layer.bottoms):
            pending[value] -= 1
            live -= size.get(value, 0) if not pending[value] else 0
        live -= sum(size.get(value, 0) for value in layer.tops if not pending[value])
    return given + peak


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
