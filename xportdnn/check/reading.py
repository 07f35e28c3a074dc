"""What CHaiDNN's parser takes from the blocks (caffe_network_parser.cpp, ExtractPrecisionParameters).

Which layers it asks for which fields is the table `matrix.ROWS[Matrix.PARSER]`. Blocks of all other layers are never
looked at, whatever stands in them; the user guide puts some into ReLU, Concat and Input layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from struct import pack, unpack
from typing import NamedTuple

from xportdnn.check.params import board_type, is_custom, param
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.choices import Matrix, Mode
from xportdnn.decode import as_float, as_int
from xportdnn.errors import LayerError
from xportdnn.matrix import Fields, fields
from xportdnn.prototxt import Scalar
from xportdnn.simulation.board.fusion import Fusion, fuse

_MODES = {mode.value: mode for mode in Mode}
_POOLINGS = {"0": "MAX", "1": "AVE", "2": "STOCHASTIC"}


class Number(NamedTuple):
    """A number of a block.

    Attributes:
        value: of a threshold, the float32 that the board has of it.
        text: as written; where nothing is left of it as a float32, that is said.
        start: where it stands.
        usable: whether a threshold is finite and above 0.
    """

    value: float
    text: str
    start: int
    usable: bool = True


@dataclass(frozen=True)
class Reading:
    """A layer that the parser wants a block of, and what it takes from it.

    Attributes:
        unused: fields that are read and then replaced, because the layer is fused with others.
    """

    layer: BoardLayer
    unused: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def has_block(self) -> bool:
        return self.layer.block is not None

    @cached_property
    def quant_type(self) -> Scalar | None:
        """As written; None where it is absent or empty, which is DynamicFixed."""
        written = self.layer.block.all("quant_type") if self.layer.block is not None else []
        scalars = [value for value in written if isinstance(value, Scalar)]
        return scalars[-1] if scalars and scalars[-1].text else None

    @cached_property
    def mode(self) -> Mode | None:
        """None where the parser stops."""
        return _MODES.get(self.quant_type.text) if self.quant_type is not None else Mode.DYNAMIC_FIXED

    @cached_property
    def mode_forgotten(self) -> bool:
        """Whether the block is one of Xilinx mode that does not say so."""
        if self.quant_type is not None:
            return False
        thresholds, fractions = (any(name.startswith(start) for name in self.numbers) for start in ("th_", "fl_"))
        return thresholds and not fractions

    @cached_property
    def wanted(self) -> Fields:
        """The numbers that the parser asks for; it takes a default for each that is absent."""
        return wanted(self.layer, self.mode) if self.mode is not None else ()

    @cached_property
    def used(self) -> Fields:
        """Those of them that have an effect."""
        return tuple(name for name in self.wanted if name not in self.unused)

    @cached_property
    def numbers(self) -> Mapping[str, tuple[Number, ...]]:
        """Every field of numbers in the block; what is no number stops the parser and is left out."""
        found: dict[str, tuple[Number, ...]] = {}
        for entry in self.layer.block.fields if self.layer.block is not None else ():
            if isinstance(entry.value, Scalar) and entry.name.startswith(("bw_", "fl_", "th_", "batchnorm_", "scale_")):
                try:
                    number = _number(entry.name, entry.value)
                except LayerError:
                    continue
                found[entry.name] = (*found.get(entry.name, ()), number)
        return found

    def one(self, name: str) -> Number | None:
        """A number that has an effect and is given."""
        return self.numbers[name][-1] if name in self.used and name in self.numbers else None

    @property
    def missing(self) -> Fields:
        """The fields for which the parser takes its defaults."""
        given = {entry.name for entry in self.layer.block.fields} if self.layer.block is not None else set()
        return tuple(name for name in self.wanted if name not in given)


def _number(name: str, value: Scalar) -> Number:
    if not name.startswith("th_"):
        return Number(as_int(value, name), value.text, value.start)
    given = as_float(value, name)
    single = _float32(given)
    lost = 0 < abs(given) < math.inf and not 0 < abs(single) < math.inf
    text = f"{value.text} ({single:g} as a float32)" if lost else value.text
    return Number(single, text, value.start, 0 < single < math.inf)


def _float32(value: float) -> float:
    try:
        rounded: float = unpack("f", pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return rounded


def wanted(layer: BoardLayer, mode: Mode) -> Fields:
    """The numbers that the parser asks a layer's block for in a mode."""
    # of the user's own layers it wants the same as of an Eltwise: both sides and no weights
    kind = "Eltwise" if is_custom(layer) else board_type(layer)
    pool = param(layer, "pooling_param").string("pool", "MAX")
    return _wanted(mode, kind, _POOLINGS.get(pool, pool))


@cache
def _wanted(mode: Mode, kind: str, pool: str) -> Fields:
    return tuple(name for name in fields(Matrix.PARSER, mode, kind, pool) if name != "quant_type")


def default(name: str) -> str:
    """What the parser takes for an absent field (caffe_network_parser.hpp)."""
    if name == "th_params":
        return "the largest weight of every filter"
    if name.startswith("th_"):
        return "16"
    return "6" if name.startswith("bw_") or name.endswith("_bw") else "5" if name == "fl_params" else "3"


@lru_cache(maxsize=1)
def readings(subject: Subject) -> tuple[Reading, ...]:
    """The layers that the parser wants a block of, in the one mode or the other, in file order."""
    unused = _unused(subject)
    return tuple(
        Reading(layer, unused.get(layer.index, frozenset()))
        for layer in subject.layers
        if any(wanted(layer, mode) for mode in Mode)
    )


@lru_cache(maxsize=1)
def fusion(subject: Subject) -> Fusion:
    """What the optimiser makes of the network; nothing where Caffe could not read it."""
    return fuse(subject.net, subject.net.layers) if subject.net is not None else Fusion()


_IN = frozenset({"bw_layer_in", "th_layer_in", "fl_layer_in"})
_OUT = frozenset({"bw_layer_out", "th_layer_out", "fl_layer_out"})


def _unused(subject: Subject) -> Mapping[int, frozenset[str]]:
    """Board layer -> fields of blocks that fusing throws away (xtract_opt.cpp, fuseBNScaleConvParams)."""
    found: dict[int, frozenset[str]] = {}
    board = subject.board_layers
    for index, (batch_norm, scale) in fusion(subject).normalised.items():
        thrown = {index: _OUT | {"th_params", "fl_params"}, batch_norm.index: _IN | _OUT, scale.index: _IN}
        found |= {board[layer].index: names for layer, names in thrown.items() if layer in board}
    return found
