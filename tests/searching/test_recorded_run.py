"""A complete run of `ristretto quantize`, in all three modes: the same formats, the same scores, the same widths.

Of its minifloats the scores differ: Ristretto's CPU code stops trimming a blob of a whole batch at its first zero
(`arithmetic.minifloat`). The widths come out the same all the same.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from xportdnn import execute, precision
from xportdnn.arithmetic.rounding import half_away
from xportdnn.choices import TRIMMING_MODES
from xportdnn.evaluation.outputs import outputs, scores_of
from xportdnn.journal import Journal
from xportdnn.layers import Array
from xportdnn.network import runnable
from xportdnn.opening import Opened, complete, open_net, open_weights
from xportdnn.precision import Ristretto
from xportdnn.searching.bench import bench
from xportdnn.searching.command import climb
from xportdnn.searching.ladder import Joint, Ladder
from xportdnn.searching.lengths import Lengths, lengths
from xportdnn.searching.metric import Judge, Metric, Score
from xportdnn.searching.networks import simulation
from xportdnn.searching.share import Job
from xportdnn.searching.widths import FLOAT, Part, Widths
from xportdnn.simulation import Simulation
from xportdnn.simulation.trimmed import trimmed

TOOL = Path(__file__).parents[3] / "shared" / "golden" / "ristretto" / "quantize_tool"
SIZE = (2, 12, 12)
HEADER = 2048  # of these HDF5 files: one float32 array "data" follows, and one "label"

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="the recorded run lies in ../shared, which is absent")


def pictures(name: str, count: int) -> tuple[Array, list[int]]:
    """What an HDF5Data layer fed, (count, channels, height, width), and the labels."""
    raw = (TOOL / name).read_bytes()
    size = count * int(np.prod(SIZE))
    assert len(raw) == HEADER + 4 * (size + count)
    data = np.frombuffer(raw, "<f4", size, HEADER).reshape(count, *SIZE)
    labels = np.frombuffer(raw, "<f4", count, HEADER + 4 * size)
    return data.astype(np.float32), [int(label) for label in labels]


class Ran(NamedTuple):
    """What our search made of the same network and pictures."""

    opened: Opened
    formats: Lengths
    ladders: tuple[Ladder, ...]
    steps: tuple[Joint, ...]
    baseline: Score
    blocks: dict[int, Ristretto]


@lru_cache(maxsize=3)
def ran(mode: str) -> Ran:
    journal = Journal()
    net, model = open_weights(
        open_net(TOOL / "deploy_fp32" / "deploy.prototxt", journal), TOOL / "weights.caffemodel", journal
    )
    (target,) = net.inputs
    opened = complete(net, model, {target: (1, *SIZE)}, journal, strict=True)
    weights = execute.load(runnable(net, opened.inputs), opened.weights)
    train, _ = pictures("train.h5", 600)
    test, labels = pictures("test.h5", 400)
    # ten batches of 50
    seen = [{target: picture[np.newaxis]} for picture in train[:500]]
    formats = lengths(opened, weights, seen, mode, "ristretto", lambda: None, 1)
    found = outputs(net, opened.shapes)

    def build(widths: Widths) -> Simulation:
        return simulation(opened, weights, formats, widths)

    fed = [{target: picture[np.newaxis]} for picture in test]
    job = Job(opened, weights, fed, labels, found, scores_of(net, found, opened.shapes), True, build)
    with bench(job, 1, lambda: None) as ready:
        ladders, steps = climb(ready, formats, Judge(Metric.TOP1, 1.0, ready.baseline))
        return Ran(opened, formats, ladders, steps, ready.baseline, formats.blocks(steps[-1].widths))


def recorded_scores(mode: str) -> tuple[float, list[list[tuple[int, float]]]]:
    """The baseline and the ladders of the log's report, in per cent."""
    log = (TOOL / f"quantize_{mode}.log").read_text()
    lines = [
        line.split("] ", 1)[1] for line in log[log.index("Network accuracy analysis") :].splitlines() if "] " in line
    ]
    (baseline,) = (float(line.rsplit(maxsplit=1)[1]) for line in lines if line.startswith("Baseline"))
    ladders: list[list[tuple[int, float]]] = [[]]
    for line in lines:
        if found := re.match(r"(\d+)bit: \s*([\d.]+)$", line):
            ladders[-1].append((int(found[1]), 100 * float(found[2])))
        elif ladders[-1]:
            ladders.append([])
    return 100 * baseline, [ladder for ladder in ladders if ladder]


@pytest.mark.parametrize("mode", TRIMMING_MODES)
def test_the_formats_are_those_of_the_recorded_prototxt(mode: str) -> None:
    """And with them the chosen widths."""
    found = ran(mode)
    recorded = precision.read(open_net(TOOL / f"deploy_{mode}" / "deploy.prototxt", Journal()))
    assert found.blocks == recorded


@pytest.mark.parametrize("mode", TRIMMING_MODES)
def test_the_baseline(mode: str) -> None:
    baseline, _ = recorded_scores(mode)
    assert ran(mode).baseline.top1 == pytest.approx(baseline)


@pytest.mark.parametrize("mode", ["dynamic_fixed_point", "integer_power_of_2_weights"])
def test_every_rung_has_the_recorded_score(mode: str) -> None:
    """With 4 bits classes have equal scores, which Caffe's Accuracy and ours tell apart differently."""
    _, recorded = recorded_scores(mode)
    ours = [[(rung.bits, rung.score.top1) for rung in ladder.rungs] for ladder in ran(mode).ladders]
    assert [[bits for bits, _ in ladder] for ladder in ours] == [[bits for bits, _ in ladder] for ladder in recorded]
    for ladder, theirs in zip(ours, recorded, strict=True):
        for (bits, score), (_, expected) in zip(ladder, theirs, strict=True):
            tied = ladder is ours[-1] and bits == 4 and mode == "dynamic_fixed_point"
            assert score == pytest.approx(expected, abs=2.0 if tied else 1e-6)


def answers(found: Ran, widths: Widths) -> tuple[Array, list[int]]:
    """The probabilities of all test pictures, (count, classes), and the labels.

    Beside activations weights have 32 bits here as in Ristretto, 16 of them fractional: not quite float.
    """
    test, labels = pictures("test.h5", 400)
    opened = found.opened
    weights = execute.load(runnable(opened.net, opened.inputs), opened.weights)
    for index in found.formats.blocks(widths):
        if widths.weights(opened.net.layers[index]) == FLOAT > widths.activations:
            weights[index] = trimmed(opened.net.layers[index], weights[index], Ristretto(), half_away).blobs
    (target,) = opened.inputs
    *_, last = simulation(opened, weights, found.formats, widths).run({target: test})
    return last.tops[0], labels


def test_ties_as_caffe_counts_them() -> None:
    """A label is right only if no other class has as good a score (accuracy_layer.cpp): the rung that differs above."""
    probabilities, labels = answers(ran("dynamic_fixed_point"), Widths(activations=4))
    as_good = probabilities >= probabilities[np.arange(400), labels][:, np.newaxis]
    assert 100 * np.mean(as_good.sum(axis=1) == 1) == pytest.approx(91.0)


def test_the_recorded_losses() -> None:
    """A finer measure than accuracy: of every rung the mean of -log p, and of all parts together."""
    found = ran("dynamic_fixed_point")
    log = (TOOL / "quantize_dynamic_fixed_point.log").read_text()
    recorded = [float(loss) for loss in re.findall(r"\] loss = ([\d.]+) \(", log)]
    rungs = [Widths().at(ladder.parts, rung.bits) for ladder in found.ladders for rung in ladder.rungs]
    # the second is that of the pictures which the ranges are from
    for widths, expected in zip([Widths(), *rungs, found.steps[0].widths], [recorded[0], *recorded[2:]], strict=True):
        probabilities, labels = answers(found, widths)
        loss = -np.log(np.maximum(probabilities[np.arange(400), labels], np.finfo(np.float32).tiny)).mean()
        assert loss == pytest.approx(expected, rel=5e-5), widths


def test_the_joint_score() -> None:
    log = (TOOL / "quantize_dynamic_fixed_point.log").read_text()
    (recorded,) = re.findall(r"\] Accuracy: ([\d.]+)", log)
    first = ran("dynamic_fixed_point").steps[0]
    assert first.widths == Widths(4, 4, 8)
    assert first.score.top1 == pytest.approx(100 * float(recorded))


def test_minifloats_differ_by_less_than_the_defect() -> None:
    _, (recorded,) = recorded_scores("minifloat")
    (ladder,) = ran("minifloat").ladders
    assert ladder.parts == tuple(Part)
    assert [rung.bits for rung in ladder.rungs] == [bits for bits, _ in recorded]
    for rung, (_, score) in zip(ladder.rungs, recorded, strict=True):
        assert rung.score.top1 == pytest.approx(score, abs=1.0)


def test_the_integer_lengths_of_the_log() -> None:
    found = ran("dynamic_fixed_point")
    log = (TOOL / "quantize_dynamic_fixed_point.log").read_text()
    pattern = (
        r"Layer (\w+), integer length input=(-?\d+), integer length output=(-?\d+), integer length parameters=(-?\d+)"
    )
    recorded = {name: tuple(map(int, rest)) for name, *rest in re.findall(pattern, log)}
    ours = {
        found.opened.net.layers[index].name: (16 - block.fl_layer_in, 16 - block.fl_layer_out, 16 - block.fl_params)
        for index, block in found.formats.blocks(Widths(16, 16, 16)).items()
    }
    assert ours == recorded
