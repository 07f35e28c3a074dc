"""The sample networks on their labelled pictures: what quantization costs at each level."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.simulation.quantized import feeds_of
from tests.small_nets import net_of
from xportdnn import execute, precision
from xportdnn.api import convert
from xportdnn.errors import NetworkError
from xportdnn.journal import Journal
from xportdnn.layers import Array, Arrays
from xportdnn.network import Net
from xportdnn.opening import complete, open_net, open_weights
from xportdnn.options import Options
from xportdnn.pictures import calibration_set
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation import Arithmetic, simulate

ROOT = Path(__file__).parents[2]
SAMPLES = {
    "digits_plain": "digits",
    "digits_residual": "digits",
    "shapes_inception": "shapes",
    "shapes_depthwise": "shapes",
}
# Q.F formats fit inputs between 0 and 1; the other networks read pixels, for which one triple is too few
DIGITS = ["digits_plain", "digits_residual"]
# LRN is no layer of the board
ON_THE_BOARD = ["digits_plain", "digits_residual", "shapes_depthwise"]


@dataclass(frozen=True)
class Sample:
    """A quantized sample network with its test pictures."""

    net: Net
    weights: dict[int, Arrays] = field(repr=False)
    blocks: dict[int, Precision | Ristretto] = field(repr=False)
    pictures: Array = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)

    def classes(self, arithmetic: Arithmetic | None) -> NDArray[np.int64]:
        """What it says of every picture; None: in float."""
        feeds = feeds_of(self.net, {"data": self.pictures})
        last: Arrays = ()
        if arithmetic is None:
            for step in execute.run(self.net, self.weights, feeds):
                last = step.tops
        else:
            for simulated in simulate(self.net, self.weights, self.blocks, feeds, arithmetic):
                last = simulated.tops
        (prob,) = last
        positions = prob.reshape(len(prob), -1, prob.shape[-1])
        return np.asarray(positions.mean(axis=1).argmax(axis=1))

    def accuracy(self, arithmetic: Arithmetic | None) -> float:
        """In per cent."""
        return 100 * float(np.mean(self.classes(arithmetic) == self.labels))


@cache
def sample(name: str, mode: str) -> Sample:
    kind = SAMPLES[name]
    deploy, weights = (ROOT / "sample_models" / name / file for file in ("deploy.prototxt", f"{name}.caffemodel"))
    scale = 1 / 256 if kind == "digits" else 1.0
    if mode == "Xilinx":
        folder = ROOT / "calibration" / kind
        converted = convert(
            deploy, weights, bitwidths=(8, 8, 8), calibration_directory=folder, calibration_size=16, input_scale=scale,
            threshold_method="mse", workers=1,
        )  # fmt: skip
    else:
        converted = convert(deploy, weights, quant_type=mode, bitwidths=(8, 8, 8), fl_bitwidths=(4, 6, 4))
    tests = ROOT / "calibration" / f"{kind}_test"
    options = Options(
        str(deploy), str(weights), calibration_directory=str(tests), calibration_size=200, input_scale=scale
    )
    net = net_of(converted.text)
    pictures, _ = calibration_set(options, net, Journal())
    batch = np.concatenate([feeds[pictures.target] for feeds in pictures])
    said = dict(line.split() for line in tests.with_suffix(".labels.txt").read_text().splitlines())
    labels = np.array([int(said[picture.name]) for picture in pictures.choice.pictures])
    opened_net, model = open_weights(open_net(deploy, Journal()), weights, Journal())
    opened = complete(opened_net, model, {opened_net.inputs[0]: batch.shape}, Journal(), strict=True)
    return Sample(net, execute.load(net.layers, opened.weights), precision.read(net), batch, labels)


@pytest.mark.parametrize("name", SAMPLES)
def test_fake_loses_no_more_than_two_points(name: str) -> None:
    found = sample(name, "Xilinx")
    assert found.accuracy(Arithmetic.FAKE) >= found.accuracy(None) - 2


@pytest.mark.parametrize("name", SAMPLES)
def test_integer_says_what_fake_says(name: str) -> None:
    found = sample(name, "Xilinx")
    assert np.mean(found.classes(Arithmetic.INTEGER) == found.classes(Arithmetic.FAKE)) >= 0.99


@pytest.mark.parametrize("name", ON_THE_BOARD)
def test_the_board_is_close(name: str) -> None:
    """It rounds averages down, biases to output steps, and thresholds behind BatchNorm to whole numbers."""
    found = sample(name, "Xilinx")
    assert found.accuracy(Arithmetic.CHAIDNN) >= found.accuracy(None) - 4


@pytest.mark.parametrize("name", DIGITS)
@pytest.mark.parametrize("arithmetic", list(Arithmetic), ids=lambda arithmetic: arithmetic.value)
def test_dynamic_fixed(name: str, arithmetic: Arithmetic) -> None:
    found = sample(name, "DynamicFixed")
    assert found.accuracy(arithmetic) >= found.accuracy(None) - 12


@pytest.mark.parametrize("mode", ["Xilinx", "DynamicFixed"])
def test_the_board_names_what_it_does_not_know(mode: str) -> None:
    with pytest.raises(NetworkError, match=r'layer "pool1/norm1" \(LRN, line \d+\): the board knows no such type'):
        sample("shapes_inception", mode).classes(Arithmetic.CHAIDNN)
