"""The arithmetic of the bounds: within the safe steps nothing wraps, a step further it does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.guarding.nets import by_bits, vector
from xportdnn.arithmetic.board import convolution
from xportdnn.arithmetic.board.weights import XILINX_SHIFT
from xportdnn.arithmetic.board.weights import xilinx as stored
from xportdnn.choices import Triple
from xportdnn.guards import bounds
from xportdnn.kernels import Windows


def single(weight: int, bias: float, th_out: float, bits: int) -> tuple[float, int]:
    """A 1x1 convolution of 8 channels of the largest input: how far it is from 0, in steps, and what wrapped."""
    q = 2 ** (bits - 1) - 1
    weights = np.full((1, 8, 1, 1), weight / q, np.float32)
    held = stored(weights, vector(bias), Triple(bits, bits, bits), 1.0, [1.0], th_out)
    result = convolution.convolution(
        np.full((1, 8, 1, 1), q, np.int8), held, Windows((1, 1), (1, 1), (0, 0), (1, 1)), (1, 1)
    )
    lost = result.saturations
    return (8 * weight / q + bias) / th_out * q, lost.words + lost.roundings


@by_bits
@settings(max_examples=60, deadline=None)
@given(weight=st.integers(-31, 31).filter(bool), share=st.floats(-1, 1), sign=st.sampled_from([-1, 1]))
def test_within_the_safe_steps_nothing_wraps(bits: int, weight: int, share: float, sign: int) -> None:
    total = 8 * weight / (2 ** (bits - 1) - 1)
    bias = sign * share * abs(total) / 200
    th_out = max(abs(total + bias) * (2 ** (bits - 1) - 1) / bounds.SAFE_STEPS * (1 + 2**-20), abs(bias))
    steps, wrapped = single(weight, bias, th_out, bits)
    assert abs(steps) <= bounds.SAFE_STEPS
    assert wrapped == 0


@by_bits
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_step_further_it_wraps(bits: int, sign: int) -> None:
    steps, wrapped = single(sign * 31, 0.0, 8 * 31 / 511.75, bits)
    assert abs(steps) < 512
    assert wrapped == 1


def test_safe_steps() -> None:
    assert bounds.SAFE_STEPS == 512 - 1 - 1 / 64
    assert bounds.LARGEST_SUM * 2.0**-XILINX_SHIFT / 2 == 1 / 64
