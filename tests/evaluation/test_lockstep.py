"""Both ways to run the networks of an evaluation measure the same; what only moves is not measured twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.nets import pictures_of, shapes_of, weights_of
from tests.small_nets import by_name, conv, data, layer, net_of
from xportdnn.choices import Arithmetic
from xportdnn.engine.choice import Exact
from xportdnn.evaluation.lockstep import ByEngine, ByRules
from xportdnn.evaluation.metrics import Look, look
from xportdnn.evaluation.share import Bench, Share
from xportdnn.layers import Array, Shape
from xportdnn.network import Net
from xportdnn.precision import Precision
from xportdnn.simulation import Simulation, prepare
from xportdnn.simulation.planned import Planned, forward, planned

NET = net_of(
    data(1, 3, 10, 12)
    + conv("stem", "data", "stem", 4, "kernel_size: 3")
    + layer("stem_relu", "ReLU", "stem", "stem")
    + layer("ways", "Split", "stem", "one two")
    + conv("left", "one", "left", 5, "kernel_size: 3 pad: 1")
    + conv("right", "two", "right", 7)
    + layer("join", "Concat", "left right", "join")
    + layer("drop", "Dropout", "join", "join")
    + layer("pool", "Pooling", "join", "pool", "pooling_param { pool: AVE global_pooling: true }")
    + layer("prob", "Softmax", "pool", "prob")
)
MOVING = ("ways", "join", "drop")


def formats(net: Net, bits: int) -> dict[int, Precision]:
    """One threshold for all values but the network's answer."""
    outputs = {each.name: int(each.params.num_output) for each in net.layers if each.type == "Convolution"}
    return {
        each.index: Precision(
            "Xilinx",
            bits,
            bits,
            bits,
            th_layer_in=80.0,
            th_layer_out=80.0,
            th_params=(2.0,) * outputs.get(each.name, 0),
        )
        for each in net.layers
        if each.type != "Softmax"
    }


def simulation(blocks: dict[int, Precision]) -> Simulation:
    return prepare(NET, weights_of(NET), blocks, Arithmetic.FAKE, NET.declared)


def bench(*blocks: dict[int, Precision]) -> Bench:
    """Networks with these formats by the engine; without `engine`, by the reference rules."""
    simulations = [simulation(each) for each in blocks]
    kernels = Exact()
    networks = [planned(each, shapes_of(NET), NET.inputs, kernels) for each in simulations]
    assert all(isinstance(each, Planned) for each in networks)
    floats = forward(NET, weights_of(NET), shapes_of(NET), NET.inputs, kernels)
    (prob,) = NET.layers[-1].tops
    return Bench(
        NET,
        weights_of(NET),
        pictures_of(NET, 3),
        [None] * 3,
        [each.run for each in simulations],
        (prob,),
        prob,
        True,
        engine=ByEngine(floats, [each for each in networks if each is not None]),
    )


def test_both_ways_measure_the_same() -> None:
    made = bench(formats(NET, 8))
    ours, theirs = (Share(each, range(3)).measure() for each in (made, replace(made, engine=None)))
    assert ours.layers.keys() == theirs.layers.keys()
    for index, tally in theirs.layers.items():
        found = ours.layers[index]
        assert (found.count, found.nonzero, found.saturated) == (tally.count, tally.nonzero, tally.saturated)
        assert found.sums.energy == pytest.approx(tally.sums.energy, rel=1e-3)
        assert (found.minimum, found.maximum) == pytest.approx((tally.minimum, tally.maximum), rel=1e-5)
    assert [verdict[:2] for verdict in ours.verdicts] == [verdict[:2] for verdict in theirs.verdicts]


def test_both_ways_probe_the_same() -> None:
    made = bench(formats(NET, 8), {1: formats(NET, 8)[1]}, {4: formats(NET, 8)[4]}, {})
    ours, theirs = (Share(each, range(3)).probe(1) for each in (made, replace(made, engine=None)))
    for picture, probed in theirs.items():
        for one, two in zip(ours[picture], probed, strict=True):
            assert one.errors[0] == pytest.approx(two.errors[0], rel=1e-3)
        assert ours[picture][2].errors[0].noise == 0  # nothing is quantized


def test_what_only_moves_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Shape] = []

    def noting(signal: Array, quantized: Array) -> Look:
        looked.append(signal.shape)
        return look(signal, quantized)

    monkeypatch.setattr("xportdnn.evaluation.share.look", noting)
    found = Share(bench(formats(NET, 8)), [0]).measure()
    assert len(looked) == len(NET.layers) - len(MOVING)
    for name in MOVING:
        assert found.layers[by_name(NET, name).index].count > 0


def test_what_moves_into_another_format_is_looked_at() -> None:
    join = by_name(NET, "join")
    own = formats(NET, 8) | {join.index: Precision("Xilinx", 8, 4, th_layer_in=80.0, th_layer_out=80.0)}
    found = Share(bench(own), [0]).measure()
    parts = [found.layers[by_name(NET, name).index].sums.noise for name in ("left", "right")]
    assert found.layers[join.index].sums.noise * 10 > 12 * sum(parts)


def test_by_rules_nothing_is_known_to_move() -> None:
    assert not any(ByRules(NET, {}, []).moves(each) for each in NET.layers)


def test_by_engine_twins_measure_the_same() -> None:
    made = bench(formats(NET, 8), {1: formats(NET, 8)[1]})
    first, second = (Share(made, range(3)) for _ in range(2))
    together = (each.networks.together(made.pictures[0]) for each in (first, second))
    for (one, _), (two, _) in zip(*together, strict=True):
        for value, array in one.items():
            np.testing.assert_array_equal(array, two[value])
            assert not np.may_share_memory(array, two[value])
