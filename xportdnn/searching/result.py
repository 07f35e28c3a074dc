"""A finished search, and what is written of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from xportdnn.conversion import Conversion
from xportdnn.dialects import ristretto
from xportdnn.opening import Opened
from xportdnn.plan import Block, FieldValue, Word
from xportdnn.precision import Ristretto
from xportdnn.searching.ladder import Joint, Ladder
from xportdnn.searching.metric import Judge, Score
from xportdnn.searching.mixed import Mix, Step, overrides
from xportdnn.searching.options import SearchOptions
from xportdnn.searching.widths import Widths

# The tool's fields of each mode, in its order.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "DYNAMIC_FIXED_POINT": (
        "bw_layer_in", "bw_layer_out", "bw_params", "fl_layer_in", "fl_layer_out", "fl_params",
    ),
    "MINIFLOAT": ("precision", "mant_bits", "exp_bits"),
    "INTEGER_POWER_OF_2_WEIGHTS": (
        "precision", "bw_layer_in", "bw_layer_out", "fl_layer_in", "fl_layer_out", "exp_min", "exp_max",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """What every search has.

    Attributes:
        pictures: how many the networks were judged by.
        skipped: the others, with the reason.
        attempts: how many networks were run.
        calibrated: names of the pictures that the formats were found from.
    """

    options: SearchOptions
    opened: Opened
    judge: Judge
    pictures: int
    skipped: tuple[tuple[str, str], ...]
    attempts: int
    calibrated: tuple[str, ...]


class _Stepwise:
    """What was tried one after the other; the last counts."""

    steps: Sequence[Joint | Step]

    @property
    def score(self) -> Score:
        return self.steps[-1].score

    @property
    def within(self) -> bool:
        return self.steps[-1].within


@dataclass(frozen=True)
class Climbed(_Stepwise, Judged):
    """The ladder's result.

    Attributes:
        steps: all parts together, as the ladders chose them, then raised as far as it was needed.
        formats: layer index -> block, of the last step.
    """

    ladders: tuple[Ladder, ...]
    steps: tuple[Joint, ...]
    formats: Mapping[int, Ristretto]

    @property
    def widths(self) -> Widths:
        return self.steps[-1].widths

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What is written."""
        net = self.opened.net
        return tuple(Block(net.layers[index], tuple(_fields(block))) for index, block in sorted(self.formats.items()))

    @cached_property
    def text(self) -> str:
        """The quantized prototxt, in Ristretto's dialect."""
        return ristretto.rewrite(self.opened.net, self.blocks).source.text


@dataclass(frozen=True)
class Mixed(_Stepwise, Judged):
    """What `--mixed` found.

    Attributes:
        steps: the conversion that was chosen, then others with fewer narrow layers as far as it was needed.
        conversion: the last of them.
        copied: whether the pictures were copied into a folder for it.
    """

    mix: Mix
    steps: tuple[Step, ...]
    conversion: Conversion
    copied: bool

    @property
    def overrides(self) -> Mapping[str, Any]:
        """What is asked of the conversion for single layers."""
        return overrides(self.opened.net, self.steps[-1].narrow)

    @property
    def text(self) -> str:
        """The quantized prototxt."""
        return self.conversion.text


def _fields(block: Ristretto) -> Iterator[tuple[str, FieldValue]]:
    for name in _FIELDS[block.precision]:
        value = getattr(block, name)
        yield name, Word(value) if name == "precision" else value
