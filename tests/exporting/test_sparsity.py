"""Zeros before and after quantization."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.exporting.nets import Network, write
from tests.simulation.quantized import block, fixed, xilinx
from tests.small_nets import by_name, data, layer
from xportdnn.simulation.sparsity import Zeros, zeros

CONV = "convolution_param { num_output: 2 kernel_size: 2 }"
WEIGHT = np.array([0, 0.001, -0.001, 1, 0, -1, 0.5, 0.004], np.float32).reshape(2, 1, 2, 2)


def counted(folder: Path, formats: str, kind: str = "Convolution") -> Zeros:
    text = data(1, 1, 5, 6) + layer("c", kind, "data", "c", f"{CONV}\n{formats}")
    network: Network = write(folder, text, {"c": (WEIGHT, np.zeros(2, np.float32))})
    conv = by_name(network.opened.net, "c")
    return zeros(conv, network.weights[conv.index], network.blocks.get(conv.index))


@pytest.mark.parametrize(
    ("formats", "after"),
    [
        (xilinx(8, 1, 1, (1.0, 1.0)), 4),
        (xilinx(6, 1, 1, (1.0, 1.0)), 5),
        (fixed(8, 7, 7, 7), 4),
        (fixed(8, 7, 7, 9), 2),
    ],
    ids=["thresholds", "thresholds of 6 bits", "Q1.7", "finer"],
)
def test_symmetric_formats_keep_zeros(formats: str, after: int, tmp_path: Path) -> None:
    assert counted(tmp_path, formats) == (2, after, 8)


def test_powers_of_two_fill_them(tmp_path: Path) -> None:
    formats = block({"precision": "INTEGER_POWER_OF_2_WEIGHTS"}, "quantization_param")
    assert counted(tmp_path, formats, "ConvolutionRistretto") == (2, 0, 8)


def test_without_a_block_nothing_changes(tmp_path: Path) -> None:
    assert counted(tmp_path, "") == (2, 2, 8)


def test_layers_without_weights_have_none(tmp_path: Path) -> None:
    network = write(tmp_path, data(1, 2, 5, 6) + layer("r", "ReLU", "data", "r") + layer("b", "BatchNorm", "r", "b"))
    for name in ("r", "b"):
        each = by_name(network.opened.net, name)
        assert zeros(each, network.weights[each.index], None) == (0, 0, 0)


def test_as_text() -> None:
    assert str(Zeros(2, 5, 8)) == "25.0 % -> 62.5 %"
    assert str(Zeros(0, 0, 0)) == "0.0 % -> 0.0 %"
