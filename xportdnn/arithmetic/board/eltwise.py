"""Eltwise SUM as the kernel computes it (CHaiDNN xi_convolution.hpp, ReadNormData; swkernels/xi_eltwiseadd_top.cpp).

Integers are added as they are: no threshold and no fl plays a part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xportdnn.arithmetic.board.convolution import Result, limits
from xportdnn.arithmetic.board.saturations import Saturations
from xportdnn.lazy import np

if TYPE_CHECKING:
    from xportdnn.arithmetic import Int8s


def add(first: Int8s, second: Int8s, bw_layer_in: int, relu: bool = False) -> Result:
    """The sum of two blobs of one shape, cut off at -128..127 (or -32..31 at 6 bits), then a folded ReLU."""
    least, greatest = limits(bw_layer_in == 6)
    exact = first.astype(np.int16) + second
    top = np.clip(exact, 0 if relu else least, greatest)
    cut = np.count_nonzero((exact > greatest) if relu else (exact != top))
    return Result(top.astype(np.int8), Saturations(outputs=int(cut)))
