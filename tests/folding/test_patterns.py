"""What is folded where: the layers that are left, and that the outputs keep their names and values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.folding.nets import Weights, assert_same_outputs, floats, fold_text, names
from tests.small_nets import conv, data, layer

DATA = data(1, 6, 8, 9)
THREE = "kernel_size: 3"


def bn(bottom: str, top: str, name: str = "bn", rest: str = "") -> str:
    return layer(name, "BatchNorm", bottom, top, f"batch_norm_param {{ {rest} }}")


def scale(bottom: str, top: str, name: str = "scale", rest: str = "bias_term: true") -> str:
    return layer(name, "Scale", bottom, top, f"scale_param {{ {rest} }}")


def relu(bottom: str, top: str, name: str = "relu") -> str:
    return layer(name, "ReLU", bottom, top)


def pool(bottom: str, top: str, name: str = "pool") -> str:
    return layer(name, "Pooling", bottom, top, "pooling_param { pool: MAX kernel_size: 2 }")


def fc(bottom: str, top: str, name: str = "fc", rest: str = "") -> str:
    return layer(name, "InnerProduct", bottom, top, f"inner_product_param {{ num_output: 5 {rest} }}")


def deconv(rest: str) -> str:
    return layer("conv", "Deconvolution", "data", "conv", f"convolution_param {{ kernel_size: 3 stride: 2 {rest} }}")


IN_PLACE = bn("conv", "conv") + scale("conv", "conv") + relu("conv", "conv")
OUT_OF_PLACE = bn("conv", "x") + scale("x", "y") + relu("y", "z")
SWITCHED = "axis: 2 num_axes: 1"

# text behind the Input -> the layers left
AFTER = {
    "both in place": (conv("conv", "data", "conv", 4, THREE) + IN_PLACE, "conv relu"),
    "both out of place": (conv("conv", "data", "conv", 4, THREE) + OUT_OF_PLACE, "conv relu"),
    "one of each": (conv("conv", "data", "conv", 4, THREE) + bn("conv", "x") + scale("x", "x"), "conv"),
    "no bias": (conv("conv", "data", "conv", 4, f"{THREE} bias_term: false") + IN_PLACE, "conv relu"),
    "only BatchNorm": (conv("conv", "data", "conv", 4) + bn("conv", "x"), "conv"),
    "only gamma": (conv("conv", "data", "conv", 4) + scale("conv", "x", rest=""), "conv"),
    "gamma and beta": (conv("conv", "data", "conv", 4) + scale("conv", "x"), "conv"),
    "eps": (conv("conv", "data", "conv", 4) + bn("conv", "x", rest="eps: 0.5"), "conv"),
    "two groups": (conv("conv", "data", "conv", 4, f"{THREE} group: 2") + IN_PLACE, "conv relu"),
    "depthwise": (conv("conv", "data", "conv", 6, f"{THREE} group: 6 pad: 1") + IN_PLACE, "conv relu"),
    "depthwise multiplier": (conv("conv", "data", "conv", 12, f"{THREE} group: 6 bias_term: false") + IN_PLACE,
                             "conv relu"),
    "padded, strided, dilated": (conv("conv", "data", "conv", 4, f"{THREE} pad: 2 stride: 2 dilation: 2") + IN_PLACE,
                                 "conv relu"),
    "Deconvolution": (deconv("num_output: 4") + IN_PLACE, "conv relu"),
    "Deconvolution in groups": (deconv("num_output: 4 group: 2 pad: 1 bias_term: false") + IN_PLACE, "conv relu"),
    "depthwise Deconvolution": (deconv("num_output: 6 group: 6") + IN_PLACE, "conv relu"),
    "InnerProduct": (fc("data", "conv") + IN_PLACE, "fc relu"),
    "InnerProduct without bias": (fc("data", "conv", rest="bias_term: false") + IN_PLACE, "fc relu"),
    "InnerProduct transposed": (fc("data", "conv", rest="transpose: true") + IN_PLACE, "fc relu"),
    "InnerProduct of its last axis": (fc("data", "conv", rest="axis: 3") + scale("conv", "x", rest="axis: -1"), "fc"),
    "many in a row": (
        conv("conv", "data", "conv", 4) + bn("conv", "a", "bn1") + scale("a", "b", "s1") + bn("b", "b", "bn2")
        + scale("b", "c", "s2", "") + layer("bias", "Bias", "c", "c")
        + layer("power", "Power", "c", "d", "power_param { scale: -2 shift: 0.5 }"),
        "conv",
    ),
    "Dropout between": (conv("conv", "data", "conv", 4) + layer("drop", "Dropout", "conv", "x") + bn("x", "y"), "conv"),
    "Scale of one number": (conv("conv", "data", "conv", 4) + scale("conv", "x", rest="num_axes: 0"), "conv"),
    "Scale over axes of length 1": (
        layer("pooled", "Pooling", "data", "p", "pooling_param { pool: AVE global_pooling: true }")
        + conv("conv", "p", "conv", 4) + scale("conv", "x", rest="num_axes: 3 bias_term: true"), "pooled conv",
    ),
    "BN with folded statistics": (
        conv("conv", "data", "conv", 4) + layer("bn", "BN", "conv", "x", "bn_param { bn_mode: INFERENCE }"), "conv",
    ),
    "two branches": (
        conv("left", "data", "l", 4) + bn("l", "l", "bn1") + conv("right", "data", "r", 4) + bn("r", "s", "bn2")
        + layer("sum", "Eltwise", "l s", "sum"), "left right sum",
    ),
}  # fmt: skip
BEFORE = {
    "before a Convolution": (pool("data", "p") + bn("p", "q") + scale("q", "r") + conv("conv", "r", "conv", 4, THREE),
                             "pool conv"),
    "in place": (pool("data", "p") + bn("p", "p") + scale("p", "p") + conv("conv", "p", "conv", 4, THREE), "pool conv"),
    "in groups": (pool("data", "p") + bn("p", "q") + conv("conv", "q", "conv", 4, f"{THREE} group: 2 bias_term: false"),
                  "pool conv"),
    "padded, without a shift": (scale("data", "q", rest="") + conv("conv", "q", "conv", 4, f"{THREE} pad: 1"), "conv"),
    "before an InnerProduct": (pool("data", "p") + bn("p", "q") + fc("q", "fc"), "pool fc"),
    "before a transposed one": (pool("data", "p") + bn("p", "q") + fc("q", "fc", rest="transpose: true "
                                "bias_term: false"), "pool fc"),
    "before and behind": (bn("data", "a", "bn1") + conv("conv", "a", "b", 4, THREE) + bn("b", "b", "bn2"), "conv"),
    "the other branch reads the bottom itself": (
        pool("data", "p") + bn("p", "q") + conv("conv", "q", "conv", 4) + conv("other", "p", "other", 3),
        "pool conv other",
    ),
    "through a Dropout": (pool("data", "p") + bn("p", "q") + layer("drop", "Dropout", "q", "r")
                          + conv("conv", "r", "conv", 4), "pool conv"),
}  # fmt: skip
DROPPED = {
    "Dropout in place": (fc("data", "fc") + layer("drop", "Dropout", "fc", "fc") + relu("fc", "out"), "fc relu"),
    "Dropout with its own top": (fc("data", "fc") + layer("drop", "Dropout", "fc", "d") + relu("d", "d"), "fc relu"),
    "Dropout at the end": (fc("data", "fc") + relu("fc", "fc") + layer("drop", "Dropout", "fc", "out"), "fc relu"),
    "Dropout of the input": (layer("drop", "Dropout", "data", "d") + fc("d", "fc"), "fc"),
    "Split": (
        conv("conv", "data", "conv", 4) + layer("split", "Split", "conv", "a b") + relu("a", "a") + pool("b", "p")
        + layer("sig", "Sigmoid", "b", "sig"), "conv relu pool sig",
    ),
    "Split of the input": (
        layer("split", "Split", "data", "a b") + conv("one", "a", "one", 4) + conv("two", "b", "two", 3), "one two",
    ),
    "Split of a Split": (
        conv("conv", "data", "conv", 4) + layer("s1", "Split", "conv", "a b") + layer("s2", "Split", "b", "c d")
        + relu("a", "x", "r1") + relu("c", "y", "r2") + relu("d", "z", "r3"), "conv r1 r2 r3",
    ),
    "one reader behind a Split": (
        conv("conv", "data", "conv", 4) + layer("split", "Split", "conv", "a") + bn("a", "a") + relu("a", "r"),
        "conv relu",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "left"), [pytest.param(*case, id=name) for name, case in (AFTER | BEFORE).items()])
def test_folded(tmp_path: Path, text: str, left: str) -> None:
    folded = fold_text(tmp_path, DATA + text)
    assert names(folded) == left.split()
    assert folded.plan.kept == ()
    assert_same_outputs(tmp_path, folded)


@pytest.mark.parametrize(("text", "left"), [pytest.param(*case, id=name) for name, case in DROPPED.items()])
def test_dropped(tmp_path: Path, text: str, left: str) -> None:
    folded = fold_text(tmp_path, DATA + text)
    assert names(folded) == left.split()
    assert_same_outputs(tmp_path, folded)


@pytest.mark.parametrize("kind", ["DepthwiseConvolution", "ConvolutionDepthwise"])
def test_depthwise_types_of_forks(tmp_path: Path, kind: str) -> None:
    depthwise = layer("conv", kind, "data", "conv", "convolution_param { num_output: 6 kernel_size: 3 }")
    folded = fold_text(tmp_path, DATA + depthwise + IN_PLACE)
    assert [(each.name, each.type) for each in folded.net.layers][1:] == [("conv", kind), ("relu", "ReLU")]
    assert_same_outputs(tmp_path, folded)


@pytest.mark.parametrize("count", [0.0, 0.5, 999.98], ids=["no average yet", "half", "a thousand"])
def test_the_third_blob_of_batch_norm_divides(tmp_path: Path, count: float) -> None:
    """0 stands for sums of nothing: mean 0, variance 0 (caffe batch_norm_layer.cpp)."""
    weights: Weights = {"bn": (floats(1, -2, 3, 0.5), floats(0.5, 3, 1, 2), floats(count))}
    folded = fold_text(tmp_path, DATA + conv("conv", "data", "conv", 4) + bn("conv", "x"), weights)
    assert names(folded) == ["conv"]
    assert_same_outputs(tmp_path, folded)


def test_a_channel_scaled_by_zero(tmp_path: Path) -> None:
    weights: Weights = {"scale": (floats(0, -2, 3, 0.5), floats(4, 3, 1, 2))}
    folded = fold_text(tmp_path, DATA + conv("conv", "data", "conv", 4) + scale("conv", "x"), weights)
    assert_same_outputs(tmp_path, folded)
    weight, bias = folded.model.names["conv"].blobs
    assert not weight.values()[0].any()
    assert bias.values()[0] == 4


def test_the_numbers_themselves(tmp_path: Path) -> None:
    """Weight and bias of one channel by hand: s = 3 / sqrt(3 + 1), W s, (b - mean) s + beta."""
    weights: Weights = {
        "conv": (np.array([[[[2]]]], np.float32), floats(5)),
        "bn": (floats(14), floats(6), floats(2)),
        "scale": (floats(3), floats(-1)),
    }
    text = data(1, 1, 2, 3) + conv("conv", "data", "conv", 1) + bn("conv", "x", rest="eps: 1") + scale("x", "y")
    weight, bias = fold_text(tmp_path, text, weights).model.names["conv"].blobs
    assert weight.values().item() == 3
    assert bias.values().item() == -4


def test_no_bias_is_made_where_nothing_is_added(tmp_path: Path) -> None:
    text = DATA + conv("conv", "data", "conv", 4, "kernel_size: 1 bias_term: false") + scale("conv", "x", rest="")
    folded = fold_text(tmp_path, text)
    assert len(folded.model.names["conv"].blobs) == 1
    assert "bias_term: false" in folded.net.source.text


def test_nothing_to_fold(tmp_path: Path) -> None:
    text = DATA + conv("conv", "data", "conv", 4) + relu("conv", "out")
    folded = fold_text(tmp_path, text)
    assert folded.net.source.text == text
    assert folded.plan.foldings == ()
    assert_same_outputs(tmp_path, folded)


@pytest.mark.parametrize(
    "text", [case[0] for case in (AFTER | BEFORE | DROPPED).values()], ids=[*AFTER, *BEFORE, *DROPPED]
)
def test_folding_twice_changes_nothing(tmp_path: Path, text: str) -> None:
    once = fold_text(tmp_path, DATA + text)
    (tmp_path / "again").mkdir()
    blobs = {each.name: [blob.values() for blob in each.blobs] for each in once.model.layers}
    twice = fold_text(tmp_path / "again", once.net.source.text, blobs)
    assert twice.net.source.text == once.net.source.text
    for name, arrays in blobs.items():
        np.testing.assert_equal([blob.values() for blob in twice.model.names[name].blobs], arrays)
