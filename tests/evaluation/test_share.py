"""Float and quantized in lockstep, with stand-ins for the simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.nets import CLASSIFIER, bench, stand_in
from tests.small_nets import by_name, conv, data, layer
from xportdnn.errors import CalibrationError
from xportdnn.evaluation.metrics import energy
from xportdnn.evaluation.share import Bench, Feeds, Seen, Share, merged
from xportdnn.execute import Step, run
from xportdnn.layers import Arrays
from xportdnn.simulation import Simulated


def same(step: Step) -> Arrays:
    return step.tops


def halved(step: Step) -> Arrays:
    return tuple(top * np.float32(0.5) for top in step.tops)


def seen(made: Bench) -> Seen:
    return Share(made, range(len(made.pictures))).measure()


def test_nothing_differs() -> None:
    found = seen(bench(CLASSIFIER, same, 3, ["prob"], "prob"))
    assert found.pictures == [0, 1, 2]
    assert [tally.sums.noise for tally in found.layers.values()] == [0] * 6
    assert all(verdict.first == verdict.second for verdict in found.verdicts)


def test_sums_are_those_of_all_pictures() -> None:
    made = bench(CLASSIFIER, halved, 3, ["prob"], "prob")
    found = seen(made)
    pool = by_name(made.net, "pool2")
    tops = [
        step.tops[0] for feeds in made.pictures for step in run(made.net, made.weights, feeds) if step.layer is pool
    ]
    expected = [energy(top, top * np.float32(0.5)) for top in tops]
    assert found.layers[pool.index].sums.energy == pytest.approx(np.sum(expected, axis=0), rel=1e-12)
    assert found.layers[pool.index].count == 3 * 7


def test_what_is_kept_of_outputs() -> None:
    made = bench(CLASSIFIER, halved, 3, ["prob"], "prob", labels=[6, 0, 3])
    found = seen(made)
    (value,) = made.outputs
    assert sorted(found.errors[value]) == [0, 1, 2]
    assert [verdict.picture for verdict in found.verdicts] == [0, 1, 2]
    # half of every score is the same order
    assert [verdict.first_rank for verdict in found.verdicts] == [verdict.second_rank for verdict in found.verdicts]
    assert found.answers[value].signal_varies
    assert found.answers[value].quantized_varies


def test_layers_that_are_not_simulated_are_not_compared() -> None:
    made = bench(CLASSIFIER, same, 1, ["prob"], "prob")
    whole = made.quantized[0]

    def partly(feeds: Feeds) -> Iterator[Simulated]:
        return (each for each in whole(feeds) if each.layer.name != "conv2")

    found = seen(replace(made, quantized=[partly]))
    assert by_name(made.net, "conv2").index not in found.layers
    assert by_name(made.net, "pool2").index in found.layers


def test_tops_that_hardware_does_not_have_are_not_compared() -> None:
    def folded(step: Step) -> Arrays:
        return () if step.layer.name == "conv1" else step.tops

    made = bench(CLASSIFIER, folded, 1, ["prob"], "prob")
    made = replace(made, quantized=[stand_in(made.net, made.weights, folded, saturated=2)])
    tally = seen(made).layers[by_name(made.net, "conv1").index]
    assert tally.count == 0
    assert tally.saturated == 2


def test_nan_in_the_float_network_is_named() -> None:
    made = bench(CLASSIFIER, same, 1, ["prob"], "prob")
    index = by_name(made.net, "conv2").index
    broken: dict[int, Arrays] = dict(made.weights)
    broken[index] = tuple(np.full_like(blob, np.nan) for blob in broken[index])
    made = replace(made, weights=broken, quantized=[stand_in(made.net, broken, same)])
    with pytest.raises(CalibrationError, match=r'layer "conv2" .* 84 values of 84 that are NaN'):
        seen(made)


def test_nan_in_the_quantized_network_is_named() -> None:
    def broken(step: Step) -> Arrays:
        return tuple(top * np.float32(np.nan) for top in step.tops) if step.layer.name == "conv2" else step.tops

    with pytest.raises(CalibrationError, match=r'layer "conv2" .*: the quantized network gives NaN'):
        seen(bench(CLASSIFIER, broken, 1, ["prob"], "prob"))


def test_histograms_only_where_they_are_wanted() -> None:
    made = bench(CLASSIFIER, same, 2, ["prob"], "prob", histograms=True)
    assert all(tally.histogram is not None for tally in seen(made).layers.values())
    assert all(tally.histogram is None for tally in seen(replace(made, histograms=False)).layers.values())


@pytest.mark.parametrize("shares", [[[0, 1, 2, 3, 4]], [[0, 2, 4], [1, 3]], [[4], [0, 1], [2, 3]]], ids=str)
def test_shares_merge_to_the_whole(shares: Sequence[Sequence[int]]) -> None:
    made = bench(CLASSIFIER, halved, 5, ["prob"], "prob", labels=[0, 1, 2, 3, 4])
    whole, parts = seen(made), [Share(made, share).measure() for share in shares]
    together = parts[0]
    for part in parts[1:]:
        together = merged(together, part)
    assert sorted(together.pictures) == whole.pictures
    assert sorted(together.verdicts) == whole.verdicts
    assert together.errors == whole.errors
    for index, tally in whole.layers.items():
        assert together.layers[index].sums == tally.sums
        assert together.layers[index].count == tally.count


def test_indices_and_boxes_are_no_quantities() -> None:
    text = CLASSIFIER + layer("best", "ArgMax", "prob", "best")
    made = bench(text, halved, 1, ["prob"], "prob")
    found = seen(made)
    assert found.layers[by_name(made.net, "best").index].count == 0


def test_probes_look_at_outputs_only() -> None:
    made = bench(CLASSIFIER, same, 2, ["prob"], "prob", labels=[0, 1])
    made = replace(made, quantized=[*made.quantized, stand_in(made.net, made.weights, halved)])
    found = Share(made, [0, 1]).probe(1)
    assert sorted(found) == [0, 1]
    (probed,) = found[0]
    (error,) = probed.errors
    # half of the signal is noise: a quarter of its energy
    assert error.noise == pytest.approx(error.signal / 4)
    assert probed.verdict is not None
    assert probed.verdict.first == probed.verdict.second


def test_dense_outputs_have_no_verdict() -> None:
    made = bench(data(1, 3, 4, 5) + conv("conv", "data", "conv", 2), halved, 2, ["conv"])
    found = seen(made)
    assert found.verdicts == []
    assert found.outputs[made.outputs[0]].count == 2 * 2 * 4 * 5
