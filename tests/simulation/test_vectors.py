"""The files for a hardware engineer: complete, true to their manifest, and enough to compute every layer again."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.layers import naive
from tests.layers.naive import Steps
from tests.simulation.quantized import fixed, prepared, xilinx
from tests.small_nets import data, layer
from xportdnn.simulation import Arithmetic
from xportdnn.simulation.c_header import header, identifier
from xportdnn.simulation.vectors import Vectors

WHOLE = [Arithmetic.INTEGER, Arithmetic.CHAIDNN]
ALL = pytest.mark.parametrize("arithmetic", WHOLE, ids=lambda arithmetic: arithmetic.value)
MODES = {
    "Xilinx": (xilinx(8, 3, 9, (1.0, 2.0, 3.0, 4.0)), xilinx(8, 9, 9)),
    "DynamicFixed": (fixed(8, 4, 3, 5), fixed(8, 3, 3)),
}
CONV = "convolution_param { num_output: 4 kernel_size: 3 pad: 1 }"
AVERAGE = "pooling_param { pool: AVE kernel_size: 2 stride: 2 }"
PRODUCT = "inner_product_param { num_output: 5 bias_term: false }"


def network(mode: str) -> str:
    conv, pool = MODES[mode]
    return (
        data(2, 3, 4, 6)
        + layer("block/conv", "Convolution", "data", "conv", f"{CONV}\n{conv}")
        + layer("relu", "ReLU", "conv", "conv")
        + layer("pool", "Pooling", "conv", "pool", f"{AVERAGE}\n{pool}")
        + layer("ip", "InnerProduct", "pool", "ip", PRODUCT)
    )


def random(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def write(folder: Path, arithmetic: Arithmetic, mode: str = "Xilinx", c_header: bool = False) -> dict[str, Any]:
    """The manifest's layers by name."""
    blobs = {"block/conv": (random(4, 3, 3, 3, seed=1), random(4, seed=2)), "ip": (random(5, 24, seed=3),)}
    simulation, feeds = prepared(network(mode), blobs, {"data": random(2, 3, 4, 6)}, arithmetic)
    vectors = Vectors(simulation, str(folder), c_header)
    vectors.prepare()
    for step in simulation.steps(feeds):
        vectors.add(step)
    vectors.finish()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["arithmetic"] == arithmetic.value
    return {entry["name"]: entry for entry in manifest["layers"]}


def load(folder: Path, entry: dict[str, Any], name: str) -> NDArray[Any]:
    array: NDArray[Any] = np.load(folder / entry["arrays"][name]["file"])
    return array


@ALL
def test_the_manifest_says_what_is_in_the_files(arithmetic: Arithmetic, tmp_path: Path) -> None:
    listed = {"manifest.json"}
    for entry in write(tmp_path, arithmetic, c_header=True).values():
        for said in entry.get("arrays", {}).values():
            data_of_file = (tmp_path / said["file"]).read_bytes()
            array = np.load(tmp_path / said["file"])
            assert said["sha256"] == hashlib.sha256(data_of_file).hexdigest()
            assert (said["shape"], said["type"]) == (list(array.shape), array.dtype.name)
            listed.add(said["file"])
        if "c_header" in entry:
            said = entry["c_header"]
            assert said["sha256"] == hashlib.sha256((tmp_path / said["file"]).read_bytes()).hexdigest()
            listed.add(said["file"])
    assert {path.name for path in tmp_path.iterdir()} == listed


@ALL
def test_the_same_bytes_twice(arithmetic: Arithmetic, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, arithmetic, c_header=True)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def divided(sums: NDArray[np.float64], shift: int) -> NDArray[np.int64]:
    """Half away from zero."""
    magnitude = np.floor(np.abs(sums) / 2.0**shift + 0.5)
    return (np.sign(sums) * magnitude).astype(np.int64)


@ALL
@pytest.mark.parametrize("mode", MODES)
def test_a_convolution_can_be_computed_from_its_files(arithmetic: Arithmetic, mode: str, tmp_path: Path) -> None:
    """By the manifest's own formula, in loops."""
    entry = write(tmp_path, arithmetic, mode)["block/conv"]
    weights, bias = load(tmp_path, entry, "weights"), load(tmp_path, entry, "bias").astype(np.float64)
    images = load(tmp_path, entry, "input").astype(np.float32)
    sums = naive.convolution(images, weights.astype(np.float32), np.zeros(4, np.float32), Steps((3, 3), pad=(1, 1)), 1)
    if "multiplier" in entry["arrays"]:
        sums = sums * load(tmp_path, entry, "multiplier").astype(np.float64)[:, None, None]
    if "bias * 2^14" in entry["output"]:
        bias = bias * 2**14
    expected = np.clip(divided(sums + bias[:, None, None], entry["shift"]), *entry["limits"])
    if entry.get("relu"):
        expected = np.maximum(expected, 0)
    np.testing.assert_array_equal(load(tmp_path, entry, "output"), expected)


def test_what_the_board_computes_inside_has_no_files_of_its_own(tmp_path: Path) -> None:
    entries = write(tmp_path, Arithmetic.CHAIDNN)
    assert entries["relu"]["inside"] == "block/conv"
    assert "arrays" not in entries["relu"]
    assert entries["block/conv"]["computes"] == ["relu"]
    assert load(tmp_path, entries["block/conv"], "output").min() == 0


@ALL
def test_each_layer_reads_what_the_one_before_wrote(arithmetic: Arithmetic, tmp_path: Path) -> None:
    entries = write(tmp_path, arithmetic)
    before = entries["block/conv" if arithmetic is Arithmetic.CHAIDNN else "relu"]
    np.testing.assert_array_equal(load(tmp_path, entries["pool"], "input"), load(tmp_path, before, "output"))


@ALL
def test_formats_and_types(arithmetic: Arithmetic, tmp_path: Path) -> None:
    entries = write(tmp_path, arithmetic)
    said = entries["block/conv"]["arrays"]["input"]
    assert said["type"] == "int8"
    assert said["format"] == {"kind": "threshold", "th": 3.0, "bits": 8, "step": float(np.float32(3 / 127))}
    assert entries["ip"]["computed_in"] == "float32"
    assert entries["ip"]["arrays"]["output"]["type"] == "float32"
    assert entries["block/conv"]["computed_in"] == "integers"


@ALL
def test_a_c_compiler_reads_the_same_numbers(arithmetic: Arithmetic, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler: cc")
    entries = write(tmp_path, arithmetic, c_header=True)
    lines, expected = ["#include <stdio.h>"], []
    for name in ("block/conv", "ip"):
        lines.append(f'#include "{entries[name]["c_header"]["file"]}"')
    lines.append("int main(void) {")
    for name in ("block/conv", "ip"):
        for array, said in entries[name]["arrays"].items():
            symbol, values = f"{identifier(name)}__{array}", load(tmp_path, entries[name], array).ravel()
            size = len(said["shape"])
            lines.append(f'  for (int i = 0; i < {values.size}; i++) printf("%.17g\\n", (double){symbol}[i]);')
            lines.append(f'  for (int i = 0; i < {size}; i++) printf("%d\\n", {symbol}_shape[i]);')
            expected += [*map(float, values), *map(float, said["shape"])]
    (tmp_path / "read.c").write_text("\n".join([*lines, "  return 0;", "}"]))
    options = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-o", str(tmp_path / "read"), str(tmp_path / "read.c")]
    subprocess.run([compiler, *options], check=True)
    printed = subprocess.run([str(tmp_path / "read")], check=True, capture_output=True, text=True).stdout
    assert [float(line) for line in printed.split()] == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("conv1", "conv1"), ("a/b-c.1", "a_b_c_1"), ("248", "_248"), ("", "_"), ("é", "_")]
)
def test_names_that_c_takes(name: str, expected: str) -> None:
    assert identifier(name) == expected


def test_numbers_without_a_literal_of_their_own() -> None:
    floats = np.array([np.inf, -np.inf, np.nan, 0.5], np.float32)
    text = header("x", {"f": floats, "i": np.array([-(2**63)], np.int64)})
    assert "INFINITY, -INFINITY, NAN, 0x1.0000000000000p-1f," in text
    assert "(-9223372036854775807 - 1)," in text


def test_a_value_without_axes() -> None:
    text = header("x", {"one": np.array(3, np.int8)})
    assert "static const int x__one_shape[1] = {1};" in text
    assert "static const int8_t x__one[1]" in text
