"""Rows, their order, and what a format costs by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from tests.evaluation.nets import CLASSIFIER
from tests.small_nets import by_name, net_of
from xportdnn.evaluation.metrics import Energy
from xportdnn.evaluation.ranking import Row, by_damage, rows, steepest
from xportdnn.evaluation.rounding import largest, roundings
from xportdnn.evaluation.tally import Sums, Tally
from xportdnn.network import Net
from xportdnn.precision import Precision
from xportdnn.simulation.formats import Fixed, Threshold

NET = net_of(CLASSIFIER)
BLOCK = Precision("Xilinx", bw_layer_in=8, bw_layer_out=8, th_layer_in=127.0, th_layer_out=127.0)


def tally(sqnr_db: float | None, count: int = 100, signal: float = 100.0, nonzero: int = 100) -> Tally:
    """One with this SQNR; None: nothing differs."""
    noise = 0.0 if sqnr_db is None else signal / 10 ** (sqnr_db / 10)
    return Tally(Sums().plus(Energy(signal, noise, signal)), count, nonzero, -1.0, 2.0)


def rows_of(levels: Mapping[str, float | None], net: Net = NET, blocks: tuple[str, ...] = ()) -> dict[str, Row]:
    tallies = {by_name(net, name).index: tally(level) for name, level in levels.items()}
    found = rows(net, tallies, {by_name(net, name).index: BLOCK for name in blocks})
    return {row.layer.name: row for row in found}


FALLING = {"data": 50.0, "conv1": 45.0, "relu1": 38.0, "conv2": 36.0, "pool2": 40.0, "prob": 30.0}
ALL = tuple(FALLING)


def test_rows_are_those_of_the_file() -> None:
    assert list(rows_of(FALLING)) == ["data", "conv1", "relu1", "conv2", "pool2", "prob"]


def test_drops() -> None:
    found = {name: row.drop_db for name, row in rows_of(FALLING).items()}
    # that of conv1 stands at the ReLU, which hardware works into it
    expected = {"data": None, "conv1": None, "relu1": 12.0, "conv2": 2.0, "pool2": -4.0, "prob": 10.0}
    assert found == pytest.approx(expected)


def test_a_layer_without_tops_hands_on_what_it_read() -> None:
    levels = {name: level for name, level in FALLING.items() if name != "conv2"}
    assert rows_of(levels)["pool2"].drop_db == pytest.approx(-2.0)


def test_what_was_not_computed_is_none() -> None:
    row = rows_of({"data": 50.0})["conv2"]
    assert (row.sqnr_db, row.drop_db, row.cosine, row.saturated, row.peak, row.dead) == (None,) * 6
    assert not row.identical


def test_what_does_not_differ_is_told_apart() -> None:
    row = rows_of({"data": None})["data"]
    assert row.sqnr_db is None
    assert row.identical


def test_order_of_damage() -> None:
    found = rows_of({"data": None, "conv1": 45.0, "relu1": 38.0, "conv2": 40.0, "pool2": None})
    order = [row.layer.name for row in by_damage(list(found.values()))]
    assert order == ["relu1", "conv2", "conv1", "data", "pool2", "prob"]


def test_the_steepest_drop_is_that_of_a_layer_with_a_block() -> None:
    found = rows_of(FALLING, blocks=("conv1", "relu1", "conv2"))
    worst = steepest(NET, list(found.values()))
    assert worst is not None
    # the Softmax falls by 10 dB without quantizing anything; the ReLU's 12 dB are those of conv1
    assert worst.layer.name == "conv1"
    assert worst.drop_db == pytest.approx(12)


def test_early_drops_far_above_the_end_do_not_count() -> None:
    levels = {"data": 80.0, "conv1": 60.0, "relu1": 50.0, "conv2": 22.0, "pool2": 20.0}
    worst = steepest(NET, list(rows_of(levels, blocks=("relu1", "pool2", "conv2")).values()))
    assert worst is not None
    assert worst.layer.name == "conv2"
    worst = steepest(NET, list(rows_of(levels, blocks=("relu1", "pool2")).values()))
    assert worst is not None
    assert worst.layer.name == "pool2"


def test_nothing_falls() -> None:
    assert steepest(NET, list(rows_of({"data": 10.0, "conv2": 10.0}).values())) is None


def test_rounding_of_a_layer_by_itself() -> None:
    found = {each.row.layer.name: each for each in roundings(NET, list(rows_of(FALLING, blocks=ALL).values()))}
    # ReLU repeats what conv1 says, Softmax is float in this network only for want of a block
    assert list(found) == ["data", "conv1", "conv2", "pool2", "prob"]
    conv1 = found["conv1"]
    assert conv1.stored.layer.name == "relu1"
    # 127 / 127 is a step of 1: noise of 100 / 12 over a signal of 100
    assert conv1.step == 1.0
    assert conv1.alone_db == pytest.approx(10 * math.log10(12))
    assert conv1.share == 1.0
    assert conv1.typical == pytest.approx(1.0)


def test_share_of_the_noise() -> None:
    tallies = {by_name(NET, "pool2").index: tally(0.0, nonzero=30)}
    (found,) = roundings(NET, rows(NET, tallies, {by_name(NET, "pool2").index: BLOCK}))
    # 30 values with a noise of 1 / 12 each, of a noise of 100
    assert found.share == pytest.approx(30 / 12 / 100)


@pytest.mark.parametrize(
    ("form", "expected"), [(Threshold(2.54, 8), 2.54), (Fixed(2, 6), 7.75), (Fixed(-1, 4), 14.0)], ids=repr
)
def test_largest_number(form: Threshold | Fixed, expected: float) -> None:
    assert largest(form) == pytest.approx(expected)


def test_zeros_of_weights_before_and_after_quantization() -> None:
    """Halves of a step are rounded away from zero; what is below becomes 0."""
    conv1, pool2 = (by_name(NET, name) for name in ("conv1", "pool2"))
    weights = np.full((4, 3, 3, 3), 1.0, np.float32)
    weights[0, 0] = 0
    weights[1:3, 0] = 0.24
    block = Precision(bw_params=8, fl_params=1)
    found = rows(NET, {}, {conv1.index: block}, {conv1.index: (weights, np.zeros(4, np.float32))})
    assert found[conv1.index].zeros == (9, 27, 108)
    assert str(found[conv1.index].zeros) == "8.3 % -> 25.0 %"
    assert found[pool2.index].zeros is None


def test_zeros_of_a_layer_in_float() -> None:
    conv1 = by_name(NET, "conv1")
    found = rows(NET, {}, {}, {conv1.index: (np.zeros((4, 3, 3, 3), np.float32),)})
    assert found[conv1.index].zeros == (108, 108, 108)
