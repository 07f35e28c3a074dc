"""Caffemodels that are written, read by google.protobuf, by OpenCV, and by this package."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import caffe_files
from tests.caffe_files import Values, v0, v1, v2
from tests.small_nets import PLAIN, net_of, random_weights
from tests.test_caffemodel import net_parameter
from xportdnn.caffemodel import Blob, Caffemodel, LayerBlobs, Segment, read
from xportdnn.errors import WeightsError
from xportdnn.layers import Array
from xportdnn.modelfile import pieces

WEIGHT = (np.arange(-12, 12).reshape(4, 3, 2, 1) / 2).astype(np.float32)
BIAS = np.array([0.5, -1, 2, 8], np.float32)


def blob(array: Array) -> Blob:
    data = array.tobytes()
    return Blob(array.shape, False, "here", (Segment("<f4", 0, len(data)),), data)


def written(*layers: LayerBlobs) -> bytes:
    return b"".join(pieces(layers))


def model(folder: Path, data: bytes) -> Caffemodel:
    path = folder / "net.caffemodel"
    path.write_bytes(data)
    return read(path)


def test_protobuf_reads_it() -> None:
    layers = (LayerBlobs("conv1/3x3", "Convolution", (blob(WEIGHT), blob(BIAS))), LayerBlobs("fc", "", (blob(BIAS),)))
    net = net_parameter().FromString(written(*layers))
    assert [(layer.name, layer.type) for layer in net.layer] == [("conv1/3x3", "Convolution"), ("fc", "")]
    assert [list(each.shape.dim) for each in net.layer[0].blobs] == [[4, 3, 2, 1], [4]]
    np.testing.assert_array_equal(net.layer[0].blobs[0].data, WEIGHT.ravel())
    np.testing.assert_array_equal(net.layer[0].blobs[1].data, BIAS)
    assert not net.layers


def test_protobuf_would_write_the_same_fields() -> None:
    """As many bytes as protobuf's own, hence no field beside those that it knows."""
    data = written(LayerBlobs("conv1", "Convolution", (blob(WEIGHT), blob(BIAS))))
    assert len(net_parameter().FromString(data).SerializeToString()) == len(data)


def test_the_same_as_the_tests_own_writer() -> None:
    expected = v2("conv1", "Convolution", caffe_files.blob(WEIGHT), caffe_files.blob(BIAS))
    assert written(LayerBlobs("conv1", "Convolution", (blob(WEIGHT), blob(BIAS)))) == expected


@given(
    st.lists(st.integers(0, 5), max_size=5).map(tuple),
    st.text(max_size=300).filter(lambda text: text.isprintable()),
)
def test_any_shape_and_name(shape: tuple[int, ...], name: str) -> None:
    array = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    (layer,) = net_parameter().FromString(written(LayerBlobs(name, "Scale", (blob(array),)))).layer
    assert layer.name == name
    assert list(layer.blobs[0].shape.dim) == list(shape)
    np.testing.assert_array_equal(layer.blobs[0].data, array.ravel())


def test_a_blob_without_axes_has_no_shape() -> None:
    """As Caffe writes it (blob.cpp, ToProto)."""
    (layer,) = net_parameter().FromString(written(LayerBlobs("s", "Scale", (blob(np.float32(3).reshape(())),)))).layer
    assert not layer.blobs[0].HasField("shape")
    assert list(layer.blobs[0].data) == [3]


@pytest.mark.parametrize("values", ["floats", "doubles", "halves", "single floats", "single doubles"])
def test_other_forms_become_packed_floats(tmp_path: Path, values: Values) -> None:
    data = v2("a", "Scale", caffe_files.blob(WEIGHT, values))
    (layer,) = net_parameter().FromString(written(*model(tmp_path, data).layers)).layer
    np.testing.assert_array_equal(layer.blobs[0].data, WEIGHT.ravel())


@pytest.mark.parametrize("data", [v1("a", 4, caffe_files.blob(WEIGHT)), v0("a", "conv", caffe_files.blob(WEIGHT))])
def test_old_layers_become_new_ones(tmp_path: Path, data: bytes) -> None:
    net = net_parameter().FromString(written(*model(tmp_path, data).layers))
    assert [layer.name for layer in net.layer] == ["a"]
    assert not net.layers


def test_a_legacy_shape_that_nobody_fitted_stays(tmp_path: Path) -> None:
    """Caffe fits it to the layer from the right; four axes of a BlobShape it would refuse."""
    data = v2("a", "InnerProduct", caffe_files.blob(BIAS, legacy=True))
    (layer,) = net_parameter().FromString(written(*model(tmp_path, data).layers)).layer
    (found,) = layer.blobs
    assert (found.num, found.channels, found.height, found.width) == (1, 1, 1, 4)
    assert not found.HasField("shape")


def test_layers_without_blobs_are_left_out() -> None:
    assert written(LayerBlobs("relu", "ReLU", ())) == b""


def test_what_is_in_the_file_is_not_copied(tmp_path: Path) -> None:
    found = model(tmp_path, v2("a", "Scale", caffe_files.blob(WEIGHT))).layers
    views = [piece for piece in pieces(found) if isinstance(piece, memoryview)]
    assert sum(map(len, views)) == WEIGHT.nbytes


def test_large_blobs_come_in_stretches(tmp_path: Path) -> None:
    array = np.arange(3 << 20, dtype=np.float32)
    found = model(tmp_path, v2("a", "Scale", caffe_files.blob(array))).layers
    assert max(map(len, pieces(found))) == 4 << 20
    assert b"".join(pieces(found)).endswith(array.tobytes())


def test_values_that_do_not_fit_the_shape() -> None:
    broken = Blob((2, 3), False, "net.caffemodel: layer, blob 0", blob(BIAS).segments, blob(BIAS).data)
    with pytest.raises(WeightsError, match=r"blob 0 holds 4 values, its shape \[2, 3\] needs 6"):
        written(LayerBlobs("a", "Scale", (broken,)))


def test_opencv_reads_it() -> None:
    net = net_of(PLAIN)
    weights = random_weights(net, net.declared)
    types = {layer.name: layer.type for layer in net.layers}
    data = written(*(LayerBlobs(name, types[name], tuple(map(blob, arrays))) for name, arrays in weights.items()))
    found = cv2.dnn.readNetFromCaffe(np.frombuffer(PLAIN.encode(), np.uint8), np.frombuffer(data, np.uint8))
    np.testing.assert_array_equal(found.getParam("conv1", 0), weights["conv1"][0])
    np.testing.assert_array_equal(found.getParam("fc", 1).ravel(), weights["fc"][1])
