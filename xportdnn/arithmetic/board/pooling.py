"""Pooling as the kernel computes it (CHaiDNN design/conv, Conv3dTop; xi_dnn_conv_utils.hpp, loadsf_avg_pool).

Cells outside the image, padding and ceil overhang alike, count as 0, for the maximum too. Averages are always divided
by the whole window, with a truncated multiplier and a truncating shift; they are not clamped to 6 bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xportdnn.arithmetic.board.convolution import Result
from xportdnn.arithmetic.board.saturations import Saturations
from xportdnn.arithmetic.twos_complement import wrap
from xportdnn.errors import LayerError
from xportdnn.kernels import Windows, padded, reduce_windows
from xportdnn.lazy import np

if TYPE_CHECKING:
    from xportdnn.arithmetic import Int8s, Int32s
    from xportdnn.layers import Shape


def maximum(images: Int8s, windows: Windows, counts: Shape) -> Int8s:
    """MAX pooling of (num, channels, *size) to (num, channels, *counts), the same in both modes."""
    pooled = [
        reduce_windows(np.maximum, padded(image, windows.pad, windows.span(counts)), windows, counts)
        for image in images
    ]
    return np.stack(pooled)


def average_xilinx(images: Int8s, windows: Windows, counts: Shape) -> Int8s:
    """AVE pooling in Xilinx mode: (sum * trunc(65536 / cells)) >> 16; up to 1 low, never beyond int8.

    The thresholds play no part: output steps are input steps.
    """
    return (_scaled_sums(images, windows, counts, 16) >> 16).astype(np.int8)


def average_dynamic_fixed(
    images: Int8s, windows: Windows, counts: Shape, fl_layer_in: int, fl_layer_out: int
) -> Result:
    """AVE pooling in DynamicFixed mode: the low 8 bits of (sum * trunc(256 / cells)) >> (fl_in + 8 - fl_out).

    Raises:
        LayerError: the shift is not 1 to 31.
    """
    shift = fl_layer_in + 8 - fl_layer_out
    if not 1 <= shift <= 31:
        raise LayerError(
            f"fl_layer_in {fl_layer_in} + 8 - fl_layer_out {fl_layer_out} is {shift}, "
            "the board shifts averages by 1 to 31; change one of the two"
        )
    averages = _scaled_sums(images, windows, counts, 8) >> shift
    top = wrap(averages, 8)
    return Result(top.astype(np.int8), Saturations(averages=int(np.count_nonzero(top != averages))))


def _scaled_sums(images: Int8s, windows: Windows, counts: Shape, fraction_bits: int) -> Int32s:
    """Sums over windows times 2**fraction_bits / cells, below 2**(fraction_bits + 7) in magnitude."""
    multiplier = np.int32((1 << fraction_bits) // math.prod(windows.kernel))
    sums = [
        reduce_windows(np.add, padded(image, windows.pad, windows.span(counts)).astype(np.int32), windows, counts)
        for image in images
    ]
    return np.asarray(np.stack(sums) * multiplier)
