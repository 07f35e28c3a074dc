"""Fields that a deploy file forgets and its weights show: written where there is no doubt, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.caffe_files import blob, v2
from tests.small_nets import by_name, conv, data, layer, net_of
from xportdnn.caffemodel import read
from xportdnn.layers import Shape
from xportdnn.mend import Mended, mend

BEFORE_NORM = data(1, 6, 4, 5) + conv("conv1", "data", "conv1", 6) + layer("bn", "BatchNorm", "conv1", "conv1")


def mended(folder: Path, text: str, *shapes: Shape, stored_type: str = "Convolution") -> Mended:
    """A network after a look at its weights, whose first layer has blobs of these shapes."""
    path = folder / "net.caffemodel"
    path.write_bytes(v2("conv1", stored_type, *(blob(np.zeros(shape, np.float32)) for shape in shapes)))
    return mend(net_of(text), read(path))


def test_a_network_that_fits_is_the_same(tmp_path: Path) -> None:
    net = net_of(BEFORE_NORM)
    path = tmp_path / "net.caffemodel"
    path.write_bytes(
        v2("conv1", "Convolution", blob(np.zeros((6, 6, 1, 1), np.float32)), blob(np.zeros(6, np.float32)))
    )
    assert mend(net, read(path)) == Mended(net, ())


def test_a_bias_that_was_never_trained_is_switched_off(tmp_path: Path) -> None:
    net, _ = mended(tmp_path, BEFORE_NORM, (6, 6, 1, 1))
    assert by_name(net, "conv1").params.bias_term is False


def test_a_field_that_says_otherwise_is_changed(tmp_path: Path) -> None:
    text = BEFORE_NORM.replace("kernel_size: 1", "bias_term: true kernel_size: 1")
    net, _ = mended(tmp_path, text, (6, 6, 1, 1))
    assert net.source.text == text.replace("bias_term: true", "bias_term: false")


def test_the_rest_of_the_text_stays(tmp_path: Path) -> None:
    net, _ = mended(tmp_path, BEFORE_NORM, (6, 6, 1, 1))
    assert "".join(net.source.text.replace("bias_term: false", "").split()) == "".join(BEFORE_NORM.split())


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(layer("relu", "ReLU", "conv1", "conv1"), id="ReLU"),
        pytest.param("", id="nothing"),
        pytest.param(
            layer("bn", "BatchNorm", "conv1", "bn") + layer("relu", "ReLU", "conv1", "relu"), id="BatchNorm and ReLU"
        ),
    ],
)
def test_a_bias_that_would_be_seen_stays_missing(behind: str, tmp_path: Path) -> None:
    """Only BatchNorm takes any bias out again."""
    text = data(1, 6, 4, 5) + conv("conv1", "data", "conv1", 6) + behind
    assert mended(tmp_path, text, (6, 6, 1, 1)).notes == ()


DEPTHWISE = data(1, 6, 4, 5) + conv("conv1", "data", "conv1", 6)


@pytest.mark.parametrize("stored_type", ["DepthwiseConvolution", "ConvolutionDepthwise"])
def test_groups_of_depthwise_weights_are_written(stored_type: str, tmp_path: Path) -> None:
    net, _ = mended(tmp_path, DEPTHWISE, (6, 1, 1, 1), (6,), stored_type=stored_type)
    assert by_name(net, "conv1").params.group == 6


@pytest.mark.parametrize(
    ("shapes", "stored_type"),
    [
        pytest.param([(6, 1, 1, 1), (6,)], "Convolution", id="weights of an ordinary convolution"),
        pytest.param([(6, 2, 1, 1), (6,)], "DepthwiseConvolution", id="several channels for each output"),
        pytest.param([(5, 1, 1, 1), (5,)], "DepthwiseConvolution", id="another number of outputs"),
        pytest.param([(6,)], "DepthwiseConvolution", id="weights of one axis"),
    ],
)
def test_groups_that_could_be_meant_otherwise_are_not_written(
    shapes: list[Shape], stored_type: str, tmp_path: Path
) -> None:
    assert mended(tmp_path, DEPTHWISE, *shapes, stored_type=stored_type).notes == ()


def test_both_fields_can_be_missing(tmp_path: Path) -> None:
    net, notes = mended(tmp_path, BEFORE_NORM, (6, 1, 1, 1), stored_type="DepthwiseConvolution")
    params = by_name(net, "conv1").params
    assert (params.bias_term, params.group, len(notes)) == (False, 6, 2)


def test_one_note_names_all_layers_of_a_field(tmp_path: Path) -> None:
    text = BEFORE_NORM + conv("conv2", "conv1", "conv2", 3) + layer("bn2", "BatchNorm", "conv2", "conv2")
    path = tmp_path / "net.caffemodel"
    weights = {"conv1": np.zeros((6, 6, 1, 1), np.float32), "conv2": np.zeros((3, 6, 1, 1), np.float32)}
    path.write_bytes(b"".join(v2(name, "Convolution", blob(array)) for name, array in weights.items()))
    (note,) = mend(net_of(text), read(path)).notes
    assert note == (
        "net.prototxt: 'bias_term: false' is missing in 2 convolution(s), as the weights show; it is written: conv1, "
        "conv2"
    )


def test_lines_stay_those_of_the_file(tmp_path: Path) -> None:
    net, _ = mended(tmp_path, BEFORE_NORM, (6, 6, 1, 1))
    whole = net_of(BEFORE_NORM)
    assert net.where(by_name(net, "bn")) == whole.where(by_name(whole, "bn"))


def test_a_convolution_without_parameters_is_left_to_the_shapes(tmp_path: Path) -> None:
    text = data(1, 6, 4, 5) + layer("conv1", "Convolution", "data", "conv1") + layer("bn", "BatchNorm", "conv1", "bn")
    assert mended(tmp_path, text, (6, 6, 1, 1)).notes == ()
