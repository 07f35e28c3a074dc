"""All layers of a network with their weights in codes, proven to be read back as the same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xportdnn import execute
from xportdnn.arithmetic.board.weights import Stored
from xportdnn.caffemodel import Blob, Caffemodel, LayerBlobs
from xportdnn.errors import LayerError
from xportdnn.exporting.coded import Coded, coded
from xportdnn.layers import Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer, runnable
from xportdnn.opening import Opened
from xportdnn.precision import Precision
from xportdnn.simulation import formats
from xportdnn.simulation.board.fusion import fuse
from xportdnn.simulation.board.weights import alone, store
from xportdnn.simulation.fake import heeded
from xportdnn.simulation.formats import Block
from xportdnn.simulation.places import Problems
from xportdnn.simulation.sparsity import Zeros, zeros
from xportdnn.weights import assign


@dataclass(frozen=True)
class Exported:
    """A layer with weights.

    Attributes:
        board: what the board's host stores of a Convolution, or why it cannot; None of other types.
    """

    layer: Layer
    blobs: tuple[Coded, ...]
    zeros: Zeros
    board: Stored | str | None = None

    @property
    def values(self) -> Arrays:
        """What quantization leaves of the blobs."""
        return tuple(blob.values for blob in self.blobs)


def exported(opened: Opened, blocks: Mapping[int, Block]) -> tuple[Exported, ...]:
    """Every layer that has weights and a rule.

    Raises:
        NetworkError: layers whose formats cannot be used, whose weights have no codes, or could not be read back.
    """
    _check_formats(opened, blocks)
    problems = Problems(opened.net)
    normalised = fuse(opened.net, runnable(opened.net, opened.inputs)).normalised
    found: list[Exported] = []
    for layer in opened.net.layers:
        blobs = tuple(blob.values() for blob in opened.weights.get(layer.index, ()))
        if not blobs:
            continue
        block = heeded(layer, blocks)
        with problems.of(layer):
            codes, counted = coded(layer, blobs, block), zeros(layer, blobs, block)
            found.append(Exported(layer, codes, counted, _board(layer, blobs, block, layer.index in normalised)))
    problems.check("layers whose weights cannot be exported:")
    _check_reads_back(opened, blocks, found)
    return tuple(found)


def _check_formats(opened: Opened, blocks: Mapping[int, Block]) -> None:
    """Nothing is written that no simulation takes."""
    unfit = Problems(opened.net)
    for layer in opened.net.layers:
        for problem in formats.problems(blocks[layer.index]) if layer.index in blocks else ():
            unfit.add(layer, problem)
    unfit.check("formats that no arithmetic can use:")


def as_layers(found: Sequence[Exported]) -> tuple[LayerBlobs, ...]:
    """As a caffemodel has them."""
    return tuple(
        LayerBlobs(each.layer.name, each.layer.type, tuple(Blob.of(values, each.layer.name) for values in each.values))
        for each in found
    )


def _board(layer: Layer, blobs: Arrays, block: Block | None, normalised: bool) -> Stored | str | None:
    assert layer.kind is not None
    if layer.kind.name != "Convolution" or not isinstance(block, Precision):
        return None
    if normalised:
        return "the board works the BatchNorm and Scale behind it into its weights"
    try:
        return store(alone(layer, blobs, block)).stored
    except LayerError as reason:
        return str(reason)


def _check_reads_back(opened: Opened, blocks: Mapping[int, Block], found: Sequence[Exported]) -> None:
    """Read what will be written as the simulations do, and quantize it once more."""
    problems = Problems(opened.net)
    again = assign(opened.net, opened.shapes, Caffemodel("", as_layers(found)))
    arrays = execute.load([each.layer for each in found], again)
    for each in found:
        with problems.of(each.layer):
            second = coded(each.layer, arrays[each.layer.index], heeded(each.layer, blocks))
            if not all(_same(before, after) for before, after in zip(each.blobs, second, strict=True)):
                raise LayerError(
                    "is read back as other numbers: another layer uses the same weights in another format; give both "
                    "the same"
                )
    problems.check("layers whose weights cannot be exported:")


def _same(before: Coded, after: Coded) -> bool:
    return bool(np.array_equal(before.values, after.values))


def quantized_share(found: Sequence[Exported]) -> tuple[int, int]:
    """How many numbers have codes, and how many there are."""
    sizes = list(_sizes(found))
    return sum(size for size, has_codes in sizes if has_codes), sum(size for size, _ in sizes)


def _sizes(found: Sequence[Exported]) -> Iterator[tuple[int, bool]]:
    for each in found:
        for blob in each.blobs:
            yield int(blob.values.size), blob.codes is not None
