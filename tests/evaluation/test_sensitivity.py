"""Networks of which only a part is quantized."""

from __future__ import annotations

import pytest

from tests.evaluation.nets import CLASSIFIER
from tests.small_nets import by_name, net_of
from xportdnn import precision
from xportdnn.choices import Mode, Side
from xportdnn.errors import UsageError
from xportdnn.evaluation.metrics import Energy
from xportdnn.evaluation.outputs import Verdict
from xportdnn.evaluation.sensitivity import Part, effects, of_side, parts, ranked
from xportdnn.evaluation.share import Probed
from xportdnn.precision import Precision, Ristretto

NET = net_of(CLASSIFIER)
WEIGHTED = Precision(
    "Xilinx", bw_layer_in=8, bw_layer_out=8, bw_params=6, th_layer_in=1.0, th_layer_out=2.0, th_params=(0.5, 0.25)
)
BARE = Precision(bw_layer_in=8, bw_layer_out=8, th_layer_in=2.0, th_layer_out=2.0)
SCALE = Precision(fl_layer_in=2, fl_layer_out=3, scale_gamma_fl=4, scale_gamma_bw=8)


def test_weights_only() -> None:
    assert WEIGHTED.only(Side.WEIGHTS) == Precision("Xilinx", bw_params=6, th_params=(0.5, 0.25))
    assert SCALE.only(Side.WEIGHTS) == Precision(scale_gamma_fl=4, scale_gamma_bw=8)
    assert BARE.only(Side.WEIGHTS) is None


def test_activations_only() -> None:
    expected = Precision("Xilinx", bw_layer_in=8, bw_layer_out=8, th_layer_in=1.0, th_layer_out=2.0)
    assert WEIGHTED.only(Side.ACTIVATIONS) == expected
    assert SCALE.only(Side.ACTIVATIONS) == Precision(fl_layer_in=2, fl_layer_out=3)
    kept = BARE.only(Side.ACTIVATIONS)
    assert kept is not None
    assert kept.mode is Mode.XILINX
    assert Precision("Xilinx", bw_params=8, th_params=(1.0,)).only(Side.ACTIVATIONS) is None


def test_blocks_without_anything_left_go() -> None:
    assert list(precision.only({1: WEIGHTED, 2: BARE}, Side.WEIGHTS)) == [1]
    assert list(precision.only({1: WEIGHTED, 2: BARE}, Side.ACTIVATIONS)) == [1, 2]


def test_ristretto_cannot_leave_a_side_out() -> None:
    with pytest.raises(UsageError, match="Ristretto"):
        precision.only({1: Ristretto()}, Side.WEIGHTS)


def test_parts() -> None:
    indices = {name: by_name(NET, name).index for name in ("conv1", "relu1", "pool2")}
    found = list(parts(NET, dict.fromkeys(indices.values(), WEIGHTED)))
    # the ReLU only repeats the format of conv1
    assert [part.name for part in found] == ["conv1", "pool2", "all weights", "all activations"]
    assert found[0].blocks == {indices["conv1"]: WEIGHTED}
    assert list(found[2].blocks) == list(indices.values())


def test_parts_of_ristretto_have_no_sides() -> None:
    assert [part.name for part in parts(NET, {by_name(NET, "conv1").index: Ristretto()})] == ["conv1"]


def probed(noise: float, second: int, rank: int | None = None) -> Probed:
    return Probed((Energy(1.0, noise, 1.0), Energy(1.0, 1e-3, 1.0)), Verdict(0, 1, second, 0, rank, False, 0.0))


def test_effects() -> None:
    part = Part(by_name(NET, "conv1"), None, {})
    (found,) = effects([part], {0: [probed(0.01, 1, 0)], 1: [probed(0.03, 2, 4)]}, [0])
    # 2 over 0.04
    assert found.sqnr_db == pytest.approx(16.9897, abs=1e-4)
    assert found.agreement_top1 == 50.0
    assert found.top1 == 50.0
    assert not found.identical


def test_effects_on_several_outputs_are_their_mean() -> None:
    part = Part(by_name(NET, "conv1"), None, {})
    (found,) = effects([part], {0: [probed(0.01, 1)]}, [0, 1])
    assert found.sqnr_db == pytest.approx((20 + 30) / 2)
    assert found.top1 is None


def test_order() -> None:
    tried = [Part(by_name(NET, name), None, {}) for name in ("data", "conv1", "conv2")]
    tried.append(Part(None, Side.WEIGHTS, {}))
    found = effects(tried, {0: [probed(noise, 1) for noise in (0.0, 0.01, 0.1, 0.5)]}, [0])
    assert [effect.part.name for effect in ranked(found)] == ["conv2", "conv1", "data"]
    assert of_side(found, Side.WEIGHTS) is found[3]
    assert of_side(found, Side.ACTIVATIONS) is None
