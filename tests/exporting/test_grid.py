"""The caffemodel on the grid: the board's own rounding gives the same integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import caffe_files
from tests.exporting.nets import MODES, Network, opened, pictures, sample, small, write
from xportdnn import caffemodel
from xportdnn.arithmetic import qformat, threshold
from xportdnn.choices import Arithmetic
from xportdnn.exporting.grid import on_grid
from xportdnn.kernels import along
from xportdnn.modelfile import pieces
from xportdnn.precision import Precision
from xportdnn.simulation.board.weights import alone, store

BY_MODE = pytest.mark.parametrize("mode", MODES)


def rounded(network: Network, folder: Path) -> Network:
    """The network with its caffemodel on the grid."""
    path = folder / "grid.caffemodel"
    path.write_bytes(b"".join(pieces(on_grid(network.model, list(network.exported().values())).layers)))
    return opened(network.files, path)


@BY_MODE
def test_the_board_stores_the_same(mode: str, tmp_path: Path) -> None:
    """Weights, bias, factors and shift of every Convolution."""
    network = opened(sample(tmp_path, "digits_plain", mode))
    other = rounded(network, tmp_path)
    compared = 0
    for layer in network.opened.net.layers:
        if layer.type == "Convolution":
            one, two = (
                store(alone(layer, each.weights[layer.index], each.blocks[layer.index])).stored
                for each in (network, other)
            )
            np.testing.assert_array_equal(one.weights, two.weights)
            np.testing.assert_array_equal(one.bias, two.bias)
            np.testing.assert_array_equal(one.scale, two.scale)
            compared += 1
    assert compared == 2


@BY_MODE
def test_every_weight_is_a_whole_number_of_steps(mode: str, tmp_path: Path) -> None:
    network = rounded(opened(sample(tmp_path, "shapes_inception", mode)), tmp_path)
    for layer in network.opened.net.layers:
        block = network.blocks.get(layer.index)
        if layer.type != "Convolution" or not isinstance(block, Precision) or block.bw_params is None:
            continue
        weight = network.weights[layer.index][0]
        if mode == "Xilinx":
            rows = along(np.array(block.th_params, np.float32), 0, 4)
            codes = threshold.quantize(weight, rows, block.bw_params)
            np.testing.assert_array_equal(codes.astype(np.float32) * threshold.step(rows, block.bw_params), weight)
        else:
            assert block.fl_params is not None
            codes = qformat.quantize(weight, block.bw_params, block.fl_params)
            np.testing.assert_array_equal(np.ldexp(codes.astype(np.float64), -block.fl_params), weight)


@BY_MODE
@pytest.mark.parametrize("arithmetic", list(Arithmetic), ids=lambda arithmetic: arithmetic.value)
def test_the_same_simulation(mode: str, arithmetic: Arithmetic, tmp_path: Path) -> None:
    network = opened(sample(tmp_path, "digits_plain", mode))
    batch = pictures("digits_plain")
    before, after = network.simulated(arithmetic, batch), rounded(network, tmp_path).simulated(arithmetic, batch)
    for name, simulated in before.items():
        for one, two in zip(simulated.tops, after[name].tops, strict=True):
            np.testing.assert_array_equal(one, two, err_msg=name)


@BY_MODE
def test_what_has_no_format_stays(mode: str, tmp_path: Path) -> None:
    network = write(tmp_path, small(mode))
    stored = rounded(network, tmp_path).model.names
    for name in ("a/conv", "up", "ip"):
        np.testing.assert_array_equal(stored[name].blobs[1].values(), network.model.names[name].blobs[1].values())


@BY_MODE
def test_zeros_have_no_sign(mode: str, tmp_path: Path) -> None:
    """As in the codes: so the caffemodel on the grid gives itself again, byte by byte."""
    conv = np.full((4, 1, 3, 3), -1e-6, np.float32), np.zeros(4, np.float32)
    first = rounded(write(tmp_path, small(mode), {"a/conv": conv}), tmp_path)
    weight = first.model.names["a/conv"].blobs[0].values()
    assert not weight.any()
    assert not np.signbit(weight).any()
    before = (tmp_path / "grid.caffemodel").read_bytes()
    rounded(first, tmp_path)
    assert (tmp_path / "grid.caffemodel").read_bytes() == before


def test_layers_that_are_not_run_stay(tmp_path: Path) -> None:
    network = write(tmp_path, small("Xilinx"))
    path = network.files.weights
    loss = np.arange(6, dtype=np.float32)
    path.write_bytes(path.read_bytes() + caffe_files.v2("loss", "InnerProduct", caffe_files.blob(loss)))
    found = on_grid(caffemodel.read(path), list(network.exported().values()))
    np.testing.assert_array_equal(found.names["loss"].blobs[0].values(), loss)
    assert [layer.name for layer in found.layers] == ["a/conv", "up", "bn", "scale", "ip", "loss"]
