"""What the forward shows the guards: the peaks of every convolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.guarding.nets import by_method
from tests.small_nets import RESIDUAL, by_name, write_net, write_pictures
from xportdnn import api, calibrate, execute, plan, scales
from xportdnn.choices import Matrix, ScaleClasses
from xportdnn.guards.convolutions import convolutions
from xportdnn.network import Value, runnable


@by_method
def test_peaks_are_those_before_the_relu(tmp_path: Path, method: str) -> None:
    files = write_net(tmp_path, RESIDUAL)
    pictures = write_pictures(tmp_path / "pictures", 3, (9, 8))
    made = api.convert(
        files.deploy, files.weights, calibration_directory=pictures, threshold_method="max", workers=1, guards=False
    )
    assert made.evidence is not None
    opened, net = made.opened, made.opened.net
    weights = execute.load(net.layers, opened.weights)
    watched = [each.top for each in convolutions(net, runnable(net, opened.inputs))]
    assert [each.blob for each in watched] == ["stem", "left", "right"]
    assert watched[1].writer == by_name(net, "left_scale").index
    classes = scales.classes(net.layers, ScaleClasses.BOARD)
    needed = plan.needed(net, Matrix.GUIDE, classes)
    without = calibrate.stream(opened, weights, made.evidence.pictures, classes, needed)
    for workers in (1, 2):
        seen = calibrate.stream(
            opened, weights, made.evidence.pictures, classes, needed, workers=workers, watched=watched
        )
        expected: dict[Value, float] = dict.fromkeys(watched, 0.0)
        for feeds in made.evidence.pictures:
            for step in execute.run(net, weights, feeds):
                for top, array in zip(step.layer.tops, step.tops, strict=False):
                    if top in expected:
                        expected[top] = max(expected[top], float(np.abs(array).max()))
        assert seen.peaks == {each: pytest.approx(peak, rel=1e-5) for each, peak in expected.items()}
        # and to look at them changes nothing of what decides
        assert seen.statistics.keys() == without.statistics.keys()
        for root, found in seen.statistics.items():
            assert (found.minimum, found.maximum) == (
                without.statistics[root].minimum,
                without.statistics[root].maximum,
            )
            np.testing.assert_array_equal(found.counts, without.statistics[root].counts)
