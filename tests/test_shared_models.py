"""Real pretrained networks, end to end: both modes, OpenCV's forward, labelled pictures, and files that are none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
import pytest

from tests import board
from xportdnn.api import Network, convert, forward, read
from xportdnn.errors import InputError
from xportdnn.journal import Journal
from xportdnn.layers import Array
from xportdnn.options import Options
from xportdnn.pictures import CalibrationSet, calibration_set

SHARED = Path(__file__).parents[2] / "shared"
MODELS, IMAGES, NEGATIVE = SHARED / "models", SHARED / "images", SHARED / "negative"

pytestmark = pytest.mark.skipif(not MODELS.exists(), reason="the collection of real networks is not here: models")

Recipe: TypeAlias = "dict[str, Any]"

# What was done to the pictures when the network was trained (shared/README.md); fully convolutional ones take less.
_DIGITS: Recipe = {"calibration_directory": str(IMAGES / "mnist_t10k_png"), "input_scale": 1 / 256}
_CIFAR: Recipe = {
    "calibration_directory": str(IMAGES / "cifar10_test_jpg"),
    "channel_swap": (0, 1, 2),
    "mean_value": str(MODELS / "cifar10_mean.binaryproto"),
}
_FACES: Recipe = {"calibration_directory": str(IMAGES / "faces")}
_RGB: Recipe = {"channel_swap": (0, 1, 2)}
_UNIT: Recipe = {"raw_scale": 1.0}
_AROUND_ZERO: Recipe = {"mean_value": "127.5", "input_scale": 1 / 128}
_SET5: Recipe = {"calibration_directory": str(IMAGES / "set5")}
RECIPES = {
    "cifar10_full_v2": _CIFAR,
    "cifar10_quick_2014_v1": _CIFAR,
    "deeplandmark_1_F": _FACES | _UNIT,
    "facefcn_conv": _FACES | {"mean_value": "0"},
    "facefcn_fc": _FACES | {"mean_value": "0"},
    "lenet_mnist": _DIGITS,
    "lenet_mnist_2014_v1": _DIGITS,
    "mobilefacenet_imistyrain": _FACES | _AROUND_ZERO,
    "mtcnn_det1": _FACES | _RGB | _AROUND_ZERO | {"transpose": (2, 1, 0)},
    "mtcnn_fast_det1_half": _FACES | _AROUND_ZERO,
    "resnet20_cifar10": _CIFAR,
    "retinaface_mnet25": _FACES | _RGB | {"mean_value": "0", "dims": (3, 160, 192)},
    "tinysqueeze_imagenet": {"calibration_directory": str(IMAGES / "imagenet_samples")},
    "ultraface_rfb320": _FACES | _RGB | {"mean_value": "127", "input_scale": 1 / 128},
    "vdsr_x234": _SET5 | _UNIT | {"dims": (1, 41, 43)},
    "waifu2x_upconv7_photo_scale2": _SET5 | _RGB | _UNIT | {"mean_value": "0", "dims": (3, 40, 44)},
    "yufacedetect_v1": _FACES,
}
REFUSED = {"lenet_fq", "lenet_pruned"}


def files(name: str) -> tuple[str, str]:
    """Prototxt and caffemodel."""
    return str(MODELS / name / "deploy.prototxt"), str(MODELS / name / f"{name}.caffemodel")


@cache
def network(name: str) -> Network:
    return read(*files(name))


def pictures(name: str, **choice: Any) -> CalibrationSet:
    """The network's pictures, prepared as for its training."""
    deploy, weights = files(name)
    options = Options(deploy, weights, **(RECIPES[name] | choice))
    found, _ = calibration_set(options, network(name).net, Journal())
    return found


def outputs(net: Network, blob: str, batch: Array) -> dict[str, Array]:
    """The tops that no layer reads, by layer; none of these networks has a layer with two of them."""
    read_later = {value for layer in net.net.layers for value in layer.bottoms}
    return {
        layer.name: tops[0]
        for layer, tops in forward(net, **{blob: batch})
        if not layer.is_input and read_later.isdisjoint(layer.tops)
    }


def test_every_network_is_here() -> None:
    assert {path.name for path in MODELS.iterdir() if path.is_dir()} == set(RECIPES) | REFUSED


@pytest.mark.parametrize(
    ("matrix", "count"), [pytest.param("guide", 2, id="guide"), pytest.param("parser", 1, id="parser")]
)
@pytest.mark.parametrize("method", ["xilinx", "mse"])
@pytest.mark.parametrize("name", RECIPES)
def test_xilinx_mode_keeps_the_rules_of_the_board(name: str, method: str, matrix: board.Matrix, count: int) -> None:
    conversion = convert(*files(name), calibration_size=count, threshold_method=method, matrix=matrix, **RECIPES[name])
    assert board.problems(conversion.text, "Xilinx", matrix) == []
    assert conversion.missing == ()


@pytest.mark.parametrize("matrix", ["guide", "parser"])
@pytest.mark.parametrize("name", RECIPES)
def test_dynamic_fixed_mode_keeps_the_rules_of_the_board(name: str, matrix: board.Matrix) -> None:
    conversion = convert(*files(name), quant_type="DynamicFixed", matrix=matrix)
    assert board.problems(conversion.text, "DynamicFixed", matrix) == []


def test_a_training_file_gives_the_same_blocks_as_the_deploy_file() -> None:
    """Its Data layer has no shape and a label, which Accuracy and loss go on reading."""
    deploy, weights = files("resnet20_cifar10")
    training = MODELS / "resnet20_cifar10" / "train_test.original.prototxt"
    found = convert(training, weights, dims=(3, 32, 32), calibration_size=1, **_CIFAR)
    assert board.problems(found.text, "Xilinx") == []
    expected = convert(deploy, weights, calibration_size=1, **_CIFAR)
    assert [block.fields for block in found.blocks] == [block.fields for block in expected.blocks]


def as_opencv_reads_it(name: str) -> str:
    """Our output without its blocks, without other forks' names, and without the layers of the TRAIN phase."""
    text = convert(*files(name), quant_type="DynamicFixed").text
    text = re.sub(r"precision_param \{[^}]*\}", "", text).replace('"DepthwiseConvolution"', '"Convolution"')
    for layer in network(name).net.left_out:
        start = text.index(f'layer {{\n  name: "{layer.name}"')
        text = text[:start] + text[text.index("\n}\n", start) + 3 :]
    return text


def opencv(name: str, blob: str, batch: Array, layers: Sequence[str]) -> list[Array]:
    weights = np.fromfile(files(name)[1], np.uint8)
    net = cv2.dnn.readNetFromCaffe(np.frombuffer(as_opencv_reads_it(name).encode(), np.uint8), weights)
    net.setInput(batch, blob)
    return cast("list[Array]", net.forward(list(layers)))


@pytest.mark.parametrize("name", RECIPES)
def test_the_forward_agrees_with_opencv(name: str) -> None:
    given = pictures(name, calibration_size=1)
    batch = next(iter(given))[given.target]
    ours = outputs(network(name), given.target.blob, batch)
    theirs = opencv(name, given.target.blob, batch, list(ours))
    for (layer, found), expected in zip(ours.items(), theirs, strict=True):
        if layer == "detection_out":  # OpenCV fills up to keep_top_k with rows of zeros
            assert not expected[:, :, found.shape[2] :].any()
            expected = expected[:, :, : found.shape[2]]
        assert found.shape == expected.shape, layer
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max(), err_msg=layer)


def accuracy(name: str, **choice: Any) -> float:
    """The share of pictures whose largest output is their label's."""
    given = pictures(name, **choice)
    lines = Path(f"{RECIPES[name]['calibration_directory']}.labels.txt").read_text().splitlines()
    labels = {file: int(label) for file, label in map(str.split, lines)}
    wanted = [labels[picture.name] for picture in given.choice.pictures]
    arrays = [feeds[given.target] for feeds in given]
    hits = 0
    for start in range(0, len(arrays), 10):
        (probabilities,) = outputs(
            network(name), given.target.blob, np.concatenate(arrays[start : start + 10])
        ).values()
        found = probabilities.reshape(len(probabilities), -1).argmax(axis=1)
        hits += int((found == wanted[start : start + 10]).sum())
    return hits / len(arrays)


@pytest.mark.parametrize(
    ("name", "choice", "least"),
    [
        pytest.param("lenet_mnist", {"calibration_size": 100}, 0.97, id="lenet_mnist"),
        pytest.param("lenet_mnist_2014_v1", {"calibration_size": 100}, 0.97, id="lenet_mnist_2014_v1"),
        pytest.param("cifar10_quick_2014_v1", {"calibration_indices": (*range(0, 167, 2),)}, 0.65, id="cifar10_quick"),
        pytest.param("cifar10_full_v2", {"calibration_indices": (*range(0, 167, 2),)}, 0.7, id="cifar10_full"),
        pytest.param("resnet20_cifar10", {"calibration_indices": (*range(0, 167, 2),)}, 0.7, id="resnet20"),
        pytest.param("tinysqueeze_imagenet", {"calibration_indices": (*range(0, 80, 2),)}, 0.45, id="tinysqueeze"),
    ],
)
def test_labelled_pictures_are_recognised(name: str, choice: dict[str, Any], least: float) -> None:
    assert accuracy(name, **choice) >= least


def test_the_same_network_as_inner_product_and_as_convolution_gives_the_same() -> None:
    given = pictures("facefcn_fc", calibration_size=3)
    batch = np.concatenate([feeds[given.target] for feeds in given])
    assert batch.shape == (3, 3, 48, 48)
    (inner_product,) = outputs(network("facefcn_fc"), "data", batch).values()
    (convolution,) = outputs(network("facefcn_conv"), "data", batch).values()
    np.testing.assert_array_equal(convolution, inner_product.reshape(3, 2, 1, 1))


@pytest.mark.parametrize("quant_type", ["Xilinx", "DynamicFixed"])
@pytest.mark.parametrize(
    ("name", "message", "problem"),
    [
        pytest.param(
            "lenet_fq",
            "nothing in this network can be quantized: all its weights are in layers of types without a rule",
            'layer "conv1" (FQConvolution, line 36)',
            id="lenet_fq",
        ),
        pytest.param(
            "lenet_pruned",
            "lenet_pruned.caffemodel: 4 layers do not match",
            'layer "conv1" (Convolution, line 8): the caffemodel has 3 blob(s) for it, Convolution here needs 2; extra '
            "blobs (masks, codebooks) come from a pruning or quantizing fork: export plain weights",
            id="lenet_pruned",
        ),
    ],
)
def test_networks_of_other_forks_are_refused(name: str, message: str, problem: str, quant_type: str) -> None:
    options: Recipe = _DIGITS if quant_type == "Xilinx" else {}
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        convert(*files(name), quant_type=quant_type, **options)
    assert caught.value.problems[0] == problem


ACCIDENTS = {
    "crlf_corrupted_concat.caffemodel": "a text-mode transfer (git autocrlf, FTP) damaged it",
    "git_lfs_pointer.caffemodel": "it is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`",
    "good_concat.caffemodel": "this caffemodel holds no weights at all",
    "hdf5_snapshot.caffemodel.h5": "it is an HDF5 file (Caffe's .caffemodel.h5 snapshot); save a binary",
    "highbytes_stripped_concat.caffemodel": "no byte in it is above 0x7F: a text-mode upload damaged it",
    "html_page_a.caffemodel": "it is a web page saved under this name; download the raw file",
    "html_page_b.caffemodel": "it is a web page saved under this name; download the raw file",
}


def test_every_accident_is_here() -> None:
    assert {path.name for path in NEGATIVE.glob("*.caffemodel*")} == set(ACCIDENTS)


@pytest.mark.parametrize("name", ACCIDENTS)
def test_accidents_are_named(name: str) -> None:
    with pytest.raises(InputError, match=re.escape(ACCIDENTS[name])) as caught:
        convert(NEGATIVE / "html_page_a.deploy.prototxt", NEGATIVE / name, quant_type="DynamicFixed")
    assert caught.value.message.startswith(str(NEGATIVE / name))
