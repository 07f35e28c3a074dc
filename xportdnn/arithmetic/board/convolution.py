"""A convolution as the kernel computes it: accumulate, scale, round, clamp, ReLU (CHaiDNN xi_convolution.hpp,
OutputWrite_fk, saturation_round)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xportdnn.arithmetic.board import accumulator
from xportdnn.arithmetic.board.saturations import Saturations
from xportdnn.arithmetic.board.weights import Stored
from xportdnn.arithmetic.products import peak
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xportdnn.arithmetic import Int8s, Int32s
    from xportdnn.kernels import Windows
    from xportdnn.layers import Shape


class Result(NamedTuple):
    """A top and what was lost in it."""

    top: Int8s
    saturations: Saturations


def limits(six: bool) -> tuple[int, int]:
    """The least and the greatest output, not symmetric."""
    return (-32, 31) if six else (-128, 127)


def convolution(
    images: Int8s, stored: Stored, windows: Windows, counts: Shape, group: int = 1, relu: bool = False
) -> Result:
    """(num, channels, *size) to (num, num_output, *counts).

    The counts of `stored` are not included: they are the layer's, however many images it sees.

    Args:
        counts: windows along each axis.
        relu: a ReLU folded into the layer.
    """
    factor, addend = stored.terms
    top = np.empty((len(images), len(stored.weights), *counts), np.int8)
    saturations = Saturations()
    for block in accumulator.blocks(images, stored.weights, windows, counts, group, stored.six):
        values, lost = _output(block.values, factor[:, None], addend[:, None], stored.shift, stored.six, relu)
        target = top[block.images, :, block.rows]
        target[...] = values.reshape(target.shape)
        saturations += lost + Saturations(wraps=block.wraps, accumulators=block.saturated)
    return Result(top, saturations)


def _output(
    sums: Int32s, factor: NDArray[np.uint32], addend: NDArray[np.uint32], shift: int, six: bool, relu: bool
) -> tuple[Int32s, Saturations]:
    """Accumulators (images, num_output, windows) to outputs."""
    half = 1 << shift - 1
    # unsigned words, because their overflow is the wrap that the kernel's 32-bit registers do
    words = sums.view(np.uint32) * factor + addend
    signed = words.view(np.int32)
    sign = signed >> 31
    magnitude = (words ^ sign.view(np.uint32)) - sign.view(np.uint32)
    wraps = roundings = 0
    if peak(sums) * int(factor.max()) + peak(addend.view(np.int32)) + half >= 1 << 31:
        exact = sums.astype(np.int64) * factor + addend.view(np.int32)
        wraps = int(np.count_nonzero(exact != signed))
        roundings = int(np.count_nonzero(magnitude >= np.uint32((1 << 31) - half)))
    rounded = (magnitude + np.uint32(half)).view(np.int32) >> shift
    rounded = (rounded ^ sign) - sign
    least, greatest = limits(six)
    result = np.clip(rounded, 0 if relu else least, greatest)
    cut = np.count_nonzero((rounded > greatest) if relu else (rounded != result))
    return result, Saturations(words=wraps, roundings=roundings, outputs=int(cut))
