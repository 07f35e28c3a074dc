"""Which values share a threshold, layer type by layer type and in whole networks."""

from __future__ import annotations

from collections.abc import Mapping, Set
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.small_nets import (
    INCEPTION,
    PLAIN,
    RESIDUAL,
    by_name,
    conv,
    data,
    layer,
    net_of,
    random_weights,
    value,
    write_net,
    write_pictures,
)
from xportdnn import api, scales
from xportdnn.choices import ScaleClasses
from xportdnn.layers import LayerKind, types
from xportdnn.network import Layer, Value
from xportdnn.prototxt import Field, Message, Scalar, Source, parse

BOARD, ORIGINAL = ScaleClasses.BOARD, ScaleClasses.ORIGINAL
KINDS: dict[str, LayerKind[Any]] = {
    found.name: found for found in (import_module(f"xportdnn.layers.{module}").KIND for module in types())
}


def partition(text: str, how: ScaleClasses) -> set[str]:
    """The classes, each as its values in order: "blob", or "blob@layer" where the layer has another name."""
    net = net_of(text)

    def name(found: Value) -> str:
        writer = net.layers[found.writer].name
        return found.blob if found.blob == writer else f"{found.blob}@{writer}"

    classes = scales.members(scales.classes(net.layers, how))
    return {" ".join(map(name, sorted(values, key=lambda found: found.writer))) for values in classes.values()}


# ---- one layer

# The board moves these integers unchanged from all bottoms to all tops, those of `FIRST` from the first bottom.
TIED = {
    "Clip", "Concat", "Dropout", "Eltwise", "Flatten", "Permute", "Pooling", "ReLU", "ReLU6", "Reshape",
    "ShuffleChannel", "Slice", "Split", "Tile",
}  # fmt: skip
FIRST = {"BatchReindex", "Crop"}
TIED_BY_THE_ORIGINAL = {"Concat", "Dropout", "Flatten", "Permute", "Pooling", "ReLU", "Reshape", "Split"}

A, B, C, D = Value("a", 0), Value("b", 0), Value("c", 1), Value("d", 1)


def together(kind: str, how: ScaleClasses) -> set[frozenset[Value]]:
    """The classes that a layer of the type makes of bottoms a and b and tops c and d."""
    it = Layer(1, "it", kind, (A, B), (C, D), KINDS[kind], None, Field("layer", Message((), 0, 0), 0, 0))
    return {frozenset(values) for values in scales.members(scales.classes([it], how)).values()}


ALONE = {frozenset({each}) for each in (A, B, C, D)}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_board_ties(kind: str) -> None:
    expected = ALONE
    if kind == "Pooling":  # d is the mask: indices, no quantity
        expected = {frozenset({A, B, C}), frozenset({D})}
    elif kind in TIED:
        expected = {frozenset({A, B, C, D})}
    elif kind in FIRST:
        expected = {frozenset({A, C, D}), frozenset({B})}
    assert together(kind, BOARD) == expected


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_original_ties(kind: str) -> None:
    assert together(kind, ORIGINAL) == (together(kind, BOARD) if kind in TIED_BY_THE_ORIGINAL else ALONE)


def test_a_type_without_a_rule_ties_nothing() -> None:
    text = data(1, 3, 5, 7) + layer("my", "MyLayer", "data", "my") + layer("act", "ReLU", "my", "act")
    assert partition(text, BOARD) == {"data", "my act"}


# ---- whole networks


@pytest.mark.parametrize(
    ("text", "how", "expected"),
    [
        pytest.param(
            PLAIN, BOARD, {"data", "conv1 conv1@relu1 pool1", "conv2 pool2", "fc", "prob"}, id="plain, board"
        ),
        pytest.param(
            PLAIN, ORIGINAL, {"data", "conv1 conv1@relu1 pool1", "conv2 pool2", "fc", "prob"}, id="plain, original"
        ),
        pytest.param(
            RESIDUAL,
            BOARD,
            {"data", "stem stem@stem_relu", "left", "left@left_bn", "left@left_scale right sum sum@sum_relu swap"},
            id="residual, board",
        ),
        pytest.param(
            RESIDUAL,
            ORIGINAL,
            {
                "data", "stem stem@stem_relu", "left", "left@left_bn", "left@left_scale", "right",
                "sum sum@sum_relu swap",
            },
            id="residual, original: the branches keep their own",
        ),
        pytest.param(
            INCEPTION,
            BOARD,
            {
                "data", "stem stem@stem_relu", "norm c_pool", "b_reduce b_reduce@b_reduce_relu",
                "a a@a_relu b b@b_relu c c@c_relu join join@drop pool", "last",
            },
            id="inception, board",
        ),
    ],
)  # fmt: skip
def test_partition(text: str, how: ScaleClasses, expected: set[str]) -> None:
    assert partition(text, how) == expected


def test_a_residual_stage_is_one_class() -> None:
    text = data(1, 3, 5, 7) + conv("x0", "data", "x0", 3)
    for block in range(4):
        text += conv(f"f{block}", f"x{block}", f"f{block}", 3)
        text += layer(f"x{block + 1}", "Eltwise", f"x{block} f{block}", f"x{block + 1}")
    assert partition(text, BOARD) == {"data", "x0 f0 x1 f1 x2 f2 x3 f3 x4"}


def test_every_class_is_named_by_its_first_value() -> None:
    for text in (PLAIN, RESIDUAL, INCEPTION):
        found = scales.classes(net_of(text).layers, BOARD)
        for root, values in scales.members(found).items():
            assert root == min(values, key=lambda each: each.writer)
            assert found[root] == root


def test_the_order_of_layers_does_not_matter() -> None:
    layers = net_of(INCEPTION).layers
    expected = scales.classes(layers, BOARD)
    assert scales.classes(layers[::-1], BOARD) == expected
    assert scales.classes(layers[::2] + layers[1::2], BOARD) == expected


# ---- scores


def test_scores_are_what_a_softmax_reads_and_what_it_was_pooled_from() -> None:
    text = data(1, 3, 5, 7) + conv("a", "data", "a", 4) + layer("r", "ReLU", "a", "a")
    text += layer("p", "Pooling", "a", "p", "pooling_param { pool: AVE global_pooling: true }")
    text += layer("f", "Flatten", "p", "f") + layer("prob", "Softmax", "f", "prob") + conv("b", "data", "b", 2)
    net = net_of(text)
    wanted = {value(net, "a"), value(net, "a", "r"), value(net, "p"), value(net, "f")}
    assert scales.scores(net) == wanted


def test_an_inner_product_makes_scores_of_something_else() -> None:
    text = data(1, 3, 5, 7) + conv("a", "data", "a", 4)
    text += layer("fc", "InnerProduct", "a", "fc", "inner_product_param { num_output: 2 }")
    net = net_of(text + layer("best", "ArgMax", "fc", "best"))
    assert scales.scores(net) == {value(net, "fc")}


# ---- what the board never stores


@pytest.mark.parametrize(
    ("readers", "expected"),
    [
        pytest.param(layer("r", "ReLU", "c", "c"), True, id="ReLU in place"),
        pytest.param(layer("r", "ReLU", "c", "r"), True, id="ReLU beside"),
        pytest.param(layer("r", "ReLU6", "c", "c"), True, id="ReLU6"),
        pytest.param(layer("r", "Clip", "c", "c", "clip_param { min: 0 max: 6 }"), True, id="Clip"),
        pytest.param(layer("r", "ReLU", "c", "r") + layer("s", "ReLU", "c", "s"), True, id="two ReLUs"),
        pytest.param(layer("r", "ReLU", "c", "r") + conv("s", "c", "s", 2), False, id="ReLU and Convolution"),
        pytest.param(layer("p", "Pooling", "c", "p"), False, id="Pooling"),
        pytest.param(layer("p", "PReLU", "c", "c"), False, id="PReLU"),
        pytest.param(layer("m", "MyLayer", "c", "m"), False, id="type without a rule"),
        pytest.param("", False, id="nobody reads it"),
    ],
)
def test_folded(readers: str, expected: bool) -> None:
    net = net_of(data(1, 3, 5, 7) + conv("c", "data", "c", 2) + readers)
    assert scales.folded(net, value(net, "c")) is expected


def test_copied() -> None:
    net = net_of(INCEPTION)
    assert [each.name for each in net.layers if scales.copied(each)] == ["join", "drop"]
    net = net_of(RESIDUAL)
    assert [each.name for each in net.layers if scales.copied(each)] == ["swap"]
    assert not scales.copied(by_name(net, "sum"))


# ---- GoogLeNet without LRN, as the sibling quantizer of ml-suite wrote it

SHARED = Path(__file__).parents[2] / "shared" / "golden" / "mlsuite_structure"


def shared(name: str) -> str:
    path = SHARED / f"bvlc_googlenet_without_lrn_{name}.prototxt"
    if not path.exists():
        pytest.skip(f"ml-suite's files are not here: {path.name}")
    return path.read_text(encoding="utf-8")


def places(text: str, block: str) -> dict[tuple[str, str], str]:
    """(layer, th_layer_in or th_layer_out) -> the digits in the text."""
    return {
        (entry.string("name"), field.name): field.value.text
        for entry in parse(Source("net.prototxt", text)).root.messages("layer")
        for found in entry.messages(block)
        for field in found.fields
        if field.name in ("th_layer_in", "th_layer_out") and isinstance(field.value, Scalar)
    }


def same_digits(found: Mapping[tuple[str, str], str], among: Set[tuple[str, str]]) -> set[frozenset[tuple[str, str]]]:
    """The places that share a threshold."""
    grouped: dict[str, set[tuple[str, str]]] = {}
    for place in among:
        grouped.setdefault(found[place], set()).add(place)
    return {frozenset(group) for group in grouped.values()}


def test_googlenet_shares_thresholds_where_mlsuite_does(tmp_path: Path) -> None:
    theirs = places(shared("quantized_train_val"), "quantization_param")
    text = shared("deploy").replace("dim: 224", "dim: 64").replace("kernel_size: 7\n    stride: 1", "kernel_size: 2")
    net = net_of(text)
    weights = {
        name: tuple(blob / np.float32(max(1, np.sqrt(blob[0].size))) for blob in blobs)
        for name, blobs in random_weights(net, net.declared).items()
    }
    files = write_net(tmp_path, text, weights)
    made = api.convert(
        files.deploy,
        files.weights,
        calibration_directory=write_pictures(tmp_path / "pictures", 1, (64, 64)),
        threshold_method="max",
        workers=1,
    )
    ours = places(made.text, "precision_param")
    common = theirs.keys() & ours.keys()
    # everything but the classifier, for which the board wants no block
    assert {name for name, _ in theirs.keys() - common} == {"loss3/classifier"}
    assert len(common) == 161
    assert same_digits(ours, common) == same_digits(theirs, common)
