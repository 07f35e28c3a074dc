"""What stays, and the reason that is given with the layer's name and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.folding.nets import Weights, assert_same_outputs, floats, fold_text, names
from tests.folding.test_patterns import DATA, bn, fc, pool, relu, scale
from tests.small_nets import conv, layer
from xportdnn.journal import Journal

CONV = conv("conv", "data", "conv", 4)
SHARED = 'convolution_param { num_output: 6 kernel_size: 1 } param { name: "w" }'
NO_WEIGHTS = 'its bottom is computed by layer "pool" (Pooling, line 7), which has no weights for its factors'

# text behind the Input -> the layer that stays, the reason
KEPT = {
    "another reader": (
        CONV + bn("conv", "x") + relu("conv", "r"), "bn", 'layer "relu" (ReLU, line 21) reads "conv" too',
    ),
    "another reader behind a Split": (
        CONV + layer("split", "Split", "conv", "a b") + bn("a", "x") + relu("b", "r"), "bn",
        'layer "relu" (ReLU, line 28) reads "conv" too',
    ),
    "a layer that is not run": (
        CONV + bn("conv", "x") + layer("acc", "Accuracy", "conv", "acc"), "bn",
        '"conv" is read outside the network, or by layers that are not run',
    ),
    "nothing with weights around": (pool("data", "p") + bn("p", "q") + relu("q", "r"), "bn",
        f'{NO_WEIGHTS}; nor can layer "relu" (ReLU, line 21) take them, which reads it'),
    "an output": (pool("data", "p") + bn("p", "q"), "bn", NO_WEIGHTS),
    "behind the input": (bn("data", "q") + relu("q", "r"), "bn",
        'its bottom is computed by layer "data" (Input, line 1), which has no weights for its factors; nor can layer '
        '"relu" (ReLU, line 14) take them, which reads it'),
    "a pad": (pool("data", "p") + bn("p", "q") + conv("conv", "q", "conv", 4, "kernel_size: 3 pad: 1"), "bn",
        f'{NO_WEIGHTS}; the pad of layer "conv", which reads it, puts zeros around its values, and they would need the '
        "shift too"),
    "before a Deconvolution": (
        pool("data", "p") + bn("p", "q")
        + layer("conv", "Deconvolution", "q", "conv", "convolution_param { num_output: 4 kernel_size: 2 }"), "bn",
        f'{NO_WEIGHTS}; nor can layer "conv" (Deconvolution, line 21) take them, which reads it',
    ),
    "the second bottom": (
        CONV + fc("data", "s", rest="axis: 3") + layer("other", "Convolution", "data", "o",
        "convolution_param { num_output: 4 kernel_size: 1 }")
        + layer("scale", "Scale", "conv o", "x", "scale_param { axis: 0 }"), "scale",
        "its factors are computed by the network: it reads them as its second bottom",
    ),
    "rows instead of channels": (
        CONV + scale("conv", "x", rest="axis: 2"), "scale",
        "its factors differ along other axes than the channels (axis 1)",
    ),
    "all cells": (
        CONV + scale("conv", "x", rest="num_axes: -1"), "scale",
        "its factors differ along other axes than the channels (axis 1)",
    ),
    "a Scale of rows behind a BatchNorm": (
        pool("data", "p") + bn("p", "q") + scale("q", "r", rest="axis: 2") + conv("conv", "r", "conv", 4), "bn",
        f'{NO_WEIGHTS}; layer "scale" (Scale, line 21), which reads it, stays: its factors differ along other axes '
        "than the channels (axis 1)",
    ),
    "statistics of the batch": (
        CONV + bn("conv", "x", rest="use_global_stats: false"), "bn",
        "use_global_stats is false: it normalizes by the statistics of each batch",
    ),
    "BN that learns": (
        CONV + layer("bn", "BN", "conv", "x"), "bn",
        "its bn_mode is LEARN: it normalizes by the statistics of each batch",
    ),
    "shared parameters": (
        layer("one", "Convolution", "data", "a", SHARED) + layer("two", "Convolution", "a", "b", SHARED) + bn("b", "c"),
        "bn", 'layer "two" (Convolution, line 14) shares its parameters with another layer',
    ),
    "shared parameters behind it": (
        pool("data", "p") + bn("p", "q") + layer("one", "Convolution", "q", "a", SHARED)
        + layer("two", "Convolution", "a", "b", SHARED), "bn",
        f'{NO_WEIGHTS}; layer "one" (Convolution, line 21) shares its parameters with another layer',
    ),
    "two tops": (
        layer("conv", "Convolution", "data data", "a b", "convolution_param { num_output: 4 kernel_size: 1 }")
        + bn("a", "x") + relu("b", "r"), "bn",
        'its bottom is computed by layer "conv" (Convolution, line 7), which has no weights for its factors',
    ),
    "an unknown layer before it": (
        CONV + layer("own", "MadeUp", "conv", "own") + bn("own", "x"), "bn", "its shape is not known",
    ),
    "a Split of which two tops are outputs": (
        CONV + layer("split", "Split", "conv", "a b"), "split",
        'the blobs "a" and "b" are both known outside the network',
    ),
    "a Split of which one top is an output": (
        CONV + layer("split", "Split", "conv", "a b") + relu("a", "r"), "split",
        '"b" is an output of the network, and would be none if a layer read it',
    ),
    "a Dropout between an input and an output": (
        layer("drop", "Dropout", "data", "out"), "drop",
        'the blobs "data" and "out" are both known outside the network',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "name", "reason"), [pytest.param(*case, id=key) for key, case in KEPT.items()])
def test_kept(tmp_path: Path, text: str, name: str, reason: str) -> None:
    journal = Journal()
    folded = fold_text(tmp_path, DATA + text, journal=journal)
    assert [(kept.layer.name, kept.reason) for kept in folded.plan.kept][:1] == [(name, reason)]
    assert name in names(folded)
    assert any(remark.text.endswith(f"stays: {reason}") for remark in journal.remarks)
    if "MadeUp" not in text:
        assert_same_outputs(tmp_path, folded)


def test_the_line_is_said(tmp_path: Path) -> None:
    journal = Journal()
    fold_text(tmp_path, DATA + CONV + layer("bn", "BN", "conv", "x"), journal=journal)
    where = f'layer "bn" (BN, {tmp_path / "deploy.prototxt"}:14) stays: its bn_mode is LEARN'
    assert [remark.text for remark in journal.remarks if remark.text.startswith(where)]


def test_a_negative_variance_is_not_folded(tmp_path: Path) -> None:
    weights: Weights = {"bn": (floats(0, 0, 0, 0), floats(1, -1, 1, 1), floats(1))}
    text = DATA + CONV + bn("conv", "x") + layer("zero", "Power", "x", "y", "power_param { scale: 0 power: 0 }")
    folded = fold_text(tmp_path, text, weights)
    assert (
        folded.plan.kept[0].reason == "its factors are not finite; the weights are damaged, or a variance is negative"
    )


def test_of_two_behind_each_other_the_second_may_go(tmp_path: Path) -> None:
    """The rows' Scale stays between, and the BatchNorm behind it goes into the convolution."""
    text = DATA + pool("data", "p") + scale("p", "q", rest="axis: 2") + bn("q", "r") + conv("conv", "r", "conv", 4)
    folded = fold_text(tmp_path, text)
    assert names(folded) == ["pool", "scale", "conv"]
    assert_same_outputs(tmp_path, folded)


def test_a_kernel_larger_than_its_bottom_is_a_pad(tmp_path: Path) -> None:
    """C++ division toward zero gives such a convolution one output, with zeros outside (conv_layer.cpp)."""
    text = DATA + layer("pool", "Pooling", "data", "p", "pooling_param { kernel_size: 8 stride: 8 }") + bn("p", "q")
    folded = fold_text(tmp_path, text + conv("conv", "q", "conv", 4, "kernel_size: 3 stride: 3"))
    assert names(folded) == ["pool", "bn", "conv"]
    assert_same_outputs(tmp_path, folded)


def test_a_shared_scale_goes_into_each_convolution(tmp_path: Path) -> None:
    """Its layers share blobs; the convolutions that take them do not."""
    gamma = 'scale_param { } param { name: "gamma" }'
    text = DATA + CONV + layer("s1", "Scale", "conv", "x", gamma) + conv("two", "x", "y", 4)
    folded = fold_text(tmp_path, text + layer("s2", "Scale", "y", "z", gamma))
    assert names(folded) == ["conv", "two"]
    assert_same_outputs(tmp_path, folded)


def test_what_an_unknown_layer_reads_is_proven(tmp_path: Path) -> None:
    text = DATA + CONV + bn("conv", "x") + layer("own", "MadeUp", "x", "own")
    journal = Journal()
    folded = fold_text(tmp_path, text, journal=journal)
    assert names(folded) == ["conv", "own"]
    assert np.isfinite(folded.model.names["conv"].blobs[0].values()).all()
    assert "1 blobs compared" in journal.remarks[-1].text
