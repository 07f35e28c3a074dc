"""Which blob goes to which layer, and what is said when a caffemodel and a prototxt disagree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.caffe_files import blob, v2
from tests.small_nets import by_name, conv, data, layer, net_of
from xportdnn.caffemodel import Caffemodel, read
from xportdnn.errors import WeightsError
from xportdnn.layers import Array, Shape
from xportdnn.network import infer_shapes
from xportdnn.weights import assign

CONV = data(1, 3, 5, 6) + conv("conv1", "data", "conv1", 4, "kernel_size: 2")


def inner_product(name: str, bottom: str, num_output: int, more: str = "") -> str:
    block = f"inner_product_param {{ num_output: {num_output} }}\n{more}"
    return layer(name, "InnerProduct", bottom, name, block)


def array(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def zeros(*shapes: Shape) -> list[bytes]:
    """Blobs of which only the shape matters."""
    return [blob(np.zeros(shape, np.float32)) for shape in shapes]


def assigned(folder: Path, text: str, caffemodel: bytes) -> Mapping[str, list[Array]]:
    """Layer name -> its blobs."""
    path = folder / "net.caffemodel"
    path.write_bytes(caffemodel)
    net = net_of(text)
    found = assign(net, infer_shapes(net, net.declared), read(path))
    return {net.layers[index].name: [each.values() for each in blobs] for index, blobs in found.items() if blobs}


def problems(folder: Path, text: str, caffemodel: bytes) -> tuple[str, ...]:
    """What is wrong, without the layers' places."""
    with pytest.raises(WeightsError) as caught:
        assigned(folder, text, caffemodel)
    return tuple(re.sub(r"^layer (\"\w+\") \(\w+, line \d+\)", r"\1", problem) for problem in caught.value.problems)


def test_layers_get_their_blobs_by_name(tmp_path: Path) -> None:
    weight, bias = array(4, 3, 2, 2), array(4, seed=1)
    found = assigned(tmp_path, CONV, v2("conv1", "Convolution", blob(weight), blob(bias)))
    np.testing.assert_array_equal(found["conv1"][0], weight)
    np.testing.assert_array_equal(found["conv1"][1], bias)


def test_layers_that_the_prototxt_does_not_have_are_ignored(tmp_path: Path) -> None:
    extra = v2("loss3", "InnerProduct", *zeros((7, 5)))
    assert list(assigned(tmp_path, CONV, extra + v2("conv1", "", *zeros((4, 3, 2, 2), (4,))))) == ["conv1"]


def test_layers_with_bottoms_of_unknown_shape_are_left_alone(tmp_path: Path) -> None:
    text = data(1, 3, 5, 6) + layer("odd", "FancyLayer", "data", "odd") + conv("conv1", "odd", "conv1", 4)
    assert assigned(tmp_path, text, b"") == {}


def test_old_shapes_lose_their_leading_ones(tmp_path: Path) -> None:
    weight, bias = array(4, 6), array(4, seed=1)
    old = v2("ip", "", blob(weight, legacy=True), blob(bias, legacy=True))
    found = assigned(tmp_path, data(1, 2, 1, 3) + inner_product("ip", "data", 4), old)
    np.testing.assert_array_equal(found["ip"][0], weight, strict=True)
    np.testing.assert_array_equal(found["ip"][1], bias, strict=True)


def test_new_shapes_must_match_axis_by_axis(tmp_path: Path) -> None:
    text = data(1, 2, 1, 3) + inner_product("ip", "data", 4)
    assert problems(tmp_path, text, v2("ip", "", *zeros((1, 1, 4, 6), (4,)))) == (
        '"ip": blob 0 has the shape [1, 1, 4, 6], it must be [4, 6]',
    )


def test_every_disagreement_is_said_at_once(tmp_path: Path) -> None:
    text = (
        CONV
        + conv("conv2", "conv1", "conv2", 7)
        + conv("conv3", "conv2", "conv3", 5, "kernel_size: 1 bias_term: false")
        + inner_product("ip", "conv3", 6)
    )
    stored = v2("conv1", "", *zeros((4, 3, 3, 2), (9,))) + v2("conv2", "", *zeros((7, 4, 1, 1)))
    stored += v2("conv3", "", *zeros((5, 7, 1, 1), (5,)))
    with pytest.raises(WeightsError, match=r"net\.caffemodel: 4 layers do not match net\.prototxt:") as caught:
        assigned(tmp_path, text, stored)
    assert [re.findall(r'^layer "(\w+)" \(\w+, line \d+\): ', text) for text in caught.value.problems] == [
        ["conv1"],
        ["conv1"],
        ["conv2"],
        ["conv3"],
        ["ip"],
    ]


def test_a_missing_layer_is_named_with_the_nearest_names(tmp_path: Path) -> None:
    stored = v2("conv1_new", "", *zeros((4, 3, 2, 2), (4,))) + v2("fc8", "", *zeros((2, 5)))
    text = CONV + layer("fc8", "InnerProduct", "conv1", "fc8", "inner_product_param { num_output: 2 }")
    assert problems(tmp_path, text, stored)[0] == (
        "\"conv1\": is not in the caffemodel; the nearest names there are 'conv1_new'"
    )


@pytest.mark.parametrize(
    ("text", "shapes", "problem"),
    [
        pytest.param(
            CONV,
            [(4, 3, 2, 2)],
            "has 1 blob(s) for it, Convolution here needs 2; the prototxt wants a bias, the weights have none: set "
            "bias_term: false, or use the matching file",
            id="no bias stored",
        ),
        pytest.param(
            CONV.replace("kernel_size: 2", "kernel_size: 2 bias_term: false"),
            [(4, 3, 2, 2), (4,)],
            "has 2 blob(s) for it, Convolution here needs 1; the weights have a bias, the prototxt says "
            "bias_term: false",
            id="no bias wanted",
        ),
        pytest.param(
            CONV,
            [(4, 3, 2, 2), (4,), (4, 3, 2, 2), (4,)],
            "has 4 blob(s) for it, Convolution here needs 2; extra blobs (masks, codebooks) come from a pruning or "
            "quantizing fork: export plain weights",
            id="masks",
        ),
        pytest.param(
            data(1, 3, 5, 6) + layer("conv1", "BatchNorm", "data", "conv1"),
            [(3,), (3,)],
            "has 2 blob(s) for it, BatchNorm here needs 3",
            id="no hint where there is no bias",
        ),
        pytest.param(
            data(1, 3, 5, 6) + layer("conv1", "ReLU", "data", "conv1"),
            [(3,)],
            "has 1 blob(s) for it, ReLU here needs 0",
            id="a layer without weights",
        ),
    ],
)
def test_a_wrong_number_of_blobs_is_explained(text: str, shapes: list[Shape], problem: str, tmp_path: Path) -> None:
    found = problems(tmp_path, text, v2("conv1", "", *zeros(*shapes)))
    assert found[0] == f'"conv1": the caffemodel {problem}'


@pytest.mark.parametrize(
    ("text", "shapes", "problem"),
    [
        pytest.param(
            data(1, 8, 5, 6) + conv("conv1", "data", "conv1", 4, "kernel_size: 3"),
            [(4, 2, 3, 3), (4,)],
            "blob 0 has the shape [4, 2, 3, 3], it must be [4, 8, 3, 3]; a group of 4 seems to be missing in the "
            "prototxt",
            id="group",
        ),
        pytest.param(
            data(1, 3, 5, 6) + inner_product("conv1", "data", 4),
            [(4, 48), (4,)],
            "blob 0 has the shape [4, 48], it must be [4, 90]; was the network trained with another input size (see "
            "--dims)?",
            id="input size",
        ),
        pytest.param(
            CONV, [(4, 3, 2, 2), (5,)], "blob 1 has the shape [5], it must be [4]", id="nothing that could be guessed"
        ),
    ],
)
def test_a_wrong_shape_is_explained(text: str, shapes: list[Shape], problem: str, tmp_path: Path) -> None:
    assert problems(tmp_path, text, v2("conv1", "", *zeros(*shapes))) == (f'"conv1": {problem}',)


NORMALISED = CONV + layer("bn", "BatchNorm", "conv1", "conv1")


@pytest.mark.parametrize(
    ("text", "stored", "cause"),
    [
        pytest.param(
            CONV,
            v2("conv1", "Convolution", *zeros((4, 3, 2, 2))) + v2("bn", "BatchNorm", *zeros((4,), (4,), (1,))),
            "the weights hold BatchNorm blobs, the prototxt was merged; use the unmerged deploy file",
            id="merged prototxt",
        ),
        pytest.param(
            NORMALISED,
            v2("conv1", "Convolution", *zeros((4, 3, 2, 2), (4,))),
            "BatchNorm was merged into these weights; use the merged (no-BN) deploy prototxt",
            id="merged weights",
        ),
        pytest.param(
            CONV,
            v2("fc8", "InnerProduct", *zeros((2, 5))),
            "no layer name occurs in both files, they belong to different networks",
            id="other network",
        ),
    ],
)
def test_the_probable_cause_stands_last(text: str, stored: bytes, cause: str, tmp_path: Path) -> None:
    assert problems(tmp_path, text, stored)[-1] == f"probable cause: {cause}"


def test_an_empty_caffemodel_is_called_empty(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="this caffemodel holds no weights at all"):
        assigned(tmp_path, CONV, v2("conv1", "Convolution"))


def test_no_caffemodel_at_all_is_asked_for() -> None:
    net = net_of(CONV)
    with pytest.raises(WeightsError, match=r"these layers have weights; give the caffemodel with --weights:") as caught:
        assign(net, infer_shapes(net, net.declared), Caffemodel("", ()))
    assert [problem.endswith("needs its blobs") for problem in caught.value.problems] == [True]


# Two layers with one weight; both names for the bias are left out.
TWINS = (
    data(1, 5)
    + inner_product("a", "data", 5, 'param { name: "w" }')
    + inner_product("b", "a", 5, 'param { name: "w" }')
)


def test_shared_parameters_are_one_blob(tmp_path: Path) -> None:
    stored = v2("a", "", blob(array(5, 5)), *zeros((5,))) + v2("b", "", blob(array(5, 5, seed=1)), *zeros((5,)))
    found = assigned(tmp_path, TWINS, stored)
    np.testing.assert_array_equal(found["a"][0], found["b"][0])


def test_the_last_of_shared_parameters_counts(tmp_path: Path) -> None:
    last = array(5, 5, seed=1)
    stored = v2("a", "", blob(array(5, 5)), *zeros((5,))) + v2("b", "", blob(last), *zeros((5,)))
    np.testing.assert_array_equal(assigned(tmp_path, TWINS, stored)["a"][0], last)


def test_the_second_owner_needs_no_blobs_of_its_own(tmp_path: Path) -> None:
    text = TWINS.replace('param { name: "w" }', 'param { name: "w" } param { name: "b" }')
    weight = array(5, 5)
    found = assigned(tmp_path, text, v2("a", "", blob(weight), *zeros((5,))))
    np.testing.assert_array_equal(found["b"][0], weight)


def test_what_is_not_shared_is_still_missing(tmp_path: Path) -> None:
    assert problems(tmp_path, TWINS, v2("a", "", *zeros((5, 5), (5,)))) == ('"b": is not in the caffemodel',)


RESHAPED = (
    data(1, 6)
    + inner_product("a", "data", 4, 'param { name: "w" }')
    + inner_product("b", "a", 6, 'param { name: "w" share_mode: STRICT }')
)


def test_shared_parameters_need_one_shape(tmp_path: Path) -> None:
    message = (
        r"\"b\" .*shares the parameter 'w' of layer \"a\", which has the shape \[4, 6\]; this layer needs \[6, 4\]"
    )
    with pytest.raises(WeightsError, match=message):
        assigned(tmp_path, RESHAPED, b"")


def test_permissive_sharing_needs_only_as_many_values(tmp_path: Path) -> None:
    last = array(6, 4, seed=1)
    stored = v2("a", "", *zeros((4, 6), (4,))) + v2("b", "", blob(last), *zeros((6,)))
    found = assigned(tmp_path, RESHAPED.replace("STRICT", "PERMISSIVE"), stored)
    np.testing.assert_array_equal(found["a"][0], last.reshape(4, 6), strict=True)
    np.testing.assert_array_equal(found["b"][0], last, strict=True)


def test_permissive_sharing_checks_every_stored_shape(tmp_path: Path) -> None:
    stored = v2("a", "", *zeros((4, 6), (4,))) + v2("b", "", *zeros((8, 3), (6,)))
    found = problems(tmp_path, RESHAPED.replace("STRICT", "PERMISSIVE"), stored)
    assert '"b": blob 0 has the shape [8, 3], it must be [6, 4]' in found


def test_a_depthwise_alias_gets_its_weights(tmp_path: Path) -> None:
    text = data(1, 3, 5, 6) + layer(
        "dw", "DepthwiseConvolution", "data", "dw", "convolution_param { num_output: 3 kernel_size: 2 }"
    )
    net = net_of(text)
    assert by_name(net, "dw").params.group == 3
    weight = array(3, 1, 2, 2)
    found = assigned(tmp_path, text, v2("dw", "DepthwiseConvolution", blob(weight), *zeros((3,))))
    np.testing.assert_array_equal(found["dw"][0], weight)
