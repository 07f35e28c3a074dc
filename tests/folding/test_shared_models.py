"""Real networks with BatchNorm: folded, read by OpenCV, converted for the board."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import board
from tests.folding.nets import outputs, written
from tests.small_nets import Files
from tests.test_shared_models import MODELS, RECIPES, Recipe, files
from xportdnn import api
from xportdnn.folding.command import fold_files
from xportdnn.folding.folded import Folded
from xportdnn.journal import Journal
from xportdnn.layers import Array
from xportdnn.options import Options
from xportdnn.pictures import calibration_set

pytestmark = pytest.mark.skipif(not MODELS.exists(), reason="the collection of real networks is not here: models")

# how many BatchNorm layers each has, and as many Scale layers; all can go
NORMALIZED = {"mobilefacenet_imistyrain": 49, "resnet20_cifar10": 21, "retinaface_mnet25": 47}


@cache
def folded(name: str) -> Folded:
    return fold_files(*files(name), (), None, Journal())


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    return {name: written(tmp_path_factory.mktemp(name), folded(name)) for name in NORMALIZED}


def picture(name: str) -> dict[str, Array]:
    """One picture as the network gets it."""
    options = Options(*files(name), **(RECIPES[name] | {"calibration_size": 1}))
    found, _ = calibration_set(options, api.read(*files(name)).net, Journal())
    return {found.target.blob: found[0][found.target]}


@pytest.mark.parametrize("name", NORMALIZED)
def test_every_batch_norm_and_scale_goes(name: str) -> None:
    found = folded(name)
    assert len(found.plan.foldings) == 2 * NORMALIZED[name]
    assert found.plan.kept == ()
    assert {"BatchNorm", "Scale"}.isdisjoint(layer.type for layer in found.net.layers)


@pytest.mark.parametrize("name", NORMALIZED)
def test_the_outputs_are_the_same(name: str, on_disk: dict[str, Files]) -> None:
    before = outputs(*files(name), picture(name))
    after = outputs(on_disk[name].deploy, on_disk[name].weights, picture(name))
    assert list(after) == list(before)
    for blob, array in before.items():
        np.testing.assert_allclose(after[blob], array, rtol=0, atol=1e-5 * np.abs(array).max(), err_msg=blob)


@pytest.mark.parametrize("name", NORMALIZED)
def test_opencv_computes_the_same(name: str, on_disk: dict[str, Files]) -> None:
    text = on_disk[name].deploy.read_text().replace('"DepthwiseConvolution"', '"Convolution"')
    weights = np.fromfile(on_disk[name].weights, np.uint8)
    net = cv2.dnn.readNetFromCaffe(np.frombuffer(text.encode(), np.uint8), weights)
    ((blob, array),) = picture(name).items()
    net.setInput(array, blob)
    expected = {
        layer.name: tops[0]
        for layer, tops in api.forward(api.read(*files(name)), **picture(name))
        if not layer.is_input
    }
    network = folded(name).net
    last = [layer.name for layer in network.layers if layer.tops[0] not in network.readers]
    for layer, found in zip(last, net.forward(last), strict=True):
        limit = 1e-5 * np.abs(expected[layer]).max()
        np.testing.assert_allclose(found, expected[layer], rtol=0, atol=limit, err_msg=layer)


@pytest.mark.parametrize("name", NORMALIZED)
def test_folding_twice_changes_no_byte(name: str, on_disk: dict[str, Files], tmp_path: Path) -> None:
    again = fold_files(str(on_disk[name].deploy), str(on_disk[name].weights), (), None, Journal())
    twice = written(tmp_path, again)
    assert twice.deploy.read_bytes() == on_disk[name].deploy.read_bytes()
    assert twice.weights.read_bytes() == on_disk[name].weights.read_bytes()


@pytest.mark.parametrize("name", NORMALIZED)
def test_the_board_takes_the_folded_network(name: str, on_disk: dict[str, Files]) -> None:
    settings: Recipe = RECIPES[name] | {"calibration_size": 2, "threshold_method": "mse", "bitwidths": (8, 8, 8)}
    done = api.convert(on_disk[name].deploy, on_disk[name].weights, **settings)
    assert board.problems(done.text, "Xilinx") == []
    assert done.missing == ()


@pytest.mark.parametrize("quant_type", ["Xilinx", "DynamicFixed"])
@pytest.mark.parametrize("name", NORMALIZED)
def test_folded_on_the_way(name: str, quant_type: str) -> None:
    settings: Recipe = RECIPES[name] | {"calibration_size": 1, "threshold_method": "max"}
    settings = settings if quant_type == "Xilinx" else {}
    done = api.convert(*files(name), fold=True, quant_type=quant_type, **settings)
    assert board.problems(done.text, "Xilinx" if quant_type == "Xilinx" else "DynamicFixed") == []
    assert done.folded is not None
    assert len(done.opened.net.layers) == len(folded(name).net.layers)


@pytest.mark.parametrize("name", sorted(set(RECIPES) - set(NORMALIZED)))
def test_every_other_network_survives(name: str) -> None:
    """Only Dropout, Split and lone Scales are in them."""
    found = fold_files(*files(name), (), RECIPES[name].get("dims"), Journal())
    assert not {"Dropout", "Split"} & {layer.type for layer in found.net.layers}
