"""How large every channel of a network gets on pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from xportdnn.engine import Program
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Value
from xportdnn.opening import Opened
from xportdnn.workers import Tick, crew

if TYPE_CHECKING:
    from xportdnn.folding.affine import Doubles

Feeds: TypeAlias = Mapping[Value, Array]


class Extents(NamedTuple):
    """What was seen of every channel of a value.

    Attributes:
        peaks: (C,) the largest |x|.
        squares: (C,) the mean of x squared.
    """

    peaks: Doubles
    squares: Doubles


def extents(
    opened: Opened,
    weights: Mapping[int, Arrays],
    pictures: Sequence[Feeds],
    watched: Collection[Value],
    workers: int = 1,
    tick: Tick = lambda: None,
) -> dict[Value, Extents]:
    """The extents of the channels (axis 1) of the watched values; the number of workers changes nothing.

    Args:
        weights: arrays by layer index.
        tick: called after every picture.
    """
    program = Program(opened.net, weights, opened.shapes, opened.inputs, watched)

    def share(indices: Sequence[int]) -> _Share:
        return _Share(program.twin(), pictures, indices)

    with crew(share, len(pictures), workers, tick) as shares:
        seen = {index: found for part in shares.call(_Share.observe) for index, found in part.items()}
    in_order = [seen[index] for index in sorted(seen)]
    return {value: _of_all(found[value] for found in in_order) for value in watched}


def _of_all(found: Iterable[Extents]) -> Extents:
    peaks, squares = zip(*found, strict=True)
    return Extents(np.max(peaks, axis=0), np.mean(squares, axis=0))


class _Share:
    """Some of the pictures."""

    def __init__(self, program: Program, pictures: Sequence[Feeds], indices: Sequence[int]) -> None:
        self.program, self.pictures, self.indices = program, pictures, indices
        self.position = indices[0]
        self.tick: Tick = lambda: None

    def observe(self) -> dict[int, dict[Value, Extents]]:
        """Picture -> value -> extents."""
        found: dict[int, dict[Value, Extents]] = {}
        for index in self.indices:
            self.position = index
            found[index] = {value: _of(top) for value, top in self.program.run(self.pictures[index])}
            self.tick()
        return found


def _of(top: Array) -> Extents:
    rows = top.swapaxes(0, 1).reshape(top.shape[1], -1)
    peaks = np.maximum(rows.max(axis=1), -rows.min(axis=1)).astype(np.float64)
    return Extents(peaks, np.square(rows, dtype=np.float64).mean(axis=1))
