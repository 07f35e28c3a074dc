"""The C reference: compiled, run on its golden vectors, and equal to the arithmetic of `integer` layer by layer."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exporting.nets import MODES, SAMPLES, Network, opened, pictures, sample, write
from tests.simulation.quantized import block, feeds_of, fixed, xilinx
from tests.small_nets import data, layer, net_of
from xportdnn.errors import NetworkError
from xportdnn.exporting.c_folder import FIXED, c_files, names, random_feeds
from xportdnn.exporting.literals import real, string, whole
from xportdnn.exporting.templates import text_of
from xportdnn.exporting.weights import exported
from xportdnn.layers import Array

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
BY_MODE = pytest.mark.parametrize("mode", MODES)


def texts(network: Network, batch: Array | None = None) -> dict[str, str]:
    """The folder; golden vectors of random numbers if there is no batch."""
    whole_net, blocks = network.opened, network.blocks
    feeds = random_feeds(whole_net, blocks)
    if batch is not None:
        feeds = feeds_of(whole_net.net, {next(iter(feeds)).blob: batch})
    return c_files(whole_net, exported(whole_net, blocks), blocks, feeds)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is the same for every network, compiled."""
    folder = tmp_path_factory.mktemp("objects")
    files = {name: text_of(name) for name in FIXED}
    written(folder, files)
    compiled(folder, ["-c", *sorted(name for name in files if name.endswith(".c"))])
    return folder


def compiled(folder: Path, arguments: list[str]) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler: cc")
    subprocess.run([compiler, *STRICT, *arguments], cwd=folder, check=True)


def written(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def built(folder: Path, files: dict[str, str], objects: Path) -> list[str]:
    """What the program prints, line by line, after its exit code."""
    written(folder, files)
    fixed_files = [str(path) for path in sorted(objects.glob("*.o"))]
    compiled(folder, ["network.c", "golden.c", *fixed_files, "-lm", "-o", "network"])
    done = subprocess.run([str(folder / "network")], capture_output=True, text=True, check=False)
    return [str(done.returncode), *done.stdout.splitlines()]


def check_equal(folder: Path, network: Network, objects: Path, batch: Array | None = None) -> list[str]:
    """All layers are; their names with "int" or "float" before them."""
    code, *lines = built(folder, texts(network, batch), objects)
    assert code == "0", lines
    assert all(re.fullmatch(r"equal \S+ .+: 0 of \d+ differ", line) for line in lines)
    return [line.removeprefix("equal ").rpartition(":")[0] for line in lines]


@BY_MODE
@pytest.mark.parametrize("name", SAMPLES)
def test_sample_networks(name: str, mode: str, objects: Path, tmp_path: Path) -> None:
    network = opened(sample(tmp_path, name, mode))
    layers = check_equal(tmp_path, network, objects, pictures(name, 1))
    assert [line.split(" ", 1)[1] for line in layers] == [each.name for each in network.opened.net.layers]
    in_float = {line.split(" ", 1)[1] for line in layers if line.startswith("float")}
    software = {"InnerProduct", "Softmax", "LRN"}
    assert in_float >= {each.name for each in network.opened.net.layers if each.type in software}
    weighted = [each.name for each in network.opened.net.layers if each.type in ("Convolution", "BatchNorm", "Scale")]
    assert in_float.isdisjoint(weighted)


def test_a_wrong_result_is_found(objects: Path, tmp_path: Path) -> None:
    """One weight is another one."""
    files = texts(opened(sample(tmp_path, "digits_plain", "Xilinx")))
    head, brace, numbers = files["layers/conv1.h"].partition("conv1__weights[200] = {\n    ")
    first, comma, rest = numbers.partition(",")
    files["layers/conv1.h"] = f"{head}{brace}{int(first) // 2 + 60}{comma}{rest}"
    code, *lines = built(tmp_path, files, objects)
    assert code == "1"
    assert any(line.startswith("FAILED int conv1: ") for line in lines)


CONV = "convolution_param { num_output: 4 kernel_size: 3 pad: 1 }\n" + xilinx(8, 3, 9, (1.0, 2.0, 3.0, 4.0))


def single(kind: str, param: str, formats: str, name: str = "x") -> str:
    """A layer that reads the input."""
    return data(2, 3, 5, 6, name=f"{name}_data") + layer(name, kind, f"{name}_data", name, f"{param}\n{formats}")


def behind(kind: str, param: str, formats: str, name: str = "x") -> str:
    """A layer that reads a convolution, and with it integers."""
    conv = data(2, 3, 5, 6, name=f"{name}_data") + layer(f"{name}_1", "Convolution", f"{name}_data", f"{name}_1", CONV)
    return conv + layer(name, kind, f"{name}_1", name, f"{param}\n{formats}")


def of_two(kind: str, param: str, formats: str, name: str = "x") -> str:
    """A layer that reads two convolutions."""
    convs = [layer(f"{name}_{i}", "Convolution", f"{name}_data", f"{name}_{i}", CONV) for i in (1, 2)]
    both = layer(name, kind, f"{name}_1 {name}_2", name, f"{param}\n{formats}")
    return data(2, 3, 5, 6, name=f"{name}_data") + "".join(convs) + both


class Case(NamedTuple):
    """One of the three above with its arguments."""

    text: Callable[..., str]
    kind: str
    param: str
    formats: str


SMALL = "convolution_param { num_output: 2 kernel_size: 2 }"
STRIDES = "kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 2"
WINDOWS = "kernel_size: 3 stride: 2 pad: 1"
ONES = (1.0,) * 7
ONE_LAYER = {
    "strides": Case(
        single, "Convolution", f"convolution_param {{ num_output: 6 group: 3 {STRIDES} }}", xilinx(8, 3, 2, ONES[:6])
    ),
    "dilation": Case(
        single,
        "Convolution",
        "convolution_param { num_output: 2 kernel_size: 2 dilation: 3 bias_term: false }",
        fixed(8, 5, 3, 6),
    ),
    "negative_fl": Case(single, "Convolution", SMALL, fixed(8, -2, -5, -3)),
    "finer_output": Case(single, "Convolution", SMALL, fixed(16, 2, 9, 3)),
    "bits_16": Case(single, "Convolution", SMALL, xilinx(16, 3, 2, (1.0, 2.0))),
    "inner_product": Case(
        single, "InnerProduct", "inner_product_param { num_output: 7 transpose: true }", xilinx(8, 3, 9, ONES)
    ),
    "inner_product_of_rows": Case(
        single, "InnerProduct", "inner_product_param { num_output: 7 axis: -1 }", fixed(8, 5, 3, 5)
    ),
    "maximum_pooling": Case(single, "Pooling", f"pooling_param {{ pool: MAX {WINDOWS} }}", xilinx(8, 3, 2)),
    "average_pooling": Case(single, "Pooling", f"pooling_param {{ pool: AVE {WINDOWS} }}", xilinx(8, 3, 2)),
    "finer_averages": Case(single, "Pooling", "pooling_param { pool: AVE kernel_size: 2 }", fixed(16, 2, 9)),
    "coarser_averages": Case(single, "Pooling", "pooling_param { pool: AVE global_pooling: true }", fixed(8, 6, 3)),
    "leaky": Case(behind, "ReLU", "relu_param { negative_slope: 0.3 }", xilinx(8, 9, 2)),
    "rectified": Case(behind, "ReLU", "", xilinx(8, 9, 5)),
    "sum": Case(of_two, "Eltwise", "", xilinx(8, 9, 12)),
    "weighted_sum": Case(of_two, "Eltwise", "eltwise_param { coeff: 0.5 coeff: -1.25 }", xilinx(8, 9, 12)),
    "maximum": Case(of_two, "Eltwise", "eltwise_param { operation: MAX }", xilinx(8, 9, 5)),
    "concat": Case(of_two, "Concat", "", xilinx(8, 9, 5)),
    "concat_of_rows": Case(of_two, "Concat", "concat_param { axis: 2 }", xilinx(8, 7, 7)),
    "permute": Case(behind, "Permute", "permute_param { order: 2 order: 0 order: 3 order: 1 }", xilinx(8, 9, 3)),
    "deconvolution": Case(
        single,
        "Deconvolution",
        f"convolution_param {{ num_output: 6 group: 3 dilation: 2 {STRIDES} }}",
        xilinx(8, 3, 2, ONES[:6]),
    ),
    "deconvolution_of_fixed": Case(
        single,
        "Deconvolution",
        "convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 bias_term: false }",
        fixed(8, 5, 3, 6),
    ),
    "softmax_of_rows": Case(single, "Softmax", "softmax_param { axis: 3 }", xilinx(8, 3, 3)),
}


IN_FLOAT = {
    "float_convolution": Case(
        single, "Convolution", f"convolution_param {{ num_output: 6 group: 3 dilation: 2 {STRIDES} }}", ""
    ),
    "float_deconvolution": Case(
        single, "Deconvolution", f"convolution_param {{ num_output: 6 group: 3 dilation: 2 {STRIDES} }}", ""
    ),
    "float_pooling": Case(single, "Pooling", f"pooling_param {{ pool: MAX {WINDOWS} }}", ""),
    "float_averages": Case(single, "Pooling", f"pooling_param {{ pool: AVE {WINDOWS} }}", ""),
    "float_sum": Case(of_two, "Eltwise", "", ""),
    "float_weighted_sum": Case(of_two, "Eltwise", "eltwise_param { coeff: 0.5 coeff: -1.25 }", ""),
    "float_product": Case(of_two, "Eltwise", "eltwise_param { operation: PROD }", ""),
    "float_maximum": Case(of_two, "Eltwise", "eltwise_param { operation: MAX }", ""),
    "float_concat": Case(of_two, "Concat", "concat_param { axis: 2 }", ""),
    "float_norm": Case(single, "BatchNorm", "", ""),
    "float_scale": Case(single, "Scale", "scale_param { bias_term: true }", ""),
    "float_scale_of_planes": Case(single, "Scale", "scale_param { axis: 2 num_axes: -1 }", ""),
    "float_relu": Case(single, "ReLU", "relu_param { negative_slope: 1.5 }", ""),
    "float_relu6": Case(single, "ReLU6", "", ""),
    "float_clip": Case(single, "Clip", "clip_param { min: -0.25 max: 0.5 }", ""),
    "float_prelu": Case(single, "PReLU", "", ""),
    "float_prelu_of_all": Case(single, "PReLU", "prelu_param { channel_shared: true }", ""),
    "float_normalize": Case(single, "Normalize", "", ""),
    "float_normalize_of_cells": Case(
        single, "Normalize", "norm_param { across_spatial: false channel_shared: false }", ""
    ),
    "float_product_of_rows": Case(single, "InnerProduct", "inner_product_param { num_output: 7 axis: 2 }", ""),
}


def floats_only(each: Case, name: str) -> str:
    """The text of a case without any block."""
    text = each.text(each.kind, each.param, each.formats, name=name)
    return re.sub(r"precision_param \{.*?\}", "", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def floats(objects: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The same of the layers in float."""
    folder = tmp_path_factory.mktemp("floats")
    text = chain(["c"]) + "".join(floats_only(each, name) for name, each in IN_FLOAT.items())
    _, *lines = built(folder, texts(write(folder, text)), objects)
    return lines


@pytest.mark.parametrize("name", IN_FLOAT)
def test_one_layer_in_float(name: str, floats: list[str]) -> None:
    assert [line for line in floats if re.fullmatch(rf"equal float {name}: 0 of \d+ differ", line)]


@pytest.fixture(scope="module")
def together(objects: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is printed of all of them, as one network with many inputs."""
    folder = tmp_path_factory.mktemp("together")
    text = "".join(each.text(each.kind, each.param, each.formats, name=name) for name, each in ONE_LAYER.items())
    _, *lines = built(folder, texts(write(folder, text)), objects)
    return lines


@pytest.mark.parametrize("name", ONE_LAYER)
def test_one_layer(name: str, together: list[str]) -> None:
    assert [line for line in together if re.fullmatch(rf"equal int {name}: 0 of \d+ differ", line)]


def test_ristretto_changes_its_bottom_for_others(objects: Path, tmp_path: Path) -> None:
    formats = block({"bw_layer_in": 4, "fl_layer_in": 2, "bw_params": 8, "fl_params": 5}, "quantization_param")
    conv = f"convolution_param {{ num_output: 2 kernel_size: 3 }}\n{formats}"
    text = (
        data(2, 3, 5, 6)
        + layer("c", "ConvolutionRistretto", "data", "c", conv)
        + layer("r", "ReLU", "data", "r")
        + layer("s", "Softmax", "r", "s")
    )
    lines = check_equal(tmp_path, write(tmp_path, text), objects)
    assert lines == ["float data", "int c", "int r", "float s"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (single("TanH", "", ""), r'layer "x" \(TanH, line \d+\): the C reference has no TanH in float'),
        (single("LRN", "lrn_param { norm_region: WITHIN_CHANNEL }", ""), "has no LRN WITHIN_CHANNEL"),
        (of_two("Eltwise", "eltwise_param { operation: PROD }", xilinx(8, 9, 12)), r'layer "x" .*no Eltwise PROD'),
        (single("Deconvolution", f"{SMALL[:-1]} axis: 0 }}", ""), r"of 2x3x5x6, the channels on axis 0"),
        (
            data(2, 3, 5, 6) + layer("x", "Pooling", "data", "x mask", "pooling_param { kernel_size: 2 }"),
            "has no Pooling of several tops in float",
        ),
        (single("Convolution", SMALL, xilinx(16, 300, 0.01, (1.0, 1.0))), "a sum could leave 64 bits"),
    ],
    ids=["TanH", "LRN", "PROD", "Deconvolution", "mask", "wide"],
)
def test_layers_that_it_has_not_are_named(text: str, message: str, tmp_path: Path) -> None:
    conv = f"convolution_param {{ num_output: 2 kernel_size: 3 }}\n{fixed(8, 5, 3, 5)}"
    text += data(1, 2, 5, 6, name="other") + layer("o", "Convolution", "other", "o", conv)
    network = write(tmp_path, text)
    with pytest.raises(NetworkError, match=message):
        texts(network)


def test_all_that_it_has_not_is_said_at_once(tmp_path: Path) -> None:
    """Also of layers behind others, with what helps."""
    text = chain(["c"]) + layer("one", "TanH", "c", "one") + layer("two", "Sigmoid", "one", "two")
    with pytest.raises(NetworkError, match="leave out --c_dir") as caught:
        texts(write(tmp_path, text))
    assert [problem.split(" ")[1] for problem in caught.value.problems] == ['"one"', '"two"']


def test_names_that_c_takes(objects: Path, tmp_path: Path) -> None:
    """Different ones for layers whose names differ in nothing that C knows."""
    conv = f"convolution_param {{ num_output: 2 kernel_size: 3 pad: 1 }}\n{xilinx(8, 3, 3, (1.0, 1.0))}"
    text = data(1, 2, 5, 6)
    bottom = "data"
    for name in ("a/b", "a.b", "A_B", "*/", "int"):
        text += layer(name, "Convolution", bottom, name, conv)
        bottom = name
    network = write(tmp_path, text)
    assert sorted(names(network.opened.net).values()) == ["A_B_layer3", "__", "a_b", "a_b_layer2", "data", "int"]
    assert check_equal(tmp_path, network, objects)[1:] == ["int a/b", "int a.b", "int A_B", "int */", "int int"]


def chain(names: Sequence[str]) -> str:
    """Convolutions of these names one behind another."""
    conv = f"convolution_param {{ num_output: 2 kernel_size: 3 pad: 1 }}\n{xilinx(8, 3, 3, (1.0, 1.0))}"
    pairs = pairwise(("data", *names))
    return data(1, 2, 5, 6) + "".join(layer(name, "Convolution", bottom, name, conv) for bottom, name in pairs)


def test_names_that_c_gives_could_be_those_of_other_layers(objects: Path, tmp_path: Path) -> None:
    """What tells two names apart may be another layer's name, as what C calls blobs and functions."""
    wanted = ("a/b", "a_b_layer3", "a:b", "run_x", "x_2", "x", "x__buffer_4", "x__run", "y" * 300, "y" * 301)
    network = write(tmp_path, chain(wanted))
    found = list(names(network.opened.net).values())
    assert found[:4] == ["data", "a_b", "a_b_layer3", "a_b_layer3_2"]
    assert found[-2:] == ["y" * 100, "y" * 100 + "_layer10"]
    assert check_equal(tmp_path, network, objects)[1:] == [f"int {name}" for name in wanted]


@given(
    st.lists(st.text("aA_:3rly", min_size=1, max_size=12) | st.just("a_layer2"), min_size=1, max_size=6, unique=True)
)
@settings(max_examples=50, deadline=None)
def test_no_two_names_are_the_same(wanted: list[str]) -> None:
    net = net_of(chain(wanted))
    found = [name.lower() for name in names(net).values()]
    assert len(set(found)) == len(net.layers)


def test_silence_has_nothing_to_compute(objects: Path, tmp_path: Path) -> None:
    text = chain(["c"]) + 'layer { name: "s" type: "Silence" bottom: "c" }\n'
    assert check_equal(tmp_path, write(tmp_path, text), objects) == ["float data", "int c"]


def test_layers_that_cut_blobs(objects: Path, tmp_path: Path) -> None:
    text = (
        chain(["c"])
        + layer("parts", "Slice", "c", "one two", "slice_param { axis: 2 slice_point: 2 }")
        + layer("small", "Pooling", "two", "small", "pooling_param { kernel_size: 2 }")
        + layer("cut", "Crop", "c small", "cut", "crop_param { axis: 2 offset: 3 offset: 1 }")
    )
    lines = check_equal(tmp_path, write(tmp_path, text), objects)
    assert lines == ["float data", "int c", "int parts", "int parts", "int small", "int cut"]


def test_headers_hold_what_hardware_needs(tmp_path: Path) -> None:
    found = texts(opened(sample(tmp_path, "digits_plain", "Xilinx")))["layers/conv1.h"]
    arrays = ("int8_t conv1__weights[200]", "int64_t conv1__multiplier[8]", "float conv1__weights_scale[8]")
    for array in (*arrays, "int32_t conv1__shift[1]"):
        assert f"static const {array} = {{" in found
    found = texts(opened(sample(tmp_path, "digits_plain", "DynamicFixed")))["layers/conv1.h"]
    assert "conv1__weights_scale[1] = {\n    0x1.0000000000000p-6f,\n};" in found
    assert "conv1__shift[1] = {\n    6,\n};" in found


def test_the_same_text_twice(tmp_path: Path) -> None:
    files = sample(tmp_path, "digits_plain", "Xilinx")
    assert texts(opened(files)) == texts(opened(files))


def test_literals() -> None:
    assert string('a"\\é??/') == '"a\\042\\134\\303\\251\\077\\077/"'
    assert [whole(value) for value in (0, -5, 1 << 31)] == ["0", "-5", "2147483648LL"]
    assert real(np.float32(0.1)) == "0x1.99999a0000000p-4f"
