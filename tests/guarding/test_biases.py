"""Room for biases in DynamicFixed mode, and one scale for the weights of a Deconvolution in Xilinx mode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.small_nets import by_name, conv, data, layer, net_of, value, write_net, write_pictures
from xportdnn import api
from xportdnn.arithmetic import qformat
from xportdnn.check.look import look
from xportdnn.check.opening import subject
from xportdnn.choices import BOARD_WIDTHS, Triple
from xportdnn.conversion import Conversion
from xportdnn.guards.biases import Biased
from xportdnn.guards.deconvolutions import levelled
from xportdnn.guards.fractions import NO_LIMITS, moved
from xportdnn.guards.marks import Guard
from xportdnn.journal import Journal, Level
from xportdnn.layers import Array, Arrays
from xportdnn.plan import NOTHING_SETTLED, Settled
from xportdnn.prototxt import Source

CONV = data(1, 3, 8, 9) + conv("c", "data", "c", 4)
NET = net_of(CONV + conv("d", "c", "d", 5))
C, D = value(NET, "c"), value(NET, "d")
DYNAMIC: dict[str, Any] = {"quant_type": "DynamicFixed", "fl_bitwidths": "auto", "mean_value": "0"}


def vector(*numbers: float) -> Array:
    return np.array(numbers, np.float32)


def biased(bits: int, *bias: float) -> Biased:
    return Biased(by_name(NET, "c"), C, bits, vector(*bias))


def converted(
    folder: Path, text: str, weights: Mapping[str, Arrays] | None = None, **options: Any
) -> tuple[Conversion, Journal]:
    """A network's formats from two random pictures of its size."""
    files, net, journal = write_net(folder, text, weights), net_of(text), Journal()
    _, _, height, width = net.declared[net.inputs[0]]
    pictures = write_pictures(folder / "pictures", 2, (width, height))
    chosen = {"bitwidths": (8, 8, 8), "calibration_size": 2, "workers": 1, **options}
    return api.convert(files.deploy, files.weights, calibration_directory=pictures, journal=journal, **chosen), journal


def block(made: Conversion, name: str) -> dict[str, Any]:
    """The fields of a layer's block."""
    (found,) = (dict(block.fields) for block in made.blocks if block.layer.name == name)
    return found


def broken(made: Conversion) -> set[str]:
    """The rules that `xportdnn check` finds broken, weights included."""
    return {finding.rule.id for finding in look(subject(Source("net.prototxt", made.text), made.opened.model))}


# ---- what room for a bias is worth


@pytest.mark.parametrize(
    ("bias", "fl", "fitting"),
    [
        pytest.param((1.0, -0.5, 0), 6, 6, id="all have room"),
        pytest.param((2.0, -0.5, 0), 6, 5, id="twice as much"),
        pytest.param((-2.0, -0.5, 0), 6, 6, id="below 0 there is one step more"),
        pytest.param((1.992, -0.5, 0), 6, 6, id="less than half a step beyond"),
        pytest.param((127.5 / 64, -0.5, 0), 6, 5, id="half a step beyond"),
        pytest.param((-128.5 / 64, -0.5, 0), 6, 5, id="half a step beyond, below 0"),
        pytest.param((250.0, 0, 0), 6, -1, id="much more"),
        pytest.param((1000.0, 0, 0), 6, 6, id="more than it is worth"),
        pytest.param((1000.0, 3.0, 1.0), 6, 5, id="what is not worth it keeps no other from its room"),
        pytest.param((1000.0, 60.0, 1.0), 6, -3, id="room for one makes the next worth it"),
        pytest.param((math.nan, math.inf, 1.0), 6, 6, id="no numbers"),
        pytest.param((0.0, 0.0), 6, 6, id="zeros"),
    ],
)
def test_fitting(bias: tuple[float, ...], fl: int, fitting: int) -> None:
    assert biased(8, *bias).fitting(fl) == fitting


biases = st.lists(st.floats(-(2.0**12), 2.0**12, width=32), min_size=1, max_size=6)
laws = settings(max_examples=80, deadline=None)


@laws
@given(biases, st.sampled_from(BOARD_WIDTHS), st.integers(-4, 20))
def test_what_is_clipped_is_what_the_board_stores_too_small(bias: list[float], bits: int, fl: int) -> None:
    numbers = vector(*bias)
    beyond = qformat.quantize(numbers, bits + 20, fl) != qformat.quantize(numbers, bits, fl)
    assert biased(bits, *bias).clipped(fl) == np.abs(numbers[beyond]).max(initial=0)


@laws
@given(biases, st.sampled_from(BOARD_WIDTHS), st.integers(-4, 20))
def test_fitting_again_changes_nothing(bias: list[float], bits: int, fl: int) -> None:
    site = biased(bits, *bias)
    once = site.fitting(fl)
    assert once <= fl
    assert site.fitting(once) == once
    assert site.clipped(once) <= site.clipped(fl)


# ---- what gives way for it


def test_the_largest_of_a_class_decides() -> None:
    limits = NO_LIMITS._replace(biases=(biased(8, 3.0, 1.0), biased(8, -9.0, 1.0), biased(8, 1.0)))
    found = moved(limits, NET, {C: 6, D: 6}, {})
    assert found.values == {C: 3, D: 6}
    assert [(mark.guard, mark.was, mark.fits) for mark in found.marks] == [(Guard.ROOM, 6, 3)]
    assert len(found.marks[0].layers) == 1


def test_a_length_of_the_users_stays() -> None:
    limits = NO_LIMITS._replace(biases=(biased(8, 3.0),), given={C})
    assert moved(limits, NET, {C: 6}, {}) == ({C: 6}, {}, ())


def test_a_length_that_must_not_be_negative_stops_at_0() -> None:
    limits = NO_LIMITS._replace(biases=(biased(8, 200.0),), floors={C})
    found = moved(limits, NET, {C: 3}, {})
    assert found.values == {C: 0}
    assert [mark.guard for mark in found.marks] == [Guard.ROOM]


def test_what_is_given_up_is_told() -> None:
    found = moved(NO_LIMITS._replace(biases=(biased(8, 1e6, 1.0),)), NET, {C: 6}, {})
    assert found.values == {C: 6}
    assert [(mark.guard, mark.was, mark.fits) for mark in found.marks] == [(Guard.CLIPPED, 1e6, 127 / 64)]


# sums far below 0, so that no output shows the bias
NEGATIVE = np.array([[-1, -1, -1], [0.01, 0, 0], [0, 0.01, 0], [0, 0, 0.01]], np.float32).reshape(4, 3, 1, 1)
RECTIFIED = CONV + layer("r", "ReLU", "c", "c")
FUSED = (
    CONV
    + layer("bn", "BatchNorm", "c", "c")
    + layer("s", "Scale", "c", "c", "scale_param { bias_term: true }")
    + layer("r", "ReLU", "c", "c")
)
IDENTITY = (np.zeros(4, np.float32), np.ones(4, np.float32), np.ones(1, np.float32))
HIDDEN = vector(40, 0, 0, 0)
NETS: dict[str, tuple[str, str, dict[str, Arrays]]] = {
    "plain": (RECTIFIED, "c", {"c": (NEGATIVE, HIDDEN)}),
    "fused": (FUSED, "s", {"c": (NEGATIVE, 0 * HIDDEN), "bn": IDENTITY, "s": (np.ones(4, np.float32), HIDDEN)}),
}


@pytest.mark.parametrize("name", NETS)
def test_a_bias_gets_its_room(tmp_path: Path, name: str) -> None:
    text, writer, weights = NETS[name]
    raw, _ = converted(tmp_path, text, weights, guards=False, **DYNAMIC)
    held, journal = converted(tmp_path, text, weights, **DYNAMIC)
    lengths = [block(made, writer)["fl_layer_out"] for made in (raw, held)]
    assert lengths[1] == 1 < lengths[0]
    assert "bias-clipped" in broken(raw)
    assert "bias-clipped" not in broken(held)
    (said,) = [remark for remark in journal.remarks if "clips a bias" in remark.text]
    assert said.level is Level.INFO
    assert said.text.endswith(f": c {lengths[0]} -> {lengths[1]}")


def test_a_bias_finds_no_room_where_the_length_is_the_users(tmp_path: Path) -> None:
    text, _, weights = NETS["plain"]
    overrides = tmp_path / "overrides.json"
    overrides.write_text('{"c": {"fl_layer_out": 4}}', encoding="utf-8")
    made, _ = converted(tmp_path, text, weights, overrides=overrides, **DYNAMIC)
    assert block(made, "c")["fl_layer_out"] == 4
    assert "bias-clipped" in broken(made)


# ---- Deconvolution


UPSAMPLING = (
    data(1, 3, 8, 9)
    + layer(
        "up", "Deconvolution", "data", "up", "convolution_param { num_output: 3 kernel_size: 4 stride: 2 group: 3 }"
    )
    + layer("class", "ArgMax", "up", "class", "argmax_param { axis: 1 }")
)
UNLIKE = {"up": (np.full((3, 1, 4, 4), 0.5, np.float32) * vector(1, -4, 2).reshape(3, 1, 1, 1), vector(0, 0, 0))}


@pytest.mark.parametrize("method", ["xilinx", "max", "auto"])
def test_a_deconvolution_has_one_scale(tmp_path: Path, method: str) -> None:
    raw, _ = converted(tmp_path, UPSAMPLING, UNLIKE, guards=False, threshold_method=method)
    held, journal = converted(tmp_path, UPSAMPLING, UNLIKE, threshold_method=method)
    assert "deconvolution-scales" in broken(raw)
    assert "deconvolution-scales" not in broken(held)
    (said,) = [remark for remark in journal.remarks if "of a Deconvolution" in remark.text]
    assert said.level is Level.INFO
    assert said.text.endswith(": up (0.5 to 2)")


DECONVOLUTION = by_name(net_of(UPSAMPLING), "up")
BITS = Triple(8, 8, 8)


def test_th_params_that_are_alike_need_nothing() -> None:
    assert levelled([DECONVOLUTION], {1: (2.0, 2.0)}, BITS, NOTHING_SETTLED) == ({1: (2.0, 2.0)}, ())


@pytest.mark.parametrize(
    ("bits", "settled"),
    [
        pytest.param(BITS, Settled(params={1: (1.0, 2.0)}), id="the user's own"),
        pytest.param(BITS, Settled(floats=frozenset({1})), id="no block"),
        pytest.param(Triple(8, 16, 8), NOTHING_SETTLED, id="a width that the board has not"),
    ],
)
def test_what_is_not_levelled(bits: Triple, settled: Settled) -> None:
    assert levelled([DECONVOLUTION], {1: (1.0, 2.0)}, bits, settled) == ({1: (1.0, 2.0)}, ())


def test_convolutions_keep_one_for_each_channel() -> None:
    assert levelled(NET.layers, {1: (1.0, 2.0)}, BITS, NOTHING_SETTLED) == ({1: (1.0, 2.0)}, ())
