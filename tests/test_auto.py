"""Thresholds by what they do to the outputs: judged by pictures that did not choose them, the same for any workers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import board
from tests.small_nets import PLAIN, RESIDUAL, conv, data, layer, net_of, write_net, write_pictures
from xportdnn import api, opening
from xportdnn.auto import search
from xportdnn.auto.judging import aims, error
from xportdnn.calibration import Evidence
from xportdnn.choices import ScaleClasses
from xportdnn.conversion import Conversion
from xportdnn.errors import CalibrationError
from xportdnn.journal import Journal
from xportdnn.layers import Array, Arrays
from xportdnn.opening import Opened
from xportdnn.options import Options

# The last convolution's few large values set the scale of their average, which is small.
AVERAGED = (
    data(1, 3, 16, 18)
    + conv("conv1", "data", "conv1", 8, "kernel_size: 3")
    + layer("relu1", "ReLU", "conv1", "conv1")
    + conv("last", "conv1", "last", 10)
    + layer("last_relu", "ReLU", "last", "last")
    + layer("pool", "Pooling", "last", "pool", "pooling_param { pool: AVE global_pooling: true }")
    + layer("prob", "Softmax", "pool", "prob")
)


def averaged_weights() -> dict[str, Arrays]:
    rng = np.random.default_rng(5)
    weight = rng.standard_normal((10, 8, 1, 1)).astype(np.float32)
    # scores of a few units, between which a Softmax does not choose at once
    return {"last": (weight * np.float32(0.003), np.full(10, -2, np.float32))}


def converted(
    folder: Path, text: str, weights: Mapping[str, Arrays] | None = None, pictures: int = 8, **options: Any
) -> tuple[Conversion, Journal]:
    files = write_net(folder, text, weights)
    net = net_of(text)
    _, _, height, width = net.declared[net.inputs[0]]
    images = write_pictures(folder / "pictures", pictures, (width, height))
    journal = Journal()
    settings = {"calibration_size": pictures, "workers": 1, "threshold_method": "auto", "bitwidths": (6, 6, 6)}
    made = api.convert(
        files.deploy, files.weights, calibration_directory=images, journal=journal, **{**settings, **options}
    )
    return made, journal


def evidence(made: Conversion) -> Evidence:
    assert made.evidence is not None
    return made.evidence


def opened(text: str, folder: Path) -> Opened:
    files = write_net(folder, text)
    journal = Journal()
    net, model = opening.open_weights(opening.open_net(files.deploy, journal), files.weights, journal)
    return opening.complete(net, model, net.declared, journal, strict=False)


def thresholds(made: Conversion) -> dict[str, float]:
    """Blob -> threshold of its last version."""
    return {value.blob: threshold for value, threshold in evidence(made).thresholds.values.items()}


class TestAims:
    def test_the_scores_in_front_of_a_softmax(self, tmp_path: Path) -> None:
        assert [value.blob for value in aims(opened(PLAIN, tmp_path))] == ["fc"]

    def test_every_output(self, tmp_path: Path) -> None:
        text = RESIDUAL + conv("second", "sum", "second", 3)
        assert sorted(value.blob for value in aims(opened(text, tmp_path))) == ["second", "swap"]

    def test_what_an_index_is_read_from(self, tmp_path: Path) -> None:
        text = data(1, 3, 4, 5) + conv("c", "data", "c", 6) + layer("best", "ArgMax", "c", "best")
        assert [value.blob for value in aims(opened(text, tmp_path))] == ["c"]

    def test_nothing_to_judge_by(self, tmp_path: Path) -> None:
        with pytest.raises(CalibrationError, match="no output to judge by"):
            aims(opened(data(1, 3, 4, 5) + layer("x", "Silence", "data", ""), tmp_path))


class TestSearch:
    def test_a_blob_that_is_averaged_afterwards_is_clipped_harder(self, tmp_path: Path) -> None:
        by_error, _ = converted(tmp_path, AVERAGED, averaged_weights(), threshold_method="max", guards=False)
        made, _ = converted(tmp_path, AVERAGED, averaged_weights(), guards=False)
        assert thresholds(made)["last"] < 0.8 * thresholds(by_error)["last"]

    def test_outputs_come_nearer_for_pictures_that_did_not_choose(self, tmp_path: Path) -> None:
        _, journal = converted(tmp_path, AVERAGED, averaged_weights())
        (told,) = (remark.text for remark in journal.remarks if remark.text.startswith("auto: the thresholds of"))
        left = float(told.split("error left is ")[1].split(" %")[0])
        assert 0 < left < 99

    @pytest.mark.parametrize("text", [PLAIN, RESIDUAL, AVERAGED], ids=["plain", "residual", "averaged"])
    def test_the_board_accepts_the_file(self, tmp_path: Path, text: str) -> None:
        made, _ = converted(tmp_path, text)
        assert board.problems(made.text, "Xilinx") == []

    @pytest.mark.parametrize("workers", [2, 3])
    def test_workers_change_nothing(self, tmp_path: Path, workers: int) -> None:
        alone, _ = converted(tmp_path, RESIDUAL, pictures=7)
        together, _ = converted(tmp_path, RESIDUAL, pictures=7, workers=workers)
        assert together.text == alone.text

    def test_a_single_picture_moves_nothing(self, tmp_path: Path) -> None:
        made, journal = converted(tmp_path, PLAIN, pictures=1)
        (told,) = (remark.text for remark in journal.remarks if remark.text.startswith("auto: the thresholds of"))
        rule = told.split("'")[1]
        alone, _ = converted(tmp_path, PLAIN, pictures=1, threshold_method=rule)
        assert made.text == alone.text

    def test_a_network_that_takes_too_long_gets_the_best_rule(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "_EFFORT", 1.0)
        made, journal = converted(tmp_path, AVERAGED, averaged_weights())
        (told,) = (remark.text for remark in journal.remarks if remark.text.startswith("auto: the thresholds of"))
        assert told.endswith("none was moved: the network is too large for a search, or there was one picture")
        alone, _ = converted(tmp_path, AVERAGED, averaged_weights(), threshold_method=told.split("'")[1])
        assert made.text == alone.text

    def test_a_threshold_of_the_users_stays(self, tmp_path: Path) -> None:
        overrides = tmp_path / "overrides.json"
        overrides.write_text('{"last": {"threshold": 7.25}}', encoding="utf-8")
        made, _ = converted(tmp_path, AVERAGED, averaged_weights(), overrides=overrides, guards=False)
        assert thresholds(made)["last"] == 7.25

    def test_blobs_of_zeros_keep_their_safe_threshold(self, tmp_path: Path) -> None:
        zeros: Array = np.zeros((8, 3, 3, 3), np.float32)
        made, _ = converted(tmp_path, AVERAGED, {"conv1": (zeros, np.zeros(8, np.float32))}, guards=False)
        assert thresholds(made)["conv1"] == 1.0


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({}, ("auto", "mse")),
        ({"scale_classes": ScaleClasses.ORIGINAL}, ("xilinx", "max")),
        ({"threshold_method": "kl", "params_method": "max"}, ("kl", "max")),
    ],
    ids=["by default", "as the original", "asked for"],
)
def test_the_rule_that_is_taken(options: dict[str, Any], rules: tuple[str, str]) -> None:
    made = Options("deploy.prototxt", "net.caffemodel", calibration_directory="pictures", **options)
    assert (made.rule, made.params_rule) == rules


def test_scores_that_are_the_same_have_no_error() -> None:
    """Whatever rounding makes of their probabilities: a search must not gain by it."""
    net = net_of(AVERAGED)
    pool = next(layer for layer in net.layers if layer.name == "pool")
    rng = np.random.default_rng(3)
    for _ in range(50):
        scores = (rng.standard_normal((1, 10, 1, 1)) * 300).astype(np.float32)
        assert error(net, pool.tops[0], scores, scores) == 0
        assert error(net, pool.tops[0], np.nextafter(scores, np.float32(np.inf)), scores) >= 0
