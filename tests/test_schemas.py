"""The schemas compile, and CHaiDNN's takes real networks and nothing newer."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format

from tests.board import SCHEMAS, compile_schema, parse

SHARED = Path(__file__).parents[2] / "shared"

ACCEPTED = (
    "golden/mlsuite_structure/bvlc_googlenet_without_lrn_deploy.prototxt",
    "golden/mlsuite_structure/bvlc_googlenet_without_lrn_quantized_train_val.prototxt",
    "golden/ristretto_prototxt/ruimashita_squeezenet_quantized.prototxt",
    "golden/xportdnn_original/fcn5_deploy.prototxt",
    "golden/xportdnn_original/fcn5_deploy_666.prototxt",
    "models/cifar10_full_v2/deploy.prototxt",
    "models/deeplandmark_1_F/deploy.prototxt",
    "models/facefcn_conv/deploy.prototxt",
    "models/facefcn_fc/deploy.prototxt",
    "models/lenet_mnist/deploy.prototxt",
    "models/mobilefacenet_imistyrain/deploy.prototxt",
    "models/mtcnn_det1/deploy.prototxt",
    "models/mtcnn_fast_det1_half/deploy.prototxt",
    "models/resnet20_cifar10/deploy.prototxt",
    "models/resnet20_cifar10/train_test.original.prototxt",
    "models/retinaface_mnet25/deploy.prototxt",
    "models/tinysqueeze_imagenet/deploy.prototxt",
    "models/ultraface_rfb320/deploy.prototxt",
    "models/vdsr_x234/deploy.prototxt",
    "models/waifu2x_upconv7_photo_scale2/deploy.prototxt",
    "models/yufacedetect_v1/deploy.prototxt",
    "prototxt_corpus/BVLC+caffe__models__bvlc_googlenet__train_val.prototxt",
    "prototxt_corpus/chuanqi305+MobileNet-SSD__deploy.prototxt",
    "prototxt_corpus/shicai+MobileNet-Caffe__mobilenet_v2_deploy.prototxt",
)
# Each with the field that CHaiDNN's schema does not have.
REFUSED = {
    "golden/caffe/act_relu6_clip/deploy.prototxt": "clip_param",
    "golden/caffe/act_swish_beta/deploy.prototxt": "swish_param",
    "golden/caffe/pool_max_floor_mode/deploy.prototxt": "round_mode",
    "golden/ristretto/conv_dfp_1x1/deploy.prototxt": "precision",
    "models/lenet_mnist_2014_v1/deploy.prototxt": "name",
    "prototxt_corpus/BVLC+caffe__examples__mnist__lenet_solver_adam.prototxt": "net",
    "prototxt_corpus/V0_2013_cifar10_quick.prototxt": "layer",
    "prototxt_corpus/chuanqi305+MobileNet-SSD__train.prototxt": "resize_param",
    "prototxt_corpus/soeaver+caffe-model__cls__densenet__deploy_densenet201.prototxt": "ceil_mode",
    "prototxt_corpus/wuyongchn+shufflenet-caffe__shufflenet__shufflenet_v2_2x-deploy.prototxt": "shuffle_channel_param",
}


def shared_text(name: str) -> str:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the collection of real networks is not here: {name}")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.proto")), ids=lambda path: path.name)
def test_compiles_without_a_word(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert compile_schema(path).name == path.name
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param("message A { optional B b = 1; }", '"B" is not defined', id="error"),
        pytest.param('import "other.proto";', "other.proto is unused", id="warning"),
    ],
)
def test_a_bad_schema_is_refused(body: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.proto").write_text('syntax = "proto2";')
    path = tmp_path / "bad.proto"
    path.write_text(f'syntax = "proto2"; {body}')
    with pytest.raises(RuntimeError, match=r"bad\.proto"):
        compile_schema(path)
    assert message in capfd.readouterr().err


def test_both_blocks_have_the_same_fields() -> None:
    messages = {message.name: message for message in compile_schema(SCHEMAS / "chai_caffe.proto").message_type}
    precision, quantization = messages["PrecisionParameter"], messages["QuantizationParameter"]
    assert list(precision.field) == list(quantization.field)


@pytest.mark.parametrize(
    ("message", "field", "number"),
    [
        ("NetParameter", "layers", 2),
        ("NetParameter", "layer", 100),
        ("LayerParameter", "quantization_param", 147),
        ("LayerParameter", "permute_param", 202),
        ("LayerParameter", "prior_box_param", 203),
        ("LayerParameter", "detection_output_param", 204),
        ("LayerParameter", "norm_param", 206),
        ("LayerParameter", "precision_param", 997),
        ("LayerParameter", "xcustom_param", 998),
        ("LayerParameter", "user_defined_layer", 999),
    ],
    ids=lambda value: str(value),
)
def test_numbers_of_the_fork(message: str, field: str, number: int) -> None:
    (fields,) = (m.field for m in compile_schema(SCHEMAS / "chai_caffe.proto").message_type if m.name == message)
    assert {f.name: f.number for f in fields}[field] == number


@pytest.mark.parametrize("name", ACCEPTED)
def test_takes_real_networks(name: str) -> None:
    assert parse(shared_text(name)).layer


@pytest.mark.parametrize(("name", "field"), REFUSED.items(), ids=REFUSED.values())
def test_refuses_fields_of_other_forks(name: str, field: str) -> None:
    text = shared_text(name)
    with pytest.raises(text_format.ParseError, match=f'has no field named "{field}"'):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("layer {", id="open block"),
        pytest.param('layer { nam: "a" }', id="unknown field"),
        pytest.param('name: "a" name: "b"', id="scalar twice"),
        pytest.param("layer { pooling_param {} pooling_param {} }", id="block twice"),
        pytest.param("input_dim: 4.0", id="fraction for an integer"),
        pytest.param("// a", id="comment of C"),
    ],
)
def test_parse_is_strict(text: str) -> None:
    with pytest.raises(text_format.ParseError):
        parse(text)
