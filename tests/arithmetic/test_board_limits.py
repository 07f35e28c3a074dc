"""What the board refuses, what it loses at its ends, and which layers its kernel computes wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.arithmetic.arrays import f32, i8, u8
from xportdnn.arithmetic.board import ends, faults, pooling, weights
from xportdnn.arithmetic.board.accumulator import chunks
from xportdnn.arithmetic.board.saturations import Saturations
from xportdnn.choices import Mode, Triple
from xportdnn.errors import LayerError
from xportdnn.kernels import Windows

EIGHT = Triple(8, 8, 8)
WEIGHT, BIAS = np.ones((2, 3, 1, 1), np.float32), np.zeros(2, np.float32)


@pytest.mark.parametrize("name", ["bw_layer_in", "bw_params", "bw_layer_out"])
def test_other_widths_are_refused(name: str) -> None:
    bits = EIGHT._replace(**{name.removeprefix("bw_"): 16})
    with pytest.raises(LayerError, match=f"{name} is 16, the board computes with 6 or 8 bits"):
        weights.xilinx(WEIGHT, BIAS, bits, 1, [1, 1], 1)


@pytest.mark.parametrize("th", [0.0, -1.0, float("nan")], ids=str)
def test_an_output_threshold_that_is_not_positive_is_refused(th: float) -> None:
    with pytest.raises(LayerError, match="the board divides by it; give a positive threshold"):
        weights.xilinx(WEIGHT, BIAS, EIGHT, 1, [1, 1], th)


@pytest.mark.parametrize("th_out", [2.0**-10, 1e-44], ids=["too large", "infinite"])
def test_a_factor_beyond_32_bits_is_refused(th_out: float) -> None:
    with pytest.raises(LayerError, match="the board stores less than 1024; raise th_layer_out"):
        weights.xilinx(WEIGHT, BIAS, EIGHT, 256, [1, 1], th_out)


@pytest.mark.parametrize(("fl_out", "shift"), [(7, 0), (-25, 32)], ids=["none", "32"])
def test_an_output_shift_that_the_board_cannot_do_is_refused(fl_out: int, shift: int) -> None:
    with pytest.raises(
        LayerError, match=rf"fl_layer_in 2 \+ fl_params 5 - fl_layer_out {fl_out} is {shift}, the board"
    ):
        weights.dynamic_fixed(WEIGHT, BIAS, EIGHT, Triple(2, 5, fl_out))


@pytest.mark.parametrize("width", [6, 8])
def test_the_input_width_decides_the_mode(width: int) -> None:
    bits = Triple(width, 14 - width, 14 - width)
    assert weights.xilinx(WEIGHT, BIAS, bits, 1, [1, 1], 1).six == (width == 6)
    assert weights.dynamic_fixed(WEIGHT, BIAS, bits, Triple(2, 5, 2)).six == (width == 6)


def test_negative_fl_params_store_zeros() -> None:
    stored = weights.dynamic_fixed(WEIGHT * 64, BIAS, EIGHT, Triple(5, -2, 1))
    assert not stored.weights.any()


def test_lost_weights_and_biases_in_dynamic_fixed_mode() -> None:
    weight = f32([[-1.01, 1], [0.99, -1]]).reshape(2, 2, 1, 1)
    # 100 * 2**9 passes 32767, 200 is beyond 127 already
    stored = weights.dynamic_fixed(weight, f32([100, 200]), EIGHT, Triple(2, 7, 0))
    assert stored.saturations == Saturations(weights=2, biases=2)


@pytest.mark.parametrize(("fl_in", "fl_out"), [(0, 8), (24, 0)], ids=["no shift", "32"])
def test_an_average_shift_that_the_board_cannot_do_is_refused(fl_in: int, fl_out: int) -> None:
    windows = Windows((2, 2), (1, 1), (0, 0), (1, 1))
    with pytest.raises(LayerError, match="the board shifts averages by 1 to 31"):
        pooling.average_dynamic_fixed(np.zeros((1, 3, 2, 2), np.int8), windows, (1, 1), fl_in, fl_out)


def test_averages_that_lose_their_top_bits_are_counted() -> None:
    windows = Windows((1, 2), (1, 2), (0, 0), (1, 1))
    result = pooling.average_dynamic_fixed(i8([[[[100, 100, 20, 20]]]]), windows, (1, 2), 3, 4)
    assert result.top.tolist() == [[[[-56, 40]]]]
    assert result.saturations == Saturations(averages=1)


def test_pixels_need_an_fl_that_is_not_negative() -> None:
    with pytest.raises(LayerError, match="fl_layer_in is -1, the board shifts pixels left by it"):
        ends.pixels_dynamic_fixed(np.zeros((3, 2, 2), np.uint8), 0, -1, 8)


def test_the_mean_of_pixels_wraps_at_8_bits() -> None:
    assert ends.pixels_dynamic_fixed(u8([0, 10]), 200, 0, 8).top.tolist() == [56, 66]


def test_software_needs_an_fl_that_is_not_negative() -> None:
    with pytest.raises(LayerError, match="fl_layer_out is -1, the host divides by 1 << fl"):
        ends.output_dynamic_fixed(np.zeros(1, np.int8), -1)


def test_software_divides_by_a_power_of_two() -> None:
    assert ends.output_dynamic_fixed(i8([-128, 3]), 4).tolist() == [-8, 0.1875]


def test_inputs_beyond_the_range_are_counted() -> None:
    assert ends.input_xilinx(f32([-5, 4, 4.5]), 4, 8).saturations == Saturations(inputs=2)
    assert ends.input_dynamic_fixed(f32([-4.1, 3.96875, 4]), 5, 8).saturations == Saturations(inputs=2)
    assert ends.pixels_dynamic_fixed(u8([0, 127, 128]), 0, 0, 8).saturations == Saturations(inputs=1)


def test_halves_go_up_on_the_way_back_only() -> None:
    halves = f32([-1.5, -0.5, 0.5, 1.5])
    assert ends.input_xilinx(halves, 127, 8).top.tolist() == [-2, -1, 1, 2]
    assert ends.software_xilinx(halves, 127, 8).top.tolist() == [-1, 0, 1, 2]


def test_saturations_add_up() -> None:
    total = Saturations(words=1, outputs=2) + Saturations(outputs=3, biases=4)
    assert total == Saturations(words=1, outputs=5, biases=4)
    assert total
    assert not Saturations()


@pytest.mark.parametrize(
    ("channels", "kernel", "group", "sizes"),
    [
        (3, 3, 1, [3]),
        (227, 1, 1, [227]),
        (227, 3, 1, [114, 113]),
        (256, 3, 1, [128, 128]),
        (2044, 1, 1, [2044]),
        (2048, 1, 1, [1024, 1024]),
        (512, 3, 2, [128, 128]),
        (6, 3, 2, [3]),
        (1028, 3, 1, [128] * 7 + [132]),
    ],
)
def test_chunks(channels: int, kernel: int, group: int, sizes: list[int]) -> None:
    parts = chunks(channels, (kernel, kernel), group)
    assert [part.stop - part.start for part in parts] == sizes
    assert [part.start for part in parts] == [sum(sizes[:index]) for index in range(len(sizes))]


def convolution_faults(**changes: Any) -> list[str]:
    """The faults of a layer that has none but for the changes."""
    facts: dict[str, Any] = {
        "mode": Mode.XILINX,
        "weight": (32, 16, 3, 3),
        "group": 1,
        "windows": Windows((3, 3), (1, 1), (1, 1), (1, 1)),
        "counts": (20, 20),
        "bits": EIGHT,
        "fl_params": 0,
        "first": False,
    }
    return [fault.sentence for fault in faults.convolution(**facts | changes)]


def square(kernel: int, stride: int = 1, pad: int = 0) -> Windows:
    return Windows((kernel, kernel), (stride, stride), (pad, pad), (1, 1))


FAULTY = {
    "uneven chunks": ({"weight": (32, 228, 3, 3)}, "228 input channels with a 3x3 kernel"),
    "uneven chunks, 260": ({"weight": (32, 260, 3, 3)}, "260 input channels with a 3x3 kernel"),
    "groups of 24": ({"weight": (32, 24, 3, 3), "group": 2}, "2 groups of 24 input and 16 output channels"),
    "groups to 24": ({"weight": (48, 16, 3, 3), "group": 2}, "2 groups of 16 input and 24 output channels"),
    "4 groups": ({"group": 4}, "4 groups: the board knows 1 and 2 groups"),
    "dynamic fixed groups": ({"group": 2, "mode": Mode.DYNAMIC_FIXED}, "2 groups in DynamicFixed mode"),
    "11x11": ({"weight": (32, 16, 11, 11), "windows": square(11)}, "an 11x11 kernel outside the first layer"),
    "small first": (
        {"weight": (32, 3, 7, 7), "windows": square(7, 2), "counts": (20, 15), "first": True},
        "a 7x7 kernel with stride, and only 15 columns",
    ),
    "mixed widths": ({"bits": Triple(8, 8, 6)}, "bw_layer_in is 8 and bw_layer_out 6"),
    "negative fl": ({"mode": Mode.DYNAMIC_FIXED, "fl_params": -1}, "fl_params -1 is negative"),
}


@pytest.mark.parametrize(("changes", "start"), FAULTY.values(), ids=FAULTY)
def test_a_faulty_convolution(changes: dict[str, Any], start: str) -> None:
    (fault,) = convolution_faults(**changes)
    assert fault.startswith(start)


SOUND = {
    "3x3": {},
    "even chunks": {"weight": (32, 256, 3, 3)},
    "227 channels in one chunk of 1x1": {"weight": (32, 227, 1, 1), "windows": square(1)},
    "2 groups": {"group": 2},
    "11x11 first": {"weight": (32, 3, 11, 11), "windows": square(11, 4), "first": True},
    "7x7 first without stride": {"weight": (32, 3, 7, 7), "windows": square(7), "counts": (9, 9), "first": True},
}


@pytest.mark.parametrize("changes", SOUND.values(), ids=SOUND)
def test_a_sound_convolution(changes: dict[str, Any]) -> None:
    assert convolution_faults(**changes) == []


FAULTY_POOLING = {
    "12 cells": ((32, (24, 24), square(12, 12), (2, 2)), "MAX", "a window of 12 cells a side"),
    "overhang": ((32, (8, 8), square(2, 4), (3, 3)), "MAX", "the last window hangs over the padded image by 2 columns"),
    "1 channel": ((1, (4, 4), square(2, 2), (2, 2)), "AVE", "the average of 1 channels, 1 more"),
    "16 channels": ((48, (4, 4), square(2, 2), (2, 2)), "AVE", "the average of 48 channels, 16 more"),
    "1x1": ((32, (4, 4), square(1, 2), (2, 2)), "AVE", "an average over single cells"),
}


@pytest.mark.parametrize(("layer", "pool", "start"), FAULTY_POOLING.values(), ids=FAULTY_POOLING)
def test_a_faulty_pooling(layer: tuple[Any, ...], pool: Any, start: str) -> None:
    (fault,) = faults.pooling(pool, *layer)
    assert fault.sentence.startswith(start)


@pytest.mark.parametrize("channels", [17, 31, 32])
def test_a_sound_average(channels: int) -> None:
    assert list(faults.pooling("AVE", channels, (6, 6), square(3, 2), (3, 3))) == []
