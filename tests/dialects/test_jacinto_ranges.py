"""caffe-jacinto's scale and offset from a range, by numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.dialects.jacinto_nets import f32
from xportdnn.arithmetic import scaled
from xportdnn.arithmetic.scaled import Scaled, of_range
from xportdnn.errors import LayerError


def trimmed(values: list[float], form: Scaled, clip: bool = True) -> list[float]:
    return [float(each) for each in scaled.trim(np.array(values, np.float32), form, clip=clip)]


@pytest.mark.parametrize(
    ("ends", "bits", "power_of_two", "with_offset", "scale", "offset", "limits"),
    [
        # 255 / 5.1: no bit for a sign
        pytest.param((0.0, 5.1), 8, False, False, 50.0, 0.0, (0, 255), id="unsigned"),
        pytest.param((0.5, 5.1), 8, False, False, 50.0, 0.0, (0, 255), id="unsigned-from-above-0"),
        # 127 / 1.27
        pytest.param((-1.27, 0.5), 8, False, False, 100.0, 0.0, (-128, 127), id="signed"),
        # 255 / (3 - -1), and -1 becomes 0
        pytest.param((-1.0, 3.0), 8, False, True, 63.75, 63.75, (0, 255), id="offset"),
        # 4095 / 4
        pytest.param((-1.0, 3.0), 12, False, True, 1023.75, 1023.75, (0, 4095), id="12-bit-weights"),
        # 5 has 3 bits: 2**(8 - 3)
        pytest.param((0.0, 5.0), 8, True, False, 32.0, 0.0, (0, 255), id="power-of-two-unsigned"),
        # and one for the sign
        pytest.param((-5.0, 2.0), 8, True, False, 16.0, 0.0, (-128, 127), id="power-of-two-signed"),
        # 3 - -1 has 2 bits
        pytest.param((-1.0, 3.0), 8, True, True, 64.0, 64.0, (0, 255), id="power-of-two-offset"),
        pytest.param((0.0, 4.0), 8, True, False, 64.0, 0.0, (0, 255), id="a-power-of-two-itself"),
        # 0.2 has -2 bits: 2**(8 + 2)
        pytest.param((0.0, 0.2), 8, True, False, 1024.0, 0.0, (0, 255), id="below-1"),
        pytest.param((0.0, 0.0), 8, True, False, 256.0, 0.0, (0, 255), id="nothing-but-0"),
        # 1000 has 10 bits: 2**(8 - 10)
        pytest.param((0.0, 1000.0), 8, True, False, 0.25, 0.0, (0, 255), id="steps-above-1"),
    ],
)
def test_scale(
    ends: tuple[float, float],
    bits: int,
    power_of_two: bool,
    with_offset: bool,
    scale: float,
    offset: float,
    limits: tuple[int, int],
) -> None:
    form = of_range(*ends, bits, power_of_two, with_offset)
    assert form.scale == pytest.approx(scale, rel=1e-6)
    assert form.offset == pytest.approx(offset, rel=1e-6)
    assert form.limits == limits


@pytest.mark.parametrize("with_offset", [False, True], ids=["plain", "offset"])
def test_a_range_of_nothing_is_refused(with_offset: bool) -> None:
    with pytest.raises(LayerError, match="divides by the range of these numbers, which is 0"):
        of_range(0.0, 0.0, 8, False, with_offset)


def test_one_repeated_number_has_a_range_without_offset() -> None:
    """255 / 0.5, but nothing to divide by where the range is max - min."""
    assert of_range(0.5, 0.5, 8, False, False).scale == 510.0
    with pytest.raises(LayerError, match="which is 0"):
        of_range(0.5, 0.5, 8, False, True)


@pytest.mark.parametrize("power_of_two", [False, True], ids=["plain", "power-of-two"])
@pytest.mark.parametrize("with_offset", [False, True], ids=["centred", "offset"])
@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((-1.0, 3.5e38), "no range of these numbers in float32"),
        ((-3e38, 3e38), "no range of these numbers in float32"),
        ((float("nan"), 1.0), "no range of these numbers in float32"),
        ((-float("inf"), 1.0), "no range of these numbers in float32"),
        ((0.0, 1e-40), "no scale for a range as small"),
    ],
    ids=["large", "wide", "nan", "inf", "small"],
)
def test_ranges_beyond_float32_are_refused(
    ends: tuple[float, float], said: str, with_offset: bool, power_of_two: bool
) -> None:
    with pytest.raises(LayerError, match=said):
        of_range(*ends, 8, power_of_two, with_offset)


@pytest.mark.parametrize(
    ("values", "form", "wanted"),
    [
        # 1.01 * 50 = 50.5 -> 51; 6 is clipped to 255 / 50, -1 to 0
        pytest.param([1.01, 6.0, -1.0], Scaled(8, 50.0, 0.0, False), [1.02, 5.1, 0.0], id="unsigned"),
        # halves away from 0; the least integer is -128
        pytest.param([0.03125, -0.03125, -9.0], Scaled(8, 16.0, 0.0, True), [0.0625, -0.0625, -8.0], id="signed"),
        # 4 * 64 = 256 is one too many
        pytest.param([4.0], Scaled(8, 64.0, 0.0, False), [3.984375], id="largest"),
        # 0 * 63.75 + 63.75 -> 64 -> 0.25 / 63.75: the zeros are gone
        pytest.param([0.0, -1.0, 3.0], Scaled(8, 63.75, 63.75, False), [0.25 / 63.75, -1.0, 3.0], id="offset"),
    ],
)
def test_trim(values: list[float], form: Scaled, wanted: list[float]) -> None:
    assert trimmed(values, form) == pytest.approx(wanted, rel=1e-6)


def test_trim_without_clipping() -> None:
    assert trimmed([6.0, -1.0], Scaled(8, 50.0, 0.0, False), clip=False) == pytest.approx([6.0, -1.0], rel=1e-6)


def test_ends_of_a_range_are_not_counted_as_clipped() -> None:
    values = f32([-0.7, 0.1, 1.3])
    assert scaled.beyond(values, of_range(-0.7, 1.3, 12, False, True)) == 0
    assert scaled.beyond(f32([-0.8, 1.4]), of_range(-0.7, 1.3, 12, False, True)) == 2
