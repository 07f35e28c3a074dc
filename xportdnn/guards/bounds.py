"""The least th_layer_out that a convolution of Xilinx mode can have, from the arithmetic of CHaiDNN's kernel.

With q = 2**(bits - 1) - 1, a sum of integers becomes an output in units of th_layer_out / q, held with 22 fractional
bits in a 32-bit word (xi_convolution.hpp, OutputWrite_fk; `arithmetic.board.convolution`):

    word = sum * round(factor * 2**22) + (bias in whole steps) * 2**22
    factor = (th_params / q_params) * (th_layer_in / q_in) / (th_layer_out / q_out)

The word wraps around, and so does adding half a step for rounding: what should be far below zero comes out as the
largest output, behind the ReLU, too. `SAFE_STEPS` is how far from zero the exact result may lie. The factor is kept
in 24 bits, so it must be below 4. The bias is clipped at th_layer_out before it is rounded (loadConvBiasTXT).

A bias can be so large that room for it would cost more than clipping it does: with th_layer_out = b every channel is
rounded to steps of b / q, with a mean squared error of (b / q)**2 / 12; clipping puts k channels of num_output off by
th_layer_out at most, because the output saturates. Beyond th_layer_out * q * sqrt(12 * k / num_output) the k largest
biases are given up.

A small factor needs no bound: it is stored to half of 2**-22, and a sum has 18 bits, so its rounding never moves an
output by more than 1/64 of a step. `coarse` tells where it is a large part of what little the channel does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from xportdnn.arithmetic.board.accumulator import HIGHEST
from xportdnn.arithmetic.board.weights import XILINX_SHIFT
from xportdnn.arithmetic.threshold import levels
from xportdnn.choices import Triple
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xportdnn.layers import Array

LARGEST_SUM = HIGHEST + 1
FACTOR_LIMIT = 4.0  # 24 bits, 22 of them behind the point
# Of 512 steps the rounding takes half a step, that of the bias another half, that of the factor times the largest sum
# a 64th.
SAFE_STEPS = 512 - 0.5 - 0.5 - math.ldexp(LARGEST_SUM / 2, -XILINX_SHIFT)
_ROUNDINGS = 1 + 2.0**-20  # thresholds and factor are float32, and so is every step between them
# A peak is of sums of floats, the board's are of quantized numbers. With one scale class after another of a SqueezeNet
# at its bare bound, a single output of one of 17 classes still wrapped; 2 % below it, of 8 classes.
_ROOM = 1 + 1 / 32
_COARSE = 0.01


class Numbers(NamedTuple):
    """What the kernel multiplies and adds in a convolution.

    Attributes:
        peak: the largest |sum + bias| seen, before a ReLU.
        bias, th_params: (num_output,), of the weights that the board stores, BatchNorm and Scale worked in.
        bits: the layer's widths.
    """

    peak: float
    bias: Array
    th_params: Array
    bits: Triple


def of_bias(numbers: Numbers, th_layer_out: float) -> float:
    """So that no bias is clipped, but for those that are given up."""
    return float(np.abs(numbers.bias[~given_up(numbers, th_layer_out)]).max(initial=0))


def given_up(numbers: Numbers, th_layer_out: float) -> NDArray[np.bool_]:
    """The channels whose bias is left to be clipped; with room for one bias the next may be worth it."""
    sizes = np.abs(numbers.bias.astype(np.float64))
    limit = th_layer_out
    for index, size in enumerate(np.sort(sizes).tolist()):
        if size > limit * worth(numbers.bits.layer_out, sizes.size - index, sizes.size):
            break
        limit = max(limit, size)
    return np.asarray(sizes > limit)


def worth(bits: int, clipped: int, channels: int) -> float:
    """How many times coarser the outputs may become so that so many biases are not clipped; at least 1.

    Args:
        bits: of the outputs.
    """
    return max(levels(bits) * math.sqrt(12 * clipped / channels), 1.0)


def of_words(numbers: Numbers, th_layer_in: float | None, th_layer_out: float) -> float:
    """So that no output that was seen wraps around, but for channels that are given up.

    Args:
        th_layer_in: no sum leaves the 18 bits of the accumulator, whatever was seen; None not to count on that.
    """
    most = numbers.peak * _ROOM
    if th_layer_in is not None:
        sums = LARGEST_SUM * _unit(numbers, th_layer_in) + np.abs(numbers.bias)
        most = min(most, float(sums[~given_up(numbers, th_layer_out)].max(initial=0)))
    return most * levels(numbers.bits.layer_out) / SAFE_STEPS * _ROUNDINGS


def of_factor(numbers: Numbers, th_layer_in: float) -> float:
    """So that every channel's factor is below 4."""
    return th_layer_in * gain(numbers)


def gain(numbers: Numbers) -> float:
    """What `of_factor` is for a th_layer_in of 1."""
    return float(_unit(numbers, 1.0).max()) * levels(numbers.bits.layer_out) / FACTOR_LIMIT * _ROUNDINGS


def factors(numbers: Numbers, th_layer_in: float, th_layer_out: float) -> NDArray[np.float64]:
    """Every channel's factor, exact."""
    return _unit(numbers, th_layer_in) / (th_layer_out / levels(numbers.bits.layer_out))


def coarse(numbers: Numbers, th_layer_in: float, th_layer_out: float) -> int:
    """How many channels have a factor that is more than 1 % off when it is stored; none of those without weights."""
    exact = np.ldexp(factors(numbers, th_layer_in, th_layer_out), XILINX_SHIFT)
    return int(np.count_nonzero(np.abs(np.rint(exact) - exact) > _COARSE * exact))


def _unit(numbers: Numbers, th_layer_in: float) -> NDArray[np.float64]:
    """What 1 in a sum stands for, for each output channel."""
    scale = th_layer_in / (levels(numbers.bits.params) * levels(numbers.bits.layer_in))
    return np.asarray(numbers.th_params.astype(np.float64) * scale)
