"""Which layers run in the TEST phase, and which shape a layer that reads data gives."""

from __future__ import annotations

import pytest

from xportdnn.build import build
from xportdnn.errors import LayerError, NetworkError
from xportdnn.layers import Shapes
from xportdnn.phases import left_out
from xportdnn.prototxt import Message, Source, parse
from xportdnn.sources import is_source, source_shapes


def message(text: str) -> Message:
    return parse(Source("net.prototxt", text)).root


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param("", id="no rule"),
        pytest.param("include { phase: TEST }", id="TEST"),
        pytest.param("include: { phase: 1 }", id="TEST by its number"),
        pytest.param("include { }", id="empty rule"),
        pytest.param("include { phase: TRAIN } include { phase: TEST }", id="one of two"),
        pytest.param("include { not_stage: 'deploy' }", id="not_stage"),
        pytest.param("include { min_level: 0 max_level: 0 }", id="level 0"),
        pytest.param("include { min_level: -2 }", id="negative least level"),
        pytest.param("exclude { phase: TRAIN }", id="excluded from TRAIN"),
        pytest.param("exclude { phase: TEST stage: 'deploy' }", id="excluded from a stage"),
        pytest.param("exclude { min_level: 1 }", id="excluded from higher levels"),
    ],
)
def test_layers_that_run(rules: str) -> None:
    assert left_out(message(rules)) == ""


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        pytest.param("include { phase: TRAIN }", "TRAIN only", id="TRAIN"),
        pytest.param("include { phase: 0 }", "TRAIN only", id="TRAIN by its number"),
        pytest.param("include { phase: TRAIN stage: 'a' } include { phase: TRAIN }", "TRAIN only", id="TRAIN twice"),
        pytest.param("include { stage: 'deploy' }", "its include rules do not hold in TEST", id="stage"),
        pytest.param("include { phase: TEST min_level: 1 }", "its include rules do not hold in TEST", id="least level"),
        pytest.param("include { max_level: -1 }", "its include rules do not hold in TEST", id="greatest level"),
        pytest.param("exclude { phase: TEST }", "excluded from TEST", id="excluded"),
        pytest.param("exclude { not_stage: 'deploy' }", "excluded from TEST", id="excluded without a stage"),
        pytest.param("exclude { }", "excluded from TEST", id="excluded always"),
        pytest.param("exclude { phase: TRAIN } exclude { max_level: 3 }", "excluded from TEST", id="one of two"),
    ],
)
def test_layers_that_do_not_run(rules: str, reason: str) -> None:
    assert left_out(message(rules)) == reason


def test_a_level_that_is_no_number_is_named_with_its_place() -> None:
    text = '\nlayer { name: "r" type: "ReLU" include { min_level: high } }'
    with pytest.raises(NetworkError, match=r"^net\.prototxt:2: min_level must be a whole number, not high$"):
        build(parse(Source("net.prototxt", text)))


@pytest.mark.parametrize(
    ("layer_type", "expected"),
    [("Data", True), ("AnnotatedData", True), ("Input", False), ("DataTransform", False)],
    ids=lambda value: str(value),
)
def test_layers_that_read_data(layer_type: str, expected: bool) -> None:
    assert is_source(layer_type) is expected


CROP = "transform_param { crop_size: 7 }"


@pytest.mark.parametrize(
    ("layer_type", "text", "shapes"),
    [
        pytest.param(
            "MemoryData",
            "memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 }",
            ((2, 3, 4, 5),),
            id="memory",
        ),
        pytest.param("MemoryData", "memory_data_param { channels: 3 }", ((0, 3, 0, 0),), id="half a memory"),
        pytest.param(
            "DummyData",
            "top: 'a' top: 'b' dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 7 } }",
            ((2, 3), (7,)),
            id="dummies",
        ),
        pytest.param(
            "DummyData",
            "top: 'a' top: 'b' dummy_data_param { shape { dim: 2 dim: 3 } }",
            ((2, 3), (2, 3)),
            id="one for all",
        ),
        pytest.param("Data", "", (), id="nothing said"),
        pytest.param("Data", "data_param { batch_size: 64 }", (), id="batch alone"),
        pytest.param("Data", CROP, ((1, 3, 7, 7),), id="crop"),
        pytest.param("Data", "data_param { crop_size: 7 }", ((1, 3, 7, 7),), id="crop of old"),
        pytest.param("ImageData", "image_data_param { crop_size: 7 }", ((1, 3, 7, 7),), id="crop of old images"),
        pytest.param(
            "ImageData", "image_data_param { new_height: 8 new_width: 9 }", ((1, 3, 8, 9),), id="images of one size"
        ),
        pytest.param("ImageData", "image_data_param { new_height: 8 }", (), id="half a size"),
        pytest.param(
            "ImageData",
            f"{CROP} image_data_param {{ new_height: 8 new_width: 9 }}",
            ((1, 3, 7, 7),),
            id="crop of a size",
        ),
        pytest.param(
            "AnnotatedData",
            "transform_param { resize_param { prob: 1 resize_mode: WARP height: 8 width: 9 } }",
            ((1, 3, 8, 9),),
            id="SSD",
        ),
        pytest.param(
            "DenseImageData", "dense_image_data_param { new_height: 8 new_width: 9 }", ((1, 3, 8, 9),), id="ENet"
        ),
        pytest.param("Data", "transform_param { crop_size: 7 force_gray: true }", ((1, 1, 7, 7),), id="gray"),
        pytest.param("Data", "transform_param { crop_size: 7 force_gray: 1 }", ((1, 1, 7, 7),), id="gray by number"),
        pytest.param("Data", "transform_param { crop_size: 7 force_gray: false }", ((1, 3, 7, 7),), id="not gray"),
        pytest.param("ImageData", f"{CROP} image_data_param {{ is_color: false }}", ((1, 1, 7, 7),), id="no colour"),
        pytest.param("HDF5Data", "hdf5_data_param { source: 'list' batch_size: 8 }", (), id="HDF5"),
    ],
)
def test_shapes_that_a_source_gives(layer_type: str, text: str, shapes: Shapes) -> None:
    assert source_shapes(layer_type, message(text)) == shapes


def test_a_size_that_is_no_number_is_refused() -> None:
    with pytest.raises(LayerError, match="crop_size must be a whole number, not big"):
        source_shapes("Data", message("transform_param { crop_size: big }"))
