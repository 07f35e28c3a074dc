"""What the `.npz` says of itself, enough to use it with NumPy alone."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.exporting.nets import MODES, Network, opened, sample, small, write
from tests.simulation.quantized import block, xilinx
from tests.small_nets import Files, data, layer
from xportdnn import codefile
from xportdnn.api import convert
from xportdnn.exporting.manifest import contents
from xportdnn.exporting.weights import exported, quantized_share

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "schemas" / "export.schema.json").read_text())
MODELS = ROOT.parent / "shared" / "models"
BY_MODE = pytest.mark.parametrize("mode", MODES)


def npz(network: Network, packed: bool = False) -> bytes:
    found = exported(network.opened, network.blocks)
    whole = contents(found, str(network.files.deploy), str(network.files.weights), packed)
    return codefile.to_bytes(whole.manifest, whole.arrays)


def loaded(folder: Path, content: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays and the manifest, by NumPy."""
    path = folder / "loaded.npz"
    path.write_bytes(content)
    with np.load(path) as arrays:
        found = dict(arrays)
    return found, json.loads(found["manifest"].tobytes())


def placed(arrays: dict[str, NDArray[Any]], place: dict[str, Any]) -> NDArray[Any]:
    start = place.get("offset", 0)
    found: NDArray[Any] = arrays[place["array"]].reshape(-1)[start : start + math.prod(place["shape"])]
    return np.reshape(found, place["shape"])


NETS = {
    **{mode: small(mode) for mode in MODES},
    "powers of two": data(1, 2, 5, 6)
    + layer(
        "r", "FcRistretto", "data", "r",
        "inner_product_param { num_output: 7 }\n"
        + block({"precision": "INTEGER_POWER_OF_2_WEIGHTS", "exp_min": -6, "exp_max": 0}, "quantization_param"),
    ),
}  # fmt: skip


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("name", NETS)
def test_manifests_follow_the_schema(name: str, packed: bool, tmp_path: Path) -> None:
    _, manifest = loaded(tmp_path, npz(write(tmp_path, NETS[name]), packed))
    jsonschema.validate(manifest, SCHEMA, cls=jsonschema.Draft202012Validator)


@BY_MODE
@pytest.mark.parametrize("name", ["digits_plain", "digits_residual"])
def test_sample_networks_follow_the_schema(name: str, mode: str, tmp_path: Path) -> None:
    _, manifest = loaded(tmp_path, npz(opened(sample(tmp_path, name, mode))))
    jsonschema.validate(manifest, SCHEMA, cls=jsonschema.Draft202012Validator)


@BY_MODE
def test_numpy_alone_gives_the_weights(mode: str, tmp_path: Path) -> None:
    network = write(tmp_path, small(mode))
    arrays, manifest = loaded(tmp_path, npz(network))
    found = network.exported()
    for entry in manifest["layers"]:
        for blob, expected in zip(entry["blobs"], found[entry["name"]].values, strict=True):
            codes = placed(arrays, blob).astype(np.float32)
            if "scale" in blob:
                codes = codes * placed(arrays, blob["scale"])
            elif "format" in blob:
                codes = np.ldexp(codes, -blob["format"]["fl"])
            np.testing.assert_array_equal(codes, expected)


def test_sources(tmp_path: Path) -> None:
    network = write(tmp_path, small("Xilinx"))
    _, manifest = loaded(tmp_path, npz(network))
    for key, path in (("deploy_model", network.files.deploy), ("weights", network.files.weights)):
        assert manifest[key] == {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


@BY_MODE
def test_the_boards_shift(mode: str, tmp_path: Path) -> None:
    """Of a Convolution by itself; of one with BatchNorm and Scale the reason."""
    _, manifest = loaded(tmp_path, npz(opened(sample(tmp_path, "digits_plain", mode))))
    first = manifest["layers"][0]
    assert first["board"] == {"shift": 22 if mode == "Xilinx" else 4 + 6 - 4}
    _, manifest = loaded(tmp_path, npz(opened(sample(tmp_path, "digits_residual", mode))))
    assert "BatchNorm and Scale behind it" in manifest["layers"][0]["board"]["reason"]


def test_nothing_is_written_that_follows_from_the_rest(tmp_path: Path) -> None:
    """Only codes, scales, and what has no format: the board's own biases would be integers of 16 bits."""
    arrays, _ = loaded(tmp_path, npz(opened(sample(tmp_path, "digits_plain", "Xilinx"))))
    assert {array.dtype.name for name, array in arrays.items() if name != "manifest"} == {"float32", "int8"}


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    files = sample(tmp_path, "digits_residual", "Xilinx")
    assert npz(opened(files)) == npz(opened(files))


def test_packed_codes_are_smaller(tmp_path: Path) -> None:
    network = opened(sample(tmp_path, "digits_residual", "Xilinx", bits=6))
    arrays, manifest = loaded(tmp_path, npz(network, packed=True))
    for entry in manifest["layers"]:
        for blob in entry["blobs"]:
            if blob.get("packed"):
                assert arrays[blob["array"]].nbytes == -(-math.prod(blob["shape"]) // 4) * 3
    assert sum("packed" in blob for entry in manifest["layers"] for blob in entry["blobs"]) == 8


def test_codes_of_8_bits_are_not_packed(tmp_path: Path) -> None:
    network = opened(sample(tmp_path, "digits_residual", "Xilinx"))
    assert npz(network, packed=True) == npz(network)


@pytest.mark.parametrize("name", ["m/a", "ü", "float32", "manifest"])
def test_names_of_all_kinds(name: str, tmp_path: Path) -> None:
    conv = "convolution_param { num_output: 2 kernel_size: 3 }"
    network = write(tmp_path, data(1, 2, 5, 6) + layer(name, "Convolution", "data", "c", conv))
    path = tmp_path / "a.npz"
    path.write_bytes(npz(network))
    assert list(codefile.read(path).names) == [name]


def test_layers_with_one_name(tmp_path: Path) -> None:
    """Caffe gives both the blobs of the last entry; so they have the same codes."""
    conv = f"convolution_param {{ num_output: 2 kernel_size: 3 pad: 1 }}\n{xilinx(8, 3, 9, (1.0, 2.0))}"
    text = data(1, 2, 5, 6) + layer("c", "Convolution", "data", "c", conv) + layer("c", "Convolution", "c", "d", conv)
    network = write(tmp_path, text)
    path = tmp_path / "a.npz"
    path.write_bytes(npz(network))
    (each,) = network.exported().values()
    np.testing.assert_array_equal(codefile.read(path).names["c"].blobs[0].values(), each.values[0])


@pytest.mark.parametrize("fl", [2, 6, 7])
@pytest.mark.parametrize("name", ["resnet20_cifar10", "tinysqueeze_imagenet"])
def test_eight_bits_take_a_quarter(name: str, fl: int, tmp_path: Path) -> None:
    """The bar is 26 % of the caffemodel; the finer the steps the less the codes can be compressed."""
    deploy, weights = MODELS / name / "deploy.prototxt", MODELS / name / f"{name}.caffemodel"
    if not weights.exists():
        pytest.skip(f"the collection of real networks is not here: {name}")
    text = convert(deploy, weights, quant_type="DynamicFixed", bitwidths=(8, 8, 8), fl_bitwidths=(2, fl, 2)).text
    quantized = tmp_path / "quantized.prototxt"
    quantized.write_text(text)
    network = opened(Files(quantized, weights))
    coded, total = quantized_share(exported(network.opened, network.blocks))
    assert coded / total > 0.98
    assert len(npz(network)) <= 0.26 * weights.stat().st_size
