"""The plan as values: which layers, which fields, in what order, with what numbers."""

from __future__ import annotations

import pytest

from tests.small_nets import INCEPTION, PLAIN, RESIDUAL, by_name, conv, data, layer, net_of
from xportdnn import scales
from xportdnn.choices import Matrix, Mode, ScaleClasses, Triple
from xportdnn.network import Net
from xportdnn.plan import Block, FieldValue, Thresholds, dynamic_fixed, needed, xilinx

BITS, FRACTION = Triple(6, 7, 8), Triple(2, 5, -3)
SSD_HEAD = (
    data(1, 3, 5, 7)
    + layer("norm", "Normalize", "data", "norm")
    + layer("up", "Deconvolution", "norm", "up", "convolution_param { num_output: 2 kernel_size: 2 }")
    + layer("swap", "Permute", "up", "swap", "permute_param { order: 0 order: 2 order: 3 order: 1 }")
    + layer("flat", "Flatten", "swap", "flat")
)


def fixed(text: str, matrix: Matrix = Matrix.GUIDE) -> dict[str, list[tuple[str, FieldValue]]]:
    return {block.layer.name: list(block.fields) for block in dynamic_fixed(net_of(text), BITS, FRACTION, matrix)}


def found(net: Net) -> Thresholds:
    """Every value's threshold is 1 + the index of its writer, every layer's weights have 10, 20."""
    values = {value: 1.0 + value.writer for each in net.layers for value in each.tops}
    return Thresholds(values, {each.index: (10.0, 20.0) for each in net.layers})


def blocks(
    net: Net,
    thresholds: Thresholds | None = None,
    matrix: Matrix = Matrix.GUIDE,
    how: ScaleClasses = ScaleClasses.BOARD,
) -> dict[str, dict[str, FieldValue]]:
    made, missing = xilinx(net, BITS, thresholds or found(net), matrix, how)
    assert thresholds is not None or not missing
    return {block.layer.name: dict(block.fields) for block in made}


# ---- DynamicFixed


def test_dynamic_fixed_values() -> None:
    blob = [("bw_layer_in", 6), ("bw_layer_out", 8), ("fl_layer_in", 2), ("fl_layer_out", -3)]
    weights = [*blob[:2], ("bw_params", 7), *blob[2:], ("fl_params", 5)]
    mode = ("quant_type", "DynamicFixed")
    assert fixed(RESIDUAL) == {
        "stem": [*weights, mode],
        "left": [*weights, mode],
        "left_bn": [
            *blob, ("batchnorm_mean_fl", 5), ("batchnorm_variance_fl", 5), ("batchnorm_mean_bw", 7),
            ("batchnorm_variance_bw", 7), mode,
        ],
        "left_scale": [
            *blob, ("scale_gamma_fl", 5), ("scale_beta_fl", 5), ("scale_gamma_bw", 7), ("scale_beta_bw", 7),
            ("scale_gamma_by_std_fl", 5), ("scale_gamma_by_std_bw", 7), mode,
        ],
        "right": [*weights, mode],
        "sum": [*blob, mode],
        "swap": [*blob, mode],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "matrix", "expected"),
    [
        pytest.param(PLAIN, Matrix.GUIDE, "conv1 pool1 conv2 pool2", id="plain, guide"),
        pytest.param(PLAIN, Matrix.PARSER, "conv1 conv2 pool2", id="plain, parser: no MAX pooling"),
        pytest.param(SSD_HEAD, Matrix.GUIDE, "swap", id="head, guide"),
        pytest.param(SSD_HEAD, Matrix.PARSER, "norm up swap", id="head, parser"),
    ],
)
def test_dynamic_fixed_layers(text: str, matrix: Matrix, expected: str) -> None:
    assert list(fixed(text, matrix)) == expected.split()


# ---- Xilinx


def test_xilinx_values() -> None:
    net = net_of(PLAIN)
    assert blocks(net) == {
        "data": {"bw_layer_out": 8, "th_layer_out": 1.0},
        "conv1": {
            "bw_layer_in": 8, "bw_layer_out": 8, "bw_params": 7, "th_layer_in": 1.0, "th_layer_out": 2.0,
            "th_params": (10.0, 20.0), "quant_type": "Xilinx",
        },
        "relu1": {"bw_layer_in": 8, "bw_layer_out": 8, "th_layer_in": 2.0, "th_layer_out": 3.0},
        "pool1": {
            "bw_layer_in": 8, "bw_layer_out": 8, "th_layer_in": 3.0, "th_layer_out": 4.0, "quant_type": "Xilinx",
        },
        "conv2": {
            "bw_layer_in": 8, "bw_layer_out": 8, "bw_params": 7, "th_layer_in": 4.0, "th_layer_out": 5.0,
            "th_params": (10.0, 20.0), "quant_type": "Xilinx",
        },
        "pool2": {
            "bw_layer_in": 8, "bw_layer_out": 8, "th_layer_in": 5.0, "th_layer_out": 6.0, "quant_type": "Xilinx",
        },
    }  # fmt: skip


def test_a_blob_has_one_width_the_third() -> None:
    for fields in blocks(net_of(INCEPTION)).values():
        assert {fields.get("bw_layer_in", 8), fields["bw_layer_out"]} == {8}
        assert fields.get("bw_params", 7) == 7


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        pytest.param(Matrix.GUIDE, "data norm up swap", id="guide"),
        pytest.param(Matrix.PARSER, "norm up swap", id="parser"),
    ],
)
def test_xilinx_layers(matrix: Matrix, expected: str) -> None:
    made = blocks(net_of(SSD_HEAD), matrix=matrix)
    assert list(made) == expected.split()
    assert ("th_params" in made["norm"]) == (matrix is Matrix.PARSER)


def test_what_an_eltwise_reads() -> None:
    net = net_of(RESIDUAL)
    left, right = (1.0 + by_name(net, name).index for name in ("left_scale", "right"))
    assert left < right
    # on the board the classes have made both equal; the original took the larger
    assert blocks(net, how=ScaleClasses.BOARD)["sum"]["th_layer_in"] == left
    assert blocks(net, how=ScaleClasses.ORIGINAL)["sum"]["th_layer_in"] == right


@pytest.mark.parametrize("absent", ["values", "params"])
def test_layers_that_were_not_calibrated_are_named_and_get_no_block(absent: str) -> None:
    net = net_of(PLAIN)
    everything = found(net)
    pool1 = by_name(net, "pool1")
    values = {value: th for value, th in everything.values.items() if absent == "params" or value not in pool1.tops}
    params = {i: th for i, th in everything.params.items() if absent == "values" or i != by_name(net, "conv2").index}
    made, missing = xilinx(net, BITS, Thresholds(values, params), Matrix.GUIDE, ScaleClasses.BOARD)
    expected = ["conv2"] if absent == "params" else ["pool1", "conv2"]
    assert [each.name for each in missing] == expected
    assert not {block.layer.name for block in made} & set(expected)
    assert len(made) + len(missing) == 6


def test_a_layer_of_an_unknown_type_gets_no_block() -> None:
    net = net_of(data(1, 3, 5, 7) + layer("my", "MyConvolution", "data", "my"))
    assert list(blocks(net)) == ["data"]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", ["DepthwiseConvolution", "ConvolutionDepthwise", "ConvolutionRistretto"])
def test_other_names_of_convolution(mode: Mode, name: str) -> None:
    net = net_of(data(1, 3, 5, 7) + layer("c", name, "data", "c", "convolution_param { num_output: 3 kernel_size: 1 }"))
    made: tuple[Block, ...]
    if mode is Mode.XILINX:
        made, _ = xilinx(net, BITS, found(net), Matrix.PARSER, ScaleClasses.BOARD)
    else:
        made = dynamic_fixed(net, BITS, FRACTION, Matrix.PARSER)
    (block,) = made
    assert len(block.fields) == 7


def test_data_layers_get_the_block_of_an_input() -> None:
    net = net_of(layer("mem", "MemoryData", "", "data label") + conv("c", "data", "c", 2))
    assert blocks(net)["mem"] == {"bw_layer_out": 8, "th_layer_out": 1.0}


# ---- which thresholds a plan will read


def test_needed() -> None:
    net = net_of(PLAIN)
    classes = scales.classes(net.layers, ScaleClasses.BOARD)
    assert {root.blob for root in needed(net, Matrix.GUIDE, classes)} == {"data", "conv1", "conv2"}
    # fc and prob have no block and nobody with one reads them
    assert {root.blob for root in set(classes.values()) - needed(net, Matrix.GUIDE, classes)} == {"fc", "prob"}
