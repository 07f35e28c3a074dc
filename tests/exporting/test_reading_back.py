"""The `.npz` in place of the caffemodel: the same simulation, bit for bit."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.exporting.nets import MODES, SAMPLES, Network, opened, pictures, sample, small, write
from tests.simulation.quantized import block, fixed, xilinx
from tests.small_nets import data, layer
from xportdnn import codefile
from xportdnn.choices import Arithmetic
from xportdnn.errors import NetworkError, WeightsError
from xportdnn.exporting.manifest import contents
from xportdnn.exporting.weights import exported
from xportdnn.layers import Array
from xportdnn.modelfile import pieces

BY_MODE = pytest.mark.parametrize("mode", MODES)


def as_npz(network: Network, folder: Path, packed: bool = False) -> Path:
    path = folder / "codes.npz"
    found = exported(network.opened, network.blocks)
    whole = contents(found, str(network.files.deploy), str(network.files.weights), packed)
    path.write_bytes(codefile.to_bytes(whole.manifest, whole.arrays))
    return path


def check_same(network: Network, path: Path, arithmetic: Arithmetic, batch: Array | None = None) -> None:
    before = network.simulated(arithmetic, batch)
    after = opened(network.files, path).simulated(arithmetic, batch)
    assert before.keys() == after.keys()
    for name, simulated in before.items():
        for one, two in zip(simulated.tops, after[name].tops, strict=True):
            np.testing.assert_array_equal(one, two, err_msg=name)
        for code, again in zip(simulated.integers, after[name].integers, strict=True):
            np.testing.assert_array_equal(code, again, err_msg=name)


@BY_MODE
@pytest.mark.parametrize("arithmetic", [Arithmetic.FAKE, Arithmetic.INTEGER], ids=lambda arithmetic: arithmetic.value)
def test_a_small_network(mode: str, arithmetic: Arithmetic, tmp_path: Path) -> None:
    network = write(tmp_path, small(mode))
    check_same(network, as_npz(network, tmp_path), arithmetic)


@BY_MODE
@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("arithmetic", [Arithmetic.FAKE, Arithmetic.INTEGER], ids=lambda arithmetic: arithmetic.value)
def test_sample_networks(name: str, mode: str, arithmetic: Arithmetic, tmp_path: Path) -> None:
    network = opened(sample(tmp_path, name, mode))
    check_same(network, as_npz(network, tmp_path), arithmetic, pictures(name))


@BY_MODE
def test_the_board(mode: str, tmp_path: Path) -> None:
    """InnerProduct runs in software with the caffemodel's own weights, which have no codes."""
    network = opened(sample(tmp_path, "digits_plain", mode))
    check_same(network, as_npz(network, tmp_path), Arithmetic.CHAIDNN, pictures("digits_plain"))


def test_packed_codes(tmp_path: Path) -> None:
    network = opened(sample(tmp_path, "digits_plain", "Xilinx", bits=6))
    check_same(network, as_npz(network, tmp_path, packed=True), Arithmetic.INTEGER, pictures("digits_plain"))


@pytest.mark.parametrize(
    ("precision", "more"),
    [
        ("DYNAMIC_FIXED_POINT", {"bw_params": 4, "fl_params": 3, "bw_layer_in": 8, "fl_layer_in": 5}),
        ("DYNAMIC_FIXED_POINT", {"bw_params": 4, "fl_params": 3, "rounding_scheme": "STOCHASTIC"}),
        ("INTEGER_POWER_OF_2_WEIGHTS", {"exp_min": -4, "exp_max": 1}),
    ],
    ids=["nearest", "stochastic", "powers of two"],
)
def test_ristretto(precision: str, more: dict[str, object], tmp_path: Path) -> None:
    formats = block({"precision": precision, **more}, "quantization_param")
    conv = f"convolution_param {{ num_output: 4 kernel_size: 3 }}\n{formats}"
    network = write(tmp_path, data(2, 3, 5, 6) + layer("c", "ConvolutionRistretto", "data", "c", conv))
    check_same(network, as_npz(network, tmp_path), Arithmetic.FAKE)


@BY_MODE
def test_the_board_needs_the_floats_before_batch_norm(mode: str, tmp_path: Path) -> None:
    network = opened(sample(tmp_path, "digits_residual", mode))
    coded = opened(network.files, as_npz(network, tmp_path))
    with pytest.raises(
        NetworkError, match=r'layer "conv1" .*bn_conv1 and scale_conv1 are worked into its weights first'
    ):
        coded.simulated(Arithmetic.CHAIDNN)


def test_the_board_needs_the_floats_of_software(tmp_path: Path) -> None:
    product = f"inner_product_param {{ num_output: 3 }}\n{fixed(8, 4, 3, 5)}"
    network = write(tmp_path, data(1, 2, 5, 6) + layer("ip", "InnerProduct", "data", "ip", product))
    coded = opened(network.files, as_npz(network, tmp_path))
    with pytest.raises(NetworkError, match=r'layer "ip" .*it runs in software'):
        coded.simulated(Arithmetic.CHAIDNN)


def test_ristrettos_rules_are_not_the_boards(tmp_path: Path) -> None:
    """Its bias is rounded as the weights are: the board's integers of the float one would be others."""
    formats = block({"bw_params": 4, "fl_params": 3, "bw_layer_in": 8, "fl_layer_in": 5}, "quantization_param")
    conv = f"convolution_param {{ num_output: 4 kernel_size: 3 }}\n{formats}"
    network = write(tmp_path, data(1, 3, 5, 6) + layer("c", "ConvolutionRistretto", "data", "c", conv))
    coded = opened(network.files, as_npz(network, tmp_path))
    with pytest.raises(NetworkError, match="give the caffemodel:") as caught:
        coded.simulated(Arithmetic.CHAIDNN)
    assert "Ristretto's rules rounded its weights and its bias" in caught.value.problems[0]


def test_the_weights_of_other_formats_are_refused(tmp_path: Path) -> None:
    network = write(tmp_path, small("Xilinx"))
    path = as_npz(network, tmp_path)
    opened(network.files, path)
    network.files.deploy.write_text(small("Xilinx").replace(xilinx(8, 9, 9), xilinx(8, 9, 8)))
    with pytest.raises(WeightsError, match=r"was exported with another prototxt than .* export the weights again"):
        opened(network.files, path)


def test_codes_of_codes_are_the_same(tmp_path: Path) -> None:
    network = write(tmp_path, small("DynamicFixed"))
    first = as_npz(network, tmp_path)
    again = {each.layer.name: each for each in exported(opened(network.files, first).opened, network.blocks)}
    for name, each in network.exported().items():
        for one, two in zip(each.blobs, again[name].blobs, strict=True):
            np.testing.assert_array_equal(one.values, two.values)


# ---- files that are none


def test_a_caffemodel_is_no_codefile(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"".join(pieces(write(tmp_path, small("Xilinx")).model.layers)))
    assert not codefile.is_codefile(path)
    assert not codefile.is_codefile(tmp_path / "absent")


def zipped(path: Path, arrays: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in arrays.items():
            archive.writestr(name, content)
    return path


def manifest(text: bytes) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.frombuffer(text, np.uint8))
    return buffer.getvalue()


def test_another_zip_file_is_no_codefile(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"net.caffemodel": b""})
    assert not codefile.is_codefile(path)
    path.write_bytes(path.read_bytes()[:20])
    assert not codefile.is_codefile(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[]", "was not written by `xportdnn export`"),
        (b'{"format": "other"}', "was not written by `xportdnn export`"),
        (b'{"format": "xportdnn.weights", "version": 2}', "version 2 of its format, this program reads 1"),
        (
            b'{"format": "xportdnn.weights", "version": 1}',
            r"manifest: .*; export the weights again(.|\n)*xportdnn is missing",
        ),
        (b"{", "cannot be read: Expecting"),
    ],
    ids=["no object", "other", "version", "incomplete", "no JSON"],
)
def test_manifests_that_are_none(text: bytes, message: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.npz", {"manifest.npy": manifest(text)})
    assert codefile.is_codefile(path)
    with pytest.raises(WeightsError, match=message):
        codefile.read(path)


def test_arrays_that_do_not_fit_the_manifest(tmp_path: Path) -> None:
    network = write(tmp_path, small("Xilinx"))
    whole = contents(
        exported(network.opened, network.blocks), str(network.files.deploy), str(network.files.weights), False
    )
    path = tmp_path / "a.npz"
    short = {**whole.arrays, "a/conv.weights": whole.arrays["a/conv.weights"][:3]}
    path.write_bytes(codefile.to_bytes(whole.manifest, short))
    with pytest.raises(
        WeightsError, match=r'layer "a/conv", blob "weights": 27 numbers lie where the shape \[4, 1, 3, 3\] needs 36'
    ):
        codefile.read(path)


def test_a_damaged_file(tmp_path: Path) -> None:
    network = write(tmp_path, small("Xilinx"))
    path = as_npz(network, tmp_path)
    content = bytearray(path.read_bytes())
    content[2000:2040] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="export the weights again"):
        codefile.read(path)
