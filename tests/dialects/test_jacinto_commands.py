"""caffe-jacinto's prototxt in `simulate` and `evaluate`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.dialects.jacinto_nets import converted
from tests.simulation.quantized import feeds_of
from tests.small_nets import PLAIN, Files, write_net
from xportdnn import api, cli
from xportdnn.choices import Arithmetic
from xportdnn.dialects import jacinto
from xportdnn.errors import InputError, UsageError
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.run import evaluate
from xportdnn.journal import Journal
from xportdnn.simulation.command import SimulationOptions, simulate_files
from xportdnn.simulation.jacinto import prepare

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "sample_models" / "digits_residual"


def written(folder: Path) -> Files:
    files = write_net(folder, PLAIN)
    target = folder / "jacinto.prototxt"
    target.write_text(converted(files), encoding="utf-8")
    return Files(target, files.weights)


def test_simulate_writes_what_prepare_gives(tmp_path: Path) -> None:
    files = written(tmp_path)
    array = np.random.default_rng(3).normal(size=(2, 3, 10, 12)).astype(np.float32)
    np.save(tmp_path / "in.npy", array)
    blobs = tmp_path / "blobs"
    arguments = ["simulate", *files.arguments, "--input", str(tmp_path / "in.npy"), "--blobs_dir", str(blobs)]
    assert cli._run(arguments, False) == 0
    network = api.read(files.deploy, files.weights)
    weights = {
        each.index: tuple(
            blob.values() for stored in network.model.layers if stored.name == each.name for blob in stored.blobs
        )
        for each in network.net.layers
    }
    wanted = jacinto.read(network.net)
    assert wanted is not None
    simulation, feeds = prepare(network.net, weights, wanted, feeds_of(network.net, {"data": array}))
    for step in simulation.run(feeds):
        np.testing.assert_array_equal(np.load(blobs / f"{step.layer.name}.npy"), step.tops[0])


@pytest.mark.parametrize("arithmetic", [Arithmetic.INTEGER, Arithmetic.CHAIDNN], ids=lambda each: each.value)
def test_only_fake(arithmetic: Arithmetic, tmp_path: Path) -> None:
    files = written(tmp_path)
    np.save(tmp_path / "in.npy", np.ones((1, 3, 10, 12), np.float32))
    options = SimulationOptions(
        str(files.deploy), str(files.weights), (str(tmp_path / "in.npy"),), blobs_dir=str(tmp_path / "b"),
        arithmetic=arithmetic,
    )  # fmt: skip
    with pytest.raises(UsageError, match="use fake"):
        simulate_files(options, Journal())


def test_evaluate_says_that_it_cannot(tmp_path: Path) -> None:
    files = written(tmp_path)
    with pytest.raises(InputError, match="`xportdnn simulate` takes this file"):
        evaluate(EvaluationOptions(str(files.deploy), str(files.weights), str(ROOT / "calibration" / "shapes")))


def test_a_trained_network_keeps_its_classes(tmp_path: Path) -> None:
    """12-bit weights and 8-bit blobs with its defaults: the same class for 39 of 40 pictures at least."""
    files = Files(DIGITS / "deploy.prototxt", DIGITS / "digits_residual.caffemodel")
    quantized = tmp_path / "jacinto.prototxt"
    quantized.write_text(converted(files), encoding="utf-8")
    steps = ["--mean_value", "0", "--input_scale", str(1 / 256), "--images_size", "40"]
    pictures = ["--images", str(ROOT / "calibration" / "digits_test")]
    done = ["simulate", "--deploy_model", str(quantized), "--weights", str(files.weights)]
    assert cli._run([*done, *pictures, *steps, "--blobs_dir", str(tmp_path / "quantized")], False) == 0
    off = quantized.read_text(encoding="utf-8").replace("quantize_weights: true", "quantize_weights: false")
    quantized.write_text(off.replace("quantize_activations: true", "quantize_activations: false"), encoding="utf-8")
    assert cli._run([*done, *pictures, *steps, "--blobs_dir", str(tmp_path / "float")], False) == 0
    found, wanted = (np.load(tmp_path / name / "prob.npy").argmax(axis=1) for name in ("quantized", "float"))
    assert int((found == wanted).sum()) >= 39
