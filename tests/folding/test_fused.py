"""NVIDIA's BatchNorm with five blobs: mean, variance, a correction without effect, scale, bias."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.caffe_files import blob, v2
from tests.folding.nets import floats, names, outputs, written
from tests.folding.test_patterns import DATA, pool, relu
from tests.small_nets import conv, layer
from xportdnn.errors import WeightsError
from xportdnn.folding.command import fold_files
from xportdnn.folding.folded import Folded
from xportdnn.journal import Journal
from xportdnn.layers import Array

WEIGHT = np.random.default_rng(1).standard_normal((2, 6, 1, 1)).astype(np.float32)
MEAN, VARIANCE, SCALE, BIAS = floats(1, -2), floats(0.5, 3), floats(2, -0.25), floats(3, 4)
FIELDS = "batch_norm_param { scale_bias: true eps: 0.001 scale_filler { value: 1 } bias_filler { value: 0 } }"
FUSED = layer("bn", "BatchNorm", "conv", "x", FIELDS)
CONV = conv("conv", "data", "conv", 2, "kernel_size: 1 bias_term: false")


def fold(folder: Path, text: str, *blobs: Array, journal: Journal | None = None) -> Folded:
    """A network of one convolution and one BatchNorm with these blobs."""
    (folder / "deploy.prototxt").write_text(text)
    weights = v2("conv", "Convolution", blob(WEIGHT)) if '"conv"' in text else b""
    (folder / "net.caffemodel").write_bytes(weights + v2("bn", "BatchNorm", *map(blob, blobs)))
    deploy, model = str(folder / "deploy.prototxt"), str(folder / "net.caffemodel")
    return fold_files(deploy, model, (), None, journal or Journal())


def norm(x: Array, eps: float = 0.001) -> Array:
    """What NVIDIA's layer computes (batch_norm_layer.cpp, Forward_cpu, phase TEST)."""
    mean, variance, scale, bias = (each.reshape(1, -1, 1, 1) for each in (MEAN, VARIANCE, SCALE, BIAS))
    top: Array = (x - mean) / np.sqrt(variance + np.float32(eps)) * scale + bias
    return top


def run(folder: Path, folded: Folded, x: Array) -> Array:
    files = written(folder, folded)
    (top,) = outputs(files.deploy, files.weights, {"data": x}).values()
    return top


@pytest.mark.parametrize("correction", [0.0, 1.0, 7.0], ids=["0", "1", "7"])
@pytest.mark.parametrize("shape", [(2,), (1, 2, 1, 1)], ids=["one axis", "four axes"])
def test_folded_into_the_convolution(tmp_path: Path, correction: float, shape: tuple[int, ...]) -> None:
    arrays = (MEAN.reshape(shape), VARIANCE, floats(correction), SCALE, BIAS.reshape(shape))
    journal = Journal()
    folded = fold(tmp_path, DATA + CONV + FUSED + relu("x", "x"), *arrays, journal=journal)
    assert names(folded) == ["conv", "relu"]
    assert folded.net.source.text == DATA + conv("conv", "data", "x", 2) + relu("x", "x")
    x = np.random.default_rng(2).normal(0, 3, (1, 6, 8, 9)).astype(np.float32)
    expected = np.maximum(norm(np.einsum("oi,nihw->nohw", WEIGHT[:, :, 0, 0], x)), 0)
    np.testing.assert_allclose(run(tmp_path, folded, x), expected, rtol=0, atol=1e-5 * expected.max())
    assert any(
        "1 BatchNorm layers hold a scale and a bias, as in NVIDIA's Caffe" in each.text for each in journal.remarks
    )


def test_what_cannot_be_folded_becomes_two_layers(tmp_path: Path) -> None:
    text = DATA.replace("dim: 6", "dim: 2") + pool("data", "conv") + FUSED + relu("x", "x", "bn_scale")
    folded = fold(tmp_path, text, MEAN, VARIANCE, floats(0), SCALE, BIAS)
    assert [(each.name, each.type) for each in folded.net.layers[2:4]] == [("bn", "BatchNorm"), ("bn_scale_", "Scale")]
    assert "scale_bias" not in folded.net.source.text
    assert [len(each.blobs) for each in folded.model.layers] == [3, 2]
    x = np.random.default_rng(2).normal(0, 3, (1, 2, 8, 9)).astype(np.float32)
    pooled = np.lib.stride_tricks.sliding_window_view(x, (2, 2), (2, 3)).max(axis=(4, 5))
    expected = np.maximum(norm(pooled), 0)
    np.testing.assert_allclose(run(tmp_path, folded, x), expected, rtol=0, atol=1e-5 * expected.max())


def test_eps_is_at_least_what_cudnn_takes(tmp_path: Path) -> None:
    fused = FUSED.replace("0.001", "1e-9")
    folded = fold(tmp_path, DATA.replace("dim: 6", "dim: 2") + pool("data", "conv") + fused, MEAN, VARIANCE, floats(0),
                  SCALE, BIAS)  # fmt: skip
    assert folded.net.layers[2].params.eps == 1e-5


def test_five_blobs_of_another_order_are_refused(tmp_path: Path) -> None:
    """Caffe 0.15 of NVIDIA had scale and bias first; the third blob shows it."""
    with pytest.raises(WeightsError, match="1 layer does not match"):
        fold(tmp_path, DATA + CONV + FUSED, SCALE, BIAS, MEAN, VARIANCE, floats(1))
