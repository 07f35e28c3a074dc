"""Channels that can be scaled without changing what a network computes, and those that cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.folding.nets import fold_text
from tests.folding.nets import given as random_inputs
from tests.folding.test_patterns import bn, fc, pool, relu
from tests.small_nets import conv, data, layer, value
from xportdnn import execute
from xportdnn.folding.equalize import scaled
from xportdnn.folding.folded import Folded
from xportdnn.folding.proof import Evidence, prove
from xportdnn.folding.reweighted import reweighted
from xportdnn.folding.strands import strands
from xportdnn.journal import Journal
from xportdnn.layers import Arrays

DATA = data(1, 6, 8, 9)
FIRST = conv("one", "data", "one", 4, "kernel_size: 3 pad: 1")
LAST = conv("last", "x", "last", 5, "kernel_size: 2")


def weights_of(folded: Folded) -> dict[int, Arrays]:
    return execute.load(folded.net.layers, folded.opened.weights)


def free(folded: Folded, blob: str, writer: str = "") -> list[bool]:
    """Whether each channel of a blob can be scaled."""
    found = strands(folded.opened)
    return [bool(each) for each in found.free[found.of[value(folded.net, blob, writer)]]]


def rescaled(folded: Folded, seed: int = 5) -> Folded:
    """Every free strand scaled by a factor between 1/20 and 20."""
    found = strands(folded.opened)
    drawn = np.exp(np.random.default_rng(seed).uniform(-3, 3, len(found.free)))
    return reweighted(folded, scaled(folded.opened, weights_of(folded), found, np.where(found.free, drawn, 1.0)))


def difference(folded: Folded) -> float:
    """The largest relative difference to the original's outputs, on inputs that folding was not proven on."""
    return prove(folded, Evidence("others", [random_inputs(folded)]), Journal()).relative


def depthwise(name: str, bottom: str, top: str, channels: int) -> str:
    return conv(name, bottom, top, channels, f"kernel_size: 3 pad: 1 group: {channels}")


AVERAGE = layer("ave", "Pooling", "one", "x", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }")
LEAKY = layer("leaky", "ReLU", "one", "x", "relu_param { negative_slope: -0.25 }")
CONCAT = conv("two", "data", "two", 3) + layer("join", "Concat", "one two", "x")
SUM = conv("two", "data", "two", 4) + layer("add", "Eltwise", "one two", "x", "eltwise_param { coeff: 1 coeff: -0.5 }")
CROP = layer("crop", "Crop", "one data", "x", "crop_param { axis: 2 offset: 0 }")

# what stands between FIRST and LAST
THROUGH = {
    "in-place ReLU": relu("one", "one") + layer("same", "Dropout", "one", "x"),
    "leaky ReLU, a slope below 0": LEAKY,
    "PReLU": layer("prelu", "PReLU", "one", "x"),
    "PReLU with one slope": layer("prelu", "PReLU", "one", "x", "prelu_param { channel_shared: true }"),
    "AbsVal": layer("abs", "AbsVal", "one", "x"),
    "MAX pooling": pool("one", "x"),
    "AVE pooling": AVERAGE,
    "Crop": CROP,
    "depthwise": relu("one", "one") + depthwise("two", "one", "x", 4),
    "two groups": conv("two", "one", "x", 6, "kernel_size: 1 group: 2"),
    "Concat": CONCAT,
    "Eltwise SUM with coefficients": SUM,
    "Eltwise MAX": SUM.replace("coeff: 1 coeff: -0.5", "operation: MAX"),
}


@pytest.mark.parametrize("between", THROUGH.values(), ids=THROUGH)
def test_factors_change_no_output(tmp_path: Path, between: str) -> None:
    folded = fold_text(tmp_path, DATA + FIRST + between + LAST)
    assert all(free(folded, "one"))
    changed = rescaled(folded)
    assert not np.allclose(weights_of(changed)[1][0], weights_of(folded)[1][0])
    assert difference(changed) < 1e-5


@pytest.mark.parametrize("rest", ["", "transpose: true", "bias_term: false"], ids=["plain", "transposed", "no bias"])
@pytest.mark.parametrize("flat", [False, True], ids=["direct", "behind Flatten"])
def test_factors_go_through_inner_products(tmp_path: Path, rest: str, flat: bool) -> None:
    flatten = layer("flat", "Flatten", "one", "flat") if flat else ""
    text = DATA + FIRST + flatten + fc("flat" if flat else "one", "fc", rest=rest) + fc("fc", "end", "end")
    folded = fold_text(tmp_path, text)
    assert all(free(folded, "one") + free(folded, "fc"))
    assert difference(rescaled(folded)) < 1e-5


def test_several_readers_all_take_the_factor(tmp_path: Path) -> None:
    text = DATA + FIRST + conv("a", "one", "a", 3) + conv("b", "one", "b", 2, "kernel_size: 3")
    folded = fold_text(tmp_path, text)
    assert all(free(folded, "one"))
    assert difference(rescaled(folded)) < 1e-5


def test_a_residual_block_is_one_strand_for_each_channel(tmp_path: Path) -> None:
    text = (
        DATA + FIRST + relu("one", "one")
        + conv("two", "one", "two", 4) + layer("add", "Eltwise", "one two", "sum") + fc("sum", "fc")
    )  # fmt: skip
    folded = fold_text(tmp_path, text)
    found = strands(folded.opened)
    ones, twos = (found.of[value(folded.net, blob, writer)] for blob, writer in (("one", "relu"), ("two", "two")))
    assert list(ones) == list(twos)
    assert all(free(folded, "one"))
    assert difference(rescaled(folded)) < 1e-5


PARTS = st.sampled_from(["conv", "strided", "depthwise", "grouped", "relu", "leaky", "prelu", "max", "ave", "drop"])


@given(parts=st.lists(PARTS, min_size=1, max_size=6), seed=st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_no_chain_of_layers_changes(tmp_path_factory: pytest.TempPathFactory, parts: list[str], seed: int) -> None:
    text, channels = DATA + FIRST, 4
    for index, part in enumerate(parts):
        bottom, top, name = "one" if not index else f"t{index - 1}", f"t{index}", f"part{index}"
        outputs = {"conv": 5, "strided": 3, "grouped": 2 * channels}.get(part, channels)
        more = {
            "conv": "kernel_size: 1 bias_term: false",
            "strided": "kernel_size: 3 pad: 1 stride: 2",
            "grouped": f"kernel_size: 1 group: {channels}",
        }
        if part == "depthwise":
            text += depthwise(name, bottom, top, channels)
        elif part in more:
            text += conv(name, bottom, top, outputs, more[part])
        else:
            kind, rest = {
                "relu": ("ReLU", ""), "leaky": ("ReLU", "relu_param { negative_slope: 0.1 }"), "prelu": ("PReLU", ""),
                "max": ("Pooling", "pooling_param { pool: MAX kernel_size: 2 pad: 1 }"),
                "ave": ("Pooling", "pooling_param { pool: AVE kernel_size: 2 }"), "drop": ("Dropout", ""),
            }[part]  # fmt: skip
            text += layer(name, kind, bottom, top, rest)
        channels = outputs
    folded = fold_text(tmp_path_factory.mktemp("net"), text + fc(f"t{len(parts) - 1}", "fc"))
    assert all(free(folded, "one"))
    assert difference(rescaled(folded, seed)) < 1e-5


# text behind FIRST -> why the channels of "one" stay as they are
HELD = {
    "Softmax": layer("soft", "Softmax", "one", "x") + LAST,
    "LRN": layer("norm", "LRN", "one", "x") + LAST,
    "ReLU6": layer("six", "ReLU6", "one", "x") + LAST,
    "Clip": layer("clip", "Clip", "one", "x", "clip_param { min: 0 max: 6 }") + LAST,
    "Sigmoid": layer("gate", "Sigmoid", "one", "x") + LAST,
    "Eltwise PROD": SUM.replace("coeff: 1 coeff: -0.5", "operation: PROD") + LAST,
    "Eltwise with the input": conv("six", "one", "six", 6) + layer("add", "Eltwise", "six data", "x") + LAST,
    "Concat along the height": CONCAT.replace('"two" "', "").replace("num_output: 3", "num_output: 4").replace(
        'top: "x"', 'top: "x"\n  concat_param { axis: 2 }') + LAST,
    "an output": "",
    "an output behind a ReLU": relu("one", "one"),
    "a second reader": layer("soft", "Softmax", "one", "out") + conv("last", "one", "last", 5),
    "MAX pooling with a mask": layer("pool", "Pooling", "one", "x mask", "pooling_param { kernel_size: 2 }") + LAST,
    "Deconvolution": layer("up", "Deconvolution", "one", "x", "convolution_param { num_output: 3 kernel_size: 2 }")
    + LAST,
    "a BatchNorm that stays": bn("one", "x", rest="use_global_stats: false") + LAST,
    "an unknown layer": layer("odd", "Peculiar", "one", "odd") + conv("last", "one", "last", 5),
}  # fmt: skip


@pytest.mark.parametrize("rest", HELD.values(), ids=HELD)
def test_what_is_not_touched(tmp_path: Path, rest: str) -> None:
    folded = fold_text(tmp_path, DATA + FIRST + rest)
    blob = "six" if 'name: "add"' in rest and 'name: "six"' in rest else "one"
    assert not any(free(folded, blob))


def test_the_input_is_not_touched(tmp_path: Path) -> None:
    assert not any(free(fold_text(tmp_path, DATA + FIRST + pool("one", "x") + LAST), "data"))


def test_shared_weights_are_not_touched(tmp_path: Path) -> None:
    shared = 'param { name: "w" }\nparam { name: "b" }\nconvolution_param { num_output: 6 kernel_size: 1 }'
    text = DATA + layer("one", "Convolution", "data", "one", shared) + layer("two", "Convolution", "one", "x", shared)
    blobs = (np.eye(6, dtype=np.float32).reshape(6, 6, 1, 1), np.ones(6, np.float32))
    folded = fold_text(tmp_path, text + LAST, {"one": blobs, "two": blobs})
    assert not any(free(folded, "one"))
