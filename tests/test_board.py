"""`board.problems` finds each kind of fault: networks without one, and every time a single thing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.board import MATRICES, Matrix, Mode, problems
from tests.test_schemas import shared_text

if TYPE_CHECKING:
    from collections.abc import Callable


def layer(name: str, kind: str, bottoms: str, tops: str, rest: str = "") -> str:
    blobs = "".join(f'  bottom: "{blob}"\n' for blob in bottoms.split())
    blobs += "".join(f'  top: "{blob}"\n' for blob in tops.split())
    return f'layer {{\n  name: "{name}"\n  type: "{kind}"\n{blobs}  {rest}\n}}\n'


def thresholds(th_in: str, th_out: str, *th_params: str) -> str:
    """A block of Xilinx mode; with `th_params` one of a layer with weights."""
    bits = "bw_layer_in: 8 bw_layer_out: 8" + (" bw_params: 8" if th_params else "")
    weights = "".join(f" th_params: {value}" for value in th_params)
    return f'precision_param {{ {bits} th_layer_in: {th_in} th_layer_out: {th_out}{weights} quant_type: "Xilinx" }}'


def fractions(more: str = "") -> str:
    """A block of DynamicFixed mode without weights; `more` comes before quant_type."""
    start = "precision_param { bw_layer_in: 8 bw_layer_out: 8 fl_layer_in: 3 fl_layer_out: 2 "
    return start + more + 'quant_type: "DynamicFixed" }'


WEIGHT_FRACTIONS = (
    "precision_param { bw_layer_in: 8 bw_layer_out: 8 bw_params: 8 fl_layer_in: 3 fl_layer_out: 2 fl_params: 5"
    ' quant_type: "DynamicFixed" }'
)
BATCH_NORM = "batchnorm_mean_fl: 4 batchnorm_variance_fl: 3 batchnorm_mean_bw: 8 batchnorm_variance_bw: 8 "
SCALE = (
    "scale_gamma_fl: 5 scale_beta_fl: 5 scale_gamma_bw: 8 scale_beta_bw: 8"
    " scale_gamma_by_std_fl: 2 scale_gamma_by_std_bw: 8 "
)
SHAPE = "input_param { shape { dim: 1 dim: 3 dim: 8 dim: 9 } }"
CONVOLUTION = "convolution_param { num_output: 2 kernel_size: 3 } "
AVERAGE = "pooling_param { pool: AVE kernel_size: 2 } "
RELU = "precision_param { bw_layer_in: 8 bw_layer_out: 8 th_layer_in: 6.25 th_layer_out: 6.25 }"

# Not a network that the board could run: every rule has its layer.
XILINX = {
    "data": layer("data", "Input", "", "data", SHAPE + " precision_param { bw_layer_out: 8 th_layer_out: 150.5 }"),
    "conv": layer("conv", "Convolution", "data", "conv", CONVOLUTION + thresholds("150.5", "6.25", "0.5", "0.125")),
    "relu": layer("relu", "ReLU", "conv", "conv", RELU),
    "drop": layer("drop", "Dropout", "conv", "conv"),
    "pool": layer("pool", "Pooling", "conv", "pool", thresholds("6.25", "6.25")),
    "split": layer("split", "Split", "pool", "pool_0 pool_1"),
    "left": layer("left", "Convolution", "pool_0", "left", CONVOLUTION + thresholds("6.25", "2.5", "1", "2")),
    "right": layer(
        "right", "DepthwiseConvolution", "pool_1", "right", CONVOLUTION + thresholds("6.25", "2.5", "3", "4")
    ),
    "sum": layer("sum", "Eltwise", "left right", "sum", thresholds("2.5", "2.5")),
    "join": layer("join", "Concat", "sum left", "join", thresholds("2.5", "2.5")),
    "bn": layer("bn", "BatchNorm", "join", "bn", thresholds("2.5", "3.5")),
    "scale": layer("scale", "Scale", "bn", "bn", thresholds("3.5", "4")),
    "up": layer("up", "Deconvolution", "bn", "up", CONVOLUTION + thresholds("4", "11", "5", "6")),
    "norm": layer("norm", "Normalize", "bn", "norm", thresholds("4", "5")),
    "permute": layer("permute", "Permute", "norm", "permute", thresholds("5", "5")),
    "flat": layer("flat", "Flatten", "permute", "flat"),
    "fc": layer("fc", "InnerProduct", "flat", "fc", "inner_product_param { num_output: 7 }"),
    "relu7": layer("relu7", "ReLU", "fc", "fc", RELU.replace("6.25", "7.5")),
    "prob": layer("prob", "Softmax", "fc", "prob"),
}

DYNAMIC = {
    "data": layer("data", "Input", "", "data", SHAPE),
    "conv": layer("conv", "ConvolutionRistretto", "data", "conv", CONVOLUTION + WEIGHT_FRACTIONS),
    "bn": layer("bn", "BatchNorm", "conv", "conv", fractions(BATCH_NORM)),
    "scale": layer("scale", "Scale", "conv", "conv", fractions(SCALE)),
    "relu": layer("relu", "ReLU", "conv", "conv"),
    "max": layer("max", "Pooling", "conv", "max", fractions()),
    "ave": layer("ave", "Pooling", "max", "ave", AVERAGE + fractions()),
    "sum": layer("sum", "Eltwise", "ave ave", "sum", fractions()),
    "norm": layer("norm", "Normalize", "sum", "norm"),
    "up": layer("up", "Deconvolution", "norm", "up", CONVOLUTION),
    "permute": layer("permute", "Permute", "up", "permute", fractions()),
    "fc": layer("fc", "InnerProduct", "permute", "fc"),
}


def network(layers: dict[str, str], **others: str) -> str:
    assert others.keys() <= layers.keys()
    return 'name: "net"\n' + "".join((layers | others).values())


def parser_form(layers: dict[str, str]) -> dict[str, str]:
    """The Xilinx network as the parser wants it: fewer blocks, and weights of Normalize."""
    bare = {name: layers[name].split("precision_param")[0] + "}\n" for name in ("data", "relu", "join", "relu7")}
    norm = layer("norm", "Normalize", "bn", "norm", thresholds("4", "5", "7", "8", "9"))
    return layers | bare | {"norm": norm}


@pytest.mark.parametrize(
    ("text", "mode", "matrix"),
    [
        pytest.param(network(XILINX), "Xilinx", "guide", id="xilinx-guide"),
        pytest.param(network(parser_form(XILINX)), "Xilinx", "parser", id="xilinx-parser"),
        pytest.param(network(DYNAMIC), "DynamicFixed", "guide", id="dynamic-guide"),
        pytest.param(
            network(
                DYNAMIC,
                max=layer("max", "Pooling", "conv", "max"),
                norm=layer("norm", "Normalize", "sum", "norm", fractions()),
                up=layer("up", "Deconvolution", "norm", "up", CONVOLUTION + fractions()),
            ),
            "DynamicFixed",
            "parser",
            id="dynamic-parser",
        ),
    ],
)
def test_nothing_to_report(text: str, mode: Mode, matrix: Matrix) -> None:
    assert problems(text, mode, matrix) == []


@pytest.mark.parametrize(
    "rewrite",
    [
        pytest.param(lambda text: text.replace("{", ": <").replace("}", ">"), id="angle-brackets"),
        pytest.param(lambda text: text.replace("th_params: 1 th_params: 2", "th_params: [1, 2];"), id="list"),
        pytest.param(lambda text: text.replace("th_layer_in:", "th_layer_in: # } 3\n"), id="comment"),
        pytest.param(lambda text: text.replace("prob", 'pr#o{b\\"'), id="string"),
    ],
)
def test_other_spellings_of_the_same(rewrite: Callable[[str], str]) -> None:
    assert problems(rewrite(network(XILINX)), "Xilinx") == []


def test_the_published_result_of_the_original() -> None:
    assert problems(shared_text("golden/xportdnn_original/fcn5_deploy_666.prototxt"), "Xilinx") == []


def test_thresholds_of_a_published_googlenet_meet() -> None:
    name = "golden/mlsuite_structure/bvlc_googlenet_without_lrn_quantized_train_val.prototxt"
    text = shared_text(name).replace("quantization_param", "precision_param")
    found = problems(text, "Xilinx", "parser")
    assert [problem for problem in found if " fields " not in problem and " takes no " not in problem] == []


# What is wrong -> layer, the text in it, what takes its place, how each report starts.
FAULTS = {
    "unknown block": ("norm", "precision_param", "blob_precision", ["EP002"]),
    "unknown field": ("sum", "bw_layer_in", "bwlayer_in", ["EP002"]),
    "field twice": ("sum", "th_layer_in: 2.5", "th_layer_in: 2.5 th_layer_in: 2.5", ["EP002"]),
    "block twice": ("pool", "precision_param {", "precision_param {} precision_param {", ["EP002"]),
    "no block": ("pool", thresholds("6.25", "6.25"), "", ["pool: Pooling MAX without precision_param"]),
    "needless block": ("prob", "top:", "precision_param {} top:", ["prob: Softmax takes no precision_param"]),
    "block of Ristretto": (
        "prob",
        "top:",
        "quantization_param {} top:",
        ["prob: CHaiDNN would read the quantization_"],
    ),
    "field missing": ("up", " bw_params: 8", "", ["up: fields"]),
    "field of the other mode": ("up", " bw_params: 8", " bw_params: 8 fl_params: 5", ["up: fields"]),
    "fields out of order": ("up", "bw_layer_in: 8 bw_layer_out: 8", "bw_layer_out: 8 bw_layer_in: 8", ["up: fields"]),
    "no th_params": ("up", "th_params: 5 th_params: 6", "", ["up: fields"]),
    "quant_type of ReLU": ("relu7", "7.5 }", '7.5 quant_type: "Xilinx" }', ["relu7: fields"]),
    "bw_layer_in of Input": ("data", "bw_layer_out", "bw_layer_in: 8 bw_layer_out", ["data: fields"]),
    "other quant_type": ("up", '"Xilinx"', '"DynamicFixed"', ["up: quant_type DynamicFixed instead of Xilinx"]),
    "nan": ("up", "th_layer_out: 11", "th_layer_out: nan", ["up: th_layer_out is nan"]),
    "infinite as float32": ("up", "th_layer_out: 11", "th_layer_out: 1e39", ["up: th_layer_out is inf"]),
    "zero": ("up", "th_layer_out: 11", "th_layer_out: 0", ["up: th_layer_out is 0.0"]),
    "zero as float32": ("up", "th_params: 6", "th_params: 1e-50", ["up: th_params 1 is 0.0"]),
    "negative": ("up", "th_params: 6", "th_params: -6", ["up: th_params 1 is -6.0"]),
    "too few th_params": ("up", " th_params: 6", "", ["up: 1 th_params for num_output 2"]),
    "too many th_params": ("right", ": 4", ": 4 th_params: 5", ["right: 3 th_params for num_output 2"]),
    "other digits": (
        "up",
        "th_layer_in: 4",
        "th_layer_in: 4.0",
        ["up: th_layer_in 4.0, but the output of scale has 4"],
    ),
    "broken in place": ("bn", "out: 3.5", "out: 3.6", ["scale: th_layer_in 3.5, but the output of bn has 3.6"]),
    "broken over Split": ("left", "in: 6.25", "in: 6", ["left: th_layer_in 6, but the output of pool has 6.25"]),
    "broken at Input": ("data", "150.5", "9", ["conv: th_layer_in 150.5, but the output of data has 9"]),
    "Permute scales": ("permute", "out: 5", "out: 6", ["permute: th_layer_in 5, but th_layer_out 6"]),
    "ReLU scales": ("relu7", "out: 7.5", "out: 8", ["relu7: th_layer_in 7.5, but th_layer_out 8"]),
    "Pooling scales": ("pool", "out: 6.25", "out: 6", ["pool: th_layer_in 6.25, but", "left: th_", "right: th_"]),
    "Eltwise scales": ("sum", "out: 2.5", "out: 2", ["sum: th_layer_in 2.5, but", "join: inputs differ", "join: th_"]),
    "Concat scales": ("join", "out: 2.5", "out: 2", ["join: th_layer_in 2.5, but", "bn: th_layer_in 2.5"]),
    "inputs differ": ("right", "out: 2.5", "out: 3", ["sum: inputs differ, left 2.5, right 3", "sum: th_layer_in 2.5"]),
    "batch": ("data", "dim: 1 ", "dim: 10 ", ["data: batch [[10]], the board takes 1"]),
    "no shape": ("data", "shape { dim: 1 dim: 3 dim: 8 dim: 9 }", "", ["data: batch unknown"]),
    "name twice": ("up", 'name: "up"', 'name: "norm"', ["norm: 2 layers of this name (EP010)"]),
    "no producer": ("prob", 'bottom: "fc"', 'bottom: "fd"', ["prob: bottom fd has no producer before it (EX002)"]),
    "second producer": ("prob", 'top: "prob"', 'top: "conv"', ["prob: top conv has another producer (EX003)"]),
}


@pytest.mark.parametrize(("name", "old", "new", "expected"), FAULTS.values(), ids=FAULTS)
def test_finds_the_fault(name: str, old: str, new: str, expected: list[str]) -> None:
    assert XILINX[name].count(old) == 1
    found = problems(network(XILINX | {name: XILINX[name].replace(old, new)}), "Xilinx")
    assert [problem[: len(start)] for problem, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize("name", ["conv", "bn", "scale", "max", "ave", "sum", "permute"])
@pytest.mark.parametrize("old", ["fl_layer_out: 2 ", "bw_layer_out: 8 ", 'quant_type: "DynamicFixed"'])
def test_finds_a_missing_field_of_dynamic_fixed(name: str, old: str) -> None:
    assert DYNAMIC[name].count(old) == 1
    (problem,) = problems(network(DYNAMIC | {name: DYNAMIC[name].replace(old, "")}), "DynamicFixed")
    assert problem.startswith(f"{name}: fields ")


@pytest.mark.parametrize(
    ("mode", "matrix", "row"), [(*key, row) for key, rows in MATRICES.items() for row in rows], ids=str
)
def test_every_row_is_demanded(mode: Mode, matrix: Matrix, row: str) -> None:
    kind, _, method = row.partition(" ")
    rest = f"pooling_param {{ pool: {method} }}" if method else SHAPE if kind == "Input" else ""
    text = 'input: "data" input_dim: 1 ' + layer("it", kind, "data", "it", rest)
    assert problems(text, mode, matrix) == [f"it: {row} without precision_param"]


def test_the_parser_wants_other_blocks_than_the_guide() -> None:
    found = problems(network(XILINX), "Xilinx", "parser")
    assert [problem.split(" instead")[0] for problem in found] == [
        "data: Input takes no precision_param",
        "relu: ReLU takes no precision_param",
        "join: Concat takes no precision_param",
        "norm: fields bw_layer_in bw_layer_out th_layer_in th_layer_out quant_type",
        "relu7: ReLU takes no precision_param",
    ]


def test_an_unquantized_input_still_has_one_threshold() -> None:
    layers = parser_form(XILINX)
    other = layer("other", "Convolution", "data", "other", CONVOLUTION + thresholds("150", "1", "2", "3"))
    (problem,) = problems(network(layers) + other, "Xilinx", "parser")
    assert problem.startswith("other: th_layer_in 150, but the output of data has 150.5")


@pytest.mark.parametrize("kind", ["Concat", "Crop", "Dropout", "Flatten", "ReLU", "Reshape", "Slice", "Split"])
def test_thresholds_pass_through_layers_without_blocks(kind: str) -> None:
    layers = parser_form(XILINX)
    layers["carry"] = layer("carry", kind, "pool", "carried")
    layers["after"] = layer("after", "Permute", "carried", "after", thresholds("6.2", "6.2"))
    assert problems(network(layers), "Xilinx", "parser") == ["after: th_layer_in 6.2, but the output of pool has 6.25"]


def test_thresholds_stop_at_layers_that_compute() -> None:
    layers = XILINX | {"power": layer("power", "Power", "pool", "power")}
    layers["after"] = layer("after", "Permute", "power", "after", thresholds("6.2", "6.2"))
    assert problems(network(layers), "Xilinx") == []


def test_a_factor_has_its_own_threshold() -> None:
    factor = layer("factor", "Scale", "conv norm", "factor", thresholds("6.25", "9"))
    assert problems(network(XILINX) + factor, "Xilinx") == []


def test_uncalibrated_layers_are_excused() -> None:
    lrn, permute = layer("norm", "LRN", "bn", "norm"), layer("permute", "Permute", "norm", "permute")
    text = network(XILINX, norm=lrn, permute=permute)
    assert problems(text, "Xilinx") == ["permute: Permute without precision_param"]
    assert problems(text, "Xilinx", uncalibrated=frozenset({"permute"})) == []


def test_layers_of_the_training_phase_are_skipped() -> None:
    train = layer("data", "Data", "", "data label", "include { phase: TRAIN } precision_param {}")
    assert problems(train + network(XILINX), "Xilinx") == []
    assert problems(train.replace("TRAIN", "TEST") + network(XILINX), "Xilinx") == [
        "data: 2 layers of this name (EP010)",
        "data: fields  instead of bw_layer_out th_layer_out",
        "data: top data has another producer (EX003)",
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 9", [], id="input_dim"),
        pytest.param("input_shape { dim: 1 dim: 3 }", [], id="input_shape"),
        pytest.param("input_dim: 2 input_dim: 3 input_dim: 8 input_dim: 9", ["[[2]]"], id="input_dim-2"),
        pytest.param("input_shape { dim: 2 dim: 3 }", ["[[2]]"], id="input_shape-2"),
        pytest.param("", ["unknown"], id="none"),
    ],
)
def test_batch_of_the_legacy_header(header: str, expected: list[str]) -> None:
    text = f'input: "data" {header} ' + layer("fc", "InnerProduct", "data", "fc")
    assert problems(text, "Xilinx") == [f"input: batch {batch}, the board takes 1" for batch in expected]


@pytest.mark.parametrize("text", ['name: "net"', "layers { }"])
def test_a_net_without_layers(text: str) -> None:
    assert problems(text, "Xilinx") == ["EP106: no layer entries"]
