"""Caffemodels of every generation: what is read from them, and what is said of files that are none."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.board import SCHEMAS, compile_schema
from tests.caffe_files import Values, blob, field, integer, shape, v0, v1, v2
from xportdnn.caffemodel import Blob, LayerBlobs, read, read_blob
from xportdnn.errors import WeightsError
from xportdnn.layers import Array

# Halves, so that half precision holds them exactly.
WEIGHT = (np.arange(-12, 12).reshape(4, 3, 2, 1) / 2).astype(np.float32)
BIAS = np.array([0.5, -1, 2, 8], np.float32)
ENCODINGS: tuple[Values, ...] = ("floats", "doubles", "halves", "single floats", "single doubles")


@lru_cache(maxsize=1)
def net_parameter() -> Any:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(compile_schema(SCHEMAS / "caffemodel.proto").SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def layers(folder: Path, data: bytes) -> tuple[LayerBlobs, ...]:
    path = folder / "net.caffemodel"
    path.write_bytes(data)
    return read(path).layers


def first_blob(folder: Path, inside: bytes) -> Blob:
    """The only blob of a caffemodel, from the inside of its BlobProto."""
    ((_, _, (found,), _),) = layers(folder, v2("conv1", "Convolution", inside))
    return found


@pytest.mark.parametrize("values", ["floats", "doubles", "single floats", "single doubles"])
def test_protobuf_reads_what_the_tests_write(values: Values) -> None:
    net = net_parameter().FromString(v2("a", "Scale", blob(WEIGHT, values)))
    (layer,) = net.layer
    (found,) = layer.blobs
    assert (layer.name, layer.type, list(found.shape.dim)) == ("a", "Scale", [4, 3, 2, 1])
    np.testing.assert_array_equal(found.data or found.double_data, WEIGHT.ravel())


def test_protobuf_reads_the_old_layers_that_the_tests_write() -> None:
    net = net_parameter().FromString(v1("a", 4, blob(BIAS, legacy=True)))
    (layer,) = net.layers
    (found,) = layer.blobs
    assert (layer.name, layer.type) == ("a", 4)
    assert (found.num, found.channels, found.height, found.width) == (1, 1, 1, 4)
    np.testing.assert_array_equal(found.data, BIAS)


@pytest.mark.parametrize(
    ("data", "layer_type", "generation"),
    [
        pytest.param(v2("conv1", "Convolution", blob(WEIGHT), blob(BIAS)), "Convolution", 2, id="V2"),
        pytest.param(v1("conv1", 4, blob(WEIGHT), blob(BIAS)), "4", 1, id="V1"),
        pytest.param(v0("conv1", "conv", blob(WEIGHT), blob(BIAS)), "conv", 0, id="V0"),
    ],
)
def test_every_generation_gives_its_layers(data: bytes, layer_type: str, generation: int, tmp_path: Path) -> None:
    ((name, found_type, blobs, found_generation),) = layers(tmp_path, data)
    assert (name, found_type, found_generation) == ("conv1", layer_type, generation)
    for found, expected in zip(blobs, (WEIGHT, BIAS), strict=True):
        np.testing.assert_array_equal(found.values(), expected, strict=True)


@pytest.mark.parametrize("values", ENCODINGS)
def test_every_encoding_gives_the_same_float32_values(values: Values, tmp_path: Path) -> None:
    np.testing.assert_array_equal(first_blob(tmp_path, blob(WEIGHT, values)).values(), WEIGHT, strict=True)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 4), max_size=5).flatmap(
        lambda dims: st.tuples(
            st.just(tuple(dims)),
            st.lists(st.floats(width=32), min_size=int(np.prod(dims)), max_size=int(np.prod(dims))),
        )
    ),
    st.sampled_from(("floats", "doubles", "single floats", "single doubles")),
)
def test_float_values_come_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, dims_and_values: tuple[tuple[int, ...], list[float]], values: Values
) -> None:
    dims, numbers = dims_and_values
    array = np.array(numbers, np.float32).reshape(dims)
    found = first_blob(tmp_path_factory.mktemp("any"), blob(array, values)).values()
    np.testing.assert_array_equal(found, array, strict=True)


def test_old_shapes_have_four_axes(tmp_path: Path) -> None:
    found = first_blob(tmp_path, blob(BIAS, legacy=True))
    assert (found.shape, found.legacy) == ((1, 1, 1, 4), True)


def test_a_blob_without_shape_is_one_number(tmp_path: Path) -> None:
    found = first_blob(tmp_path, blob(np.array(7, np.float32)))
    assert (found.shape, found.legacy, found.values().tolist()) == ((), False, 7)


def test_a_blob_may_have_an_empty_shape(tmp_path: Path) -> None:
    assert first_blob(tmp_path, field(7, b"") + blob(np.array(7, np.float32))).values().tolist() == 7


def test_unpacked_dims_are_read(tmp_path: Path) -> None:
    dims = field(7, integer(1, 3) + integer(1, 200))
    assert first_blob(tmp_path, dims).shape == (3, 200)


def test_doubles_win_over_floats(tmp_path: Path) -> None:
    both = blob(BIAS) + field(8, (BIAS * 2).astype("<f8").tobytes())
    np.testing.assert_array_equal(first_blob(tmp_path, both).values(), BIAS * 2)


def test_values_may_lie_in_several_pieces(tmp_path: Path) -> None:
    pieces = shape((12,)) + field(5, BIAS.tobytes()) + blob(BIAS, "single floats")[len(shape((4,))) :]
    pieces += field(5, BIAS.tobytes())
    np.testing.assert_array_equal(first_blob(tmp_path, pieces).values(), np.tile(BIAS, 3))


def test_a_shape_may_stand_behind_single_values(tmp_path: Path) -> None:
    before = len(shape((4,)))
    inside = blob(BIAS, "single floats")
    np.testing.assert_array_equal(first_blob(tmp_path, inside[before:] + inside[:before]).values(), BIAS)


def test_raw_data_is_float_where_nothing_else_is_said(tmp_path: Path) -> None:
    np.testing.assert_array_equal(first_blob(tmp_path, shape((4,)) + field(12, BIAS.tobytes())).values(), BIAS)


def test_integers_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r'layer "conv1", blob 0 holds integers .*export float'):
        first_blob(tmp_path, shape((4,)) + integer(10, 3) + field(12, bytes(16)))


@pytest.mark.parametrize("values", ENCODINGS)
def test_every_encoding_gives_the_same_plain_floats(values: Values, tmp_path: Path) -> None:
    assert list(first_blob(tmp_path, blob(WEIGHT, values)).floats()) == WEIGHT.ravel().tolist()


def test_packed_floats_are_not_copied(tmp_path: Path) -> None:
    assert not first_blob(tmp_path, blob(WEIGHT)).values().flags.owndata


@pytest.mark.parametrize("values", ENCODINGS)
def test_values_cannot_be_written_to(values: Values, tmp_path: Path) -> None:
    assert not first_blob(tmp_path, blob(WEIGHT, values)).values().flags.writeable


def test_what_weights_do_not_need_is_skipped(tmp_path: Path) -> None:
    diff = field(6, bytes(96))
    others = field(1, b"the net's name") + field(3, b"data") + integer(5, 1)
    ((_, _, blobs, _),) = layers(tmp_path, others + v2("conv1", "Convolution", diff + blob(WEIGHT)))
    np.testing.assert_array_equal(blobs[0].values(), WEIGHT)


def test_the_last_layer_of_a_name_counts(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(v2("a", "Scale", blob(BIAS)) + v2("a", "Scale", blob(WEIGHT)) + v2("a", "Scale"))
    assert read(path).names["a"].blobs[0].shape == WEIGHT.shape


def test_layers_without_blobs_have_no_name_in_the_list(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(v2("relu", "ReLU"))
    assert (len(read(path).layers), read(path).names) == (1, {})


def test_too_few_values_are_found_when_they_are_wanted(tmp_path: Path) -> None:
    found = first_blob(tmp_path, shape((5, 3)) + field(5, BIAS.tobytes()))
    assert not found.is_whole
    for wanted in (found.values, found.floats):
        with pytest.raises(WeightsError, match=r'layer "conv1", blob 0 holds 4 values, its shape \[5, 3\] needs 15'):
            wanted()


GOOD = v2("conv1", "Convolution", blob(WEIGHT, "single floats"), blob(BIAS)) + v1("ip", 14, blob(BIAS, legacy=True))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(GOOD) - 1))
def test_a_file_that_is_cut_somewhere_is_never_misread(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    """It is refused, or the cut fell between two layers."""
    folder = tmp_path_factory.getbasetemp()
    whole = layers(folder, GOOD)
    try:
        found = layers(folder, GOOD[:length])
    except WeightsError:
        return
    assert [layer.name for layer in found] == [layer.name for layer in whole[: len(found)]]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    with suppress(WeightsError):
        for layer in layers(tmp_path_factory.getbasetemp(), v2("a", "Scale", data) + data):
            for each in layer.blobs:
                each.values()


def values_cut_off(last: int) -> bytes:
    """One tag for each value, the last value not whole."""
    return shape((4,)) + blob(BIAS, "single floats")[len(shape((4,))) : -last]


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        pytest.param(b"\x89HDF\r\n\x1a\n" + bytes(90), "it is an HDF5 file", id="HDF5"),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer, not the file itself", id="LFS"
        ),
        pytest.param(b"PK\x03\x04" + bytes(90), "it is a zip archive; unpack it first", id="zip"),
        pytest.param(b"\x1f\x8b\x08\x00" + bytes(90), "it is gzip-compressed; unpack it first", id="gzip"),
        pytest.param(b"\n\n<!DOCTYPE html>\n<html>", "it is a web page saved under this name", id="web page"),
        pytest.param(b'name: "net"\nlayer { }', "were --deploy_model and --weights swapped?", id="prototxt"),
        pytest.param(GOOD.replace(b"\n", b"\r\n"), "a text-mode transfer (git autocrlf, FTP) damaged it", id="CRLF"),
        pytest.param(
            bytes(byte for byte in GOOD if byte < 128), "a text-mode upload damaged it, fetch it again", id="7 bits"
        ),
        pytest.param(GOOD[:-5], "runs past its end; the file is damaged, cut, or of another format", id="cut"),
        pytest.param(b"\x00" + GOOD, "a field without a number at byte 0", id="field 0"),
        pytest.param(b"\xff" * 12, "an unfinished number at byte 10", id="endless number"),
        pytest.param(bytes([8, 1]) * 40000, "it holds no layer", id="no layer in a large file"),
        pytest.param(v2("a", "Scale", values_cut_off(2)), "runs past its end", id="value cut off"),
    ],
)
def test_accidents_are_named(data: bytes, cause: str, tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=re.escape(cause)) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: not a readable caffemodel: ")


def test_an_empty_file_holds_no_layers(tmp_path: Path) -> None:
    assert layers(tmp_path, b"") == ()


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        pytest.param("missing.caffemodel", "cannot be read: No such file or directory", id="missing"),
        pytest.param("", "cannot be read: Is a directory", id="folder"),
    ],
)
def test_files_that_cannot_be_opened(name: str, cause: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=cause):
        read(tmp_path / name)


def mean(folder: Path, data: bytes) -> Array:
    path = folder / "mean.binaryproto"
    path.write_bytes(data)
    return read_blob(path)


def test_a_binaryproto_is_one_blob(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float32).reshape(1, 3, 2, 4)
    np.testing.assert_array_equal(mean(tmp_path, blob(array, legacy=True)), array, strict=True)


def test_a_binaryproto_must_hold_values(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="this binaryproto holds no values"):
        mean(tmp_path, shape((1, 3, 2, 4)))


def test_a_damaged_binaryproto_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not a readable binaryproto: a field at byte"):
        mean(tmp_path, blob(BIAS)[:-1])
