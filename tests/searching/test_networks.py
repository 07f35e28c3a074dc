"""Quantized networks with any part left in float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.searching.test_lengths import made, opened, pictures
from tests.small_nets import PLAIN, RESIDUAL
from xportdnn import execute, precision
from xportdnn.choices import Arithmetic
from xportdnn.dialects import ristretto
from xportdnn.journal import Journal
from xportdnn.layers import Arrays
from xportdnn.network import runnable
from xportdnn.opening import Opened, open_net
from xportdnn.plan import Block
from xportdnn.searching.networks import simulation
from xportdnn.searching.widths import Widths
from xportdnn.simulation import prepare

FIELDS = ("bw_layer_in", "bw_layer_out", "bw_params", "fl_layer_in", "fl_layer_out", "fl_params")


def weights_of(found: Opened) -> dict[int, Arrays]:
    return execute.load(runnable(found.net, found.inputs), found.weights)


@pytest.mark.parametrize("text", [PLAIN, RESIDUAL], ids=["plain", "residual"])
def test_what_is_written_computes_the_same(text: str, tmp_path: Path) -> None:
    """Blobs trimmed in place, biases trimmed like the weights: the layers that Ristretto's prototxt asks for."""
    found, widths = opened(text, tmp_path), Widths(4, 8, 6)
    formats = made(found)
    blocks = [
        Block(found.net.layers[index], tuple((name, getattr(block, name)) for name in FIELDS))
        for index, block in formats.blocks(widths).items()
    ]
    path = tmp_path / "quantized.prototxt"
    path.write_text(ristretto.rewrite(found.net, blocks).source.text)
    net = open_net(path, Journal())
    theirs = prepare(net, weights_of(found), precision.read(net), Arithmetic.FAKE, found.inputs)
    ours = simulation(found, weights_of(found), formats, widths)
    for feeds in pictures(found):
        for one, two in zip(ours.run(feeds), theirs.run(feeds), strict=True):
            assert one.saturated == two.saturated
            for first, second in zip(one.tops, two.tops, strict=True):
                np.testing.assert_array_equal(first, second)


def test_all_float(tmp_path: Path) -> None:
    found = opened(RESIDUAL, tmp_path)
    feeds = pictures(found)[0]
    weights = weights_of(found)
    ours = simulation(found, weights, made(found), Widths())
    for one, two in zip(ours.run(feeds), execute.run(found.net, weights, feeds), strict=True):
        for first, second in zip(one.tops, two.tops, strict=True):
            np.testing.assert_array_equal(first, second)


def test_weights_alone(tmp_path: Path) -> None:
    """Of convolutions: blobs and the FC layer's weights are as they were."""
    found = opened(PLAIN, tmp_path)
    weights = weights_of(found)
    level = simulation(found, weights, made(found), Widths(conv_weights=4)).level
    prepared = {found.net.layers[index].name: own for index, own in vars(level)["prepared"].items()}
    assert {(own.layer_in, own.layer_out) for own in prepared.values()} == {(None, None)}
    index = {layer.name: layer.index for layer in found.net.layers}
    assert np.array_equal(prepared["fc"].blobs[0], weights[index["fc"]][0])
    for name in ("conv1", "conv2"):
        assert len(np.unique(prepared[name].blobs[0])) <= 16
        assert not np.array_equal(prepared[name].blobs[0], weights[index[name]][0])
