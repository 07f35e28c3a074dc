"""The two tables of layers with a block, against their sources typed in here by hand."""

from __future__ import annotations

import pytest

from tests import board
from xportdnn.choices import Matrix, Mode
from xportdnn.layers import ALIASES, kind
from xportdnn.matrix import ROWS, fields, table

# CHaiDNN, docs/QUANTIZATION.md: "Whether or not precision_param{} block needs to be specified for a layer-type"
GUIDE = """
    Convolution                      Yes  Yes
    BatchNorm                        Yes  Yes
    Power                            No   No
    Scale                            Yes  Yes
    InnerProduct                     No   No
    Pooling (Max, Avg)               Yes  Yes
    ReLU                             Yes  No
    Deconvolution                    Yes  No
    Concat                           Yes  No
    Crop                             No   No
    Softmax                          No   No
    Dropout                          No   No
    Permute                          Yes  Yes
    Normalize                        Yes  No
    Argmax                           No   No
    Flatten                          No   No
    PriorBox                         No   No
    Reshape                          No   No
    NMS                              No   No
    Eltwise                          Yes  Yes
    Depthwise Separable Convolution  Yes  Yes
    Input / Data                     Yes  No
"""
# The Caffe types behind the guide's names; Argmax and NMS are CHaiDNN's own words.
GUIDE_TYPES = {
    "Pooling (Max, Avg)": ["Pooling MAX", "Pooling AVE"], "Argmax": ["ArgMax"], "NMS": ["DetectionOutput"],
    "Depthwise Separable Convolution": ["Convolution"], "Input / Data": ["Input"],
}  # fmt: skip
# CHaiDNN, caffe_network_parser.cpp, ExtractPrecisionParameters: what it misses when it is absent
PARSER = """
    Input            No   No
    Convolution      Yes  Yes
    Deconvolution    Yes  Yes
    Pooling MAX      Yes  No
    Pooling AVE      Yes  Yes
    Eltwise          Yes  Yes
    Permute          Yes  Yes
    Normalize        Yes  Yes
    BatchNorm        Yes  Yes
    Scale            Yes  Yes
    ReLU             No   No
    Concat           No   No
    InnerProduct     No   No
    Softmax          No   No
    Dropout          No   No
    Crop             No   No
    Flatten          No   No
    Reshape          No   No
    ArgMax           No   No
    PriorBox         No   No
    DetectionOutput  No   No
    Power            No   No
    LRN              No   No
"""


def lines(text: str) -> list[tuple[str, str, str]]:
    rows = (line.rsplit(maxsplit=2) for line in text.strip().splitlines())
    return [(name.strip(), xilinx, dynamic_fixed) for name, xilinx, dynamic_fixed in rows]


def has_block(matrix: Matrix, mode: Mode, row: str) -> bool:
    caffe_type, _, pool = row.partition(" ")
    return bool(fields(matrix, mode, caffe_type, pool))


def test_the_guides_table_is_printed_word_for_word() -> None:
    assert table(Matrix.GUIDE) == lines(GUIDE)


@pytest.mark.parametrize("row", lines(GUIDE), ids=lambda row: row[0])
def test_guide(row: tuple[str, str, str]) -> None:
    name, xilinx, dynamic_fixed = row
    for caffe_type in GUIDE_TYPES.get(name, [name]):
        assert has_block(Matrix.GUIDE, Mode.XILINX, caffe_type) == (xilinx == "Yes")
        assert has_block(Matrix.GUIDE, Mode.DYNAMIC_FIXED, caffe_type) == (dynamic_fixed == "Yes")


@pytest.mark.parametrize("row", lines(PARSER), ids=lambda row: row[0])
def test_parser(row: tuple[str, str, str]) -> None:
    name, xilinx, dynamic_fixed = row
    assert has_block(Matrix.PARSER, Mode.XILINX, name) == (xilinx == "Yes")
    assert has_block(Matrix.PARSER, Mode.DYNAMIC_FIXED, name) == (dynamic_fixed == "Yes")


@pytest.mark.parametrize("matrix", Matrix)
@pytest.mark.parametrize("mode", Mode)
def test_fields_and_their_order_are_the_boards(matrix: Matrix, mode: Mode) -> None:
    expected = board.MATRICES[mode.value, matrix.value]
    types = {*expected, *(caffe_type for row in ROWS[matrix] for caffe_type in row.types)}
    for name in types:
        caffe_type, _, pool = name.partition(" ")
        assert " ".join(fields(matrix, mode, caffe_type, pool)) == expected.get(name, "")


@pytest.mark.parametrize("matrix", Matrix)
def test_types_are_caffes_own_names(matrix: Matrix) -> None:
    for row in ROWS[matrix]:
        for caffe_type in row.types:
            name = caffe_type.split()[0]
            found = kind(name)
            assert found is not None
            assert found.name == name
            assert name not in ALIASES


@pytest.mark.parametrize("caffe_type", ["LRN", "PReLU", "Sigmoid", "Interp", "NoSuchType"])
@pytest.mark.parametrize("matrix", Matrix)
def test_types_that_no_table_names_get_no_block(matrix: Matrix, caffe_type: str) -> None:
    assert fields(matrix, Mode.XILINX, caffe_type) == fields(matrix, Mode.DYNAMIC_FIXED, caffe_type) == ()


def test_stochastic_pooling_gets_no_block() -> None:
    assert fields(Matrix.GUIDE, Mode.XILINX, "Pooling", "STOCHASTIC") == ()
