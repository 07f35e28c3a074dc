"""Random weights that keep a network's values near 1, and the cache in which prototxts and caffemodels lie.

Convolutions and InnerProducts get He's initialisation (Caffe's `msra` filler); a BatchNorm gets the variance that its
bottom has for one random image. So nothing overflows, dies out or becomes denormal, however deep the network is.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

from benchmarks.nets import NETS
from xportdnn import execute
from xportdnn.journal import Journal
from xportdnn.layers import Array, Arrays, Shape, Shapes
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, runnable
from xportdnn.opening import open_net

if TYPE_CHECKING:
    from numpy.random import Generator

_FACTOR = 999.98  # by which the sums in a trained BatchNorm's blobs must be divided

_Filler: TypeAlias = Callable[["Generator", Shapes, Array], Arrays]
_Piece: TypeAlias = Union[bytes, memoryview]


class Stored(NamedTuple):
    """The two files of a network."""

    prototxt: Path
    caffemodel: Path


def folder() -> Path:
    """Where the files lie: outside the repository, and free to be deleted."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xportdnn-benchmarks"


def stored(name: str) -> Stored:
    """The files of a network, written if they are not there or of another text."""
    files = Stored(folder() / f"{name}.prototxt", folder() / f"{name}.caffemodel")
    text = NETS[name]()
    if files.caffemodel.exists() and files.prototxt.exists() and files.prototxt.read_text() == text:
        return files
    folder().mkdir(parents=True, exist_ok=True)
    files.prototxt.write_text(text)
    net = open_net(files.prototxt, Journal())
    unfinished = files.caffemodel.with_suffix(".part")
    _write(unfinished, filled(net, seed=len(text)))
    unfinished.replace(files.caffemodel)
    return files


def noise(rng: Generator, shape: Shape) -> Array:
    """Standard normal float32."""
    return rng.standard_normal(shape, np.float32)


def filled(net: Net, seed: int) -> Iterable[tuple[Layer, Arrays]]:
    """Every layer that runs and its random blobs, in order."""
    rng = np.random.default_rng(seed)
    live = {value: noise(rng, net.declared[value]) for value in net.inputs}
    for layer in runnable(net, live):
        assert layer.kind is not None
        bottoms = tuple(live[value] for value in layer.bottoms)
        shapes = layer.kind.blobs(layer.params, tuple(bottom.shape for bottom in bottoms))
        blobs = _FILLERS[layer.kind.name](rng, shapes, bottoms[0]) if shapes else ()
        live |= zip(layer.tops, execute.forward(net, layer, bottoms, blobs), strict=True)
        yield layer, blobs


def _msra(rng: Generator, shapes: Shapes, bottom: Array) -> Arrays:
    weight, *biases = shapes
    filter_bank = noise(rng, weight)
    filter_bank *= math.sqrt(2 / math.prod(weight[1:]))
    return (filter_bank, *(np.float32(0.1) * noise(rng, shape) for shape in biases))


def _statistics(rng: Generator, shapes: Shapes, bottom: Array) -> Arrays:
    """Every channel's variance is that of the whole bottom, more or less, so that no channel's noise is blown up."""
    channels, _, factor = shapes
    power = np.mean(np.square(bottom))
    mean = 0.1 * np.sqrt(power) * noise(rng, channels)
    variance = power * rng.uniform(0.5, 1.5, channels).astype(np.float32)
    return (np.float32(_FACTOR) * mean, np.float32(_FACTOR) * variance, np.full(factor, _FACTOR, np.float32))


def _gamma_beta(rng: Generator, shapes: Shapes, bottom: Array) -> Arrays:
    gamma, beta = shapes
    return (rng.uniform(0.5, 1.5, gamma).astype(np.float32), np.float32(0.1) * noise(rng, beta))


_FILLERS: dict[str, _Filler] = {
    "Convolution": _msra,
    "InnerProduct": _msra,
    "BatchNorm": _statistics,
    "Scale": _gamma_beta,
}


def _write(path: Path, layers: Iterable[tuple[Layer, Arrays]]) -> None:
    """A caffemodel, one `layer` (field 100 of NetParameter) at a time, so that VGG-16 never lies in memory as a whole.

    Field numbers: schemas/caffemodel.proto.
    """
    with path.open("wb") as file:
        for layer, blobs in layers:
            fields = _field(1, [layer.name.encode()]) + _field(2, [layer.type.encode()])
            for blob in blobs:
                shape = _field(1, [b"".join(_varint(dim) for dim in blob.shape)])
                fields += _field(7, _field(7, shape) + _field(5, [blob.ravel().data.cast("B")]))
            file.writelines(_field(100, fields))


def _field(number: int, pieces: list[_Piece]) -> list[_Piece]:
    """A length-delimited field of the wire format; nothing is copied."""
    return [_varint(number << 3 | 2) + _varint(sum(map(len, pieces))), *pieces]


def _varint(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])
