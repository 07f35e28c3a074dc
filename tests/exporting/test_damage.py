"""Quantized weights that were damaged or edited: each refused with the layer, the field, the value and the remedy."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.exporting.nets import write
from tests.simulation.quantized import block, xilinx
from tests.small_nets import data, layer
from xportdnn import codefile, codeschema
from xportdnn.errors import WeightsError
from xportdnn.exporting.manifest import contents
from xportdnn.exporting.weights import exported
from xportdnn.npy import npy

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "export.schema.json").read_text())
Path_: TypeAlias = tuple[str | int, ...]
Edit: TypeAlias = Callable[[dict[str, Any], dict[str, NDArray[Any]]], object]


def of_kind(name: str, **fields: object) -> str:
    conv = f"convolution_param {{ num_output: 4 kernel_size: 3 }}\n{block(fields, 'quantization_param')}"
    return data(1, 2, 5, 6, name=f"{name}_data") + layer(name, "ConvolutionRistretto", f"{name}_data", name, conv)


THRESHOLDS = f"convolution_param {{ num_output: 3 kernel_size: 2 }}\n{xilinx(6, 3, 9, (1.0, 2.0, 3.0))}"
NET = (
    of_kind("fixed", bw_params=8, fl_params=5)
    + of_kind("wide", bw_params=12, fl_params=9)
    + of_kind("powers", precision="INTEGER_POWER_OF_2_WEIGHTS", exp_min=-6, exp_max=0)
    + of_kind("mini", precision="MINIFLOAT", mant_bits=3, exp_bits=4)
    + data(1, 2, 5, 6)
    + layer("th", "Convolution", "data", "th", THRESHOLDS)
    + layer("ip", "InnerProduct", "th", "ip", "inner_product_param { num_output: 7 }")
)  # fmt: skip


@cache
def whole() -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Manifest and arrays of a network with every kind of format."""
    with TemporaryDirectory() as folder:
        network = write(Path(folder), NET)
        found = exported(network.opened, network.blocks)
        made = contents(found, str(network.files.deploy), str(network.files.weights), False)
    return made.manifest, made.arrays


def edited(folder: Path, edit: Edit) -> Path:
    said, arrays = deepcopy(whole()[0]), dict(whole()[1])
    edit(said, arrays)
    path = folder / "edited.npz"
    path.write_bytes(codefile.to_bytes(said, arrays))
    return path


def blob_of(said: dict[str, Any], name: str, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in said["layers"] if each["name"] == name)["blobs"][index]
    return found


def test_what_is_whole_is_read(tmp_path: Path) -> None:
    assert list(codefile.read(edited(tmp_path, lambda said, arrays: None)).names) == [
        "fixed", "wide", "powers", "mini", "th", "ip",
    ]  # fmt: skip


def of_type(kind: str, _: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    arrays["fixed.weights"] = arrays["fixed.weights"].astype(kind)


MANIFESTS: dict[str, tuple[Edit, str]] = {
    "name": (
        lambda said, _: said["layers"][1].update(name=7),
        r"manifest: layers\[1\]: name cannot be 7; it must be text",
    ),
    "no sources": (
        lambda said, _: said.pop("deploy_model"),
        "manifest: deploy_model is missing; export the weights ag",
    ),
    "no digest": (lambda said, _: said["deploy_model"].pop("sha256"), "manifest: deploy_model.sha256 is missing"),
    "null": (
        lambda said, _: said.update(deploy_model=None),
        "manifest: deploy_model cannot be null; it must be an object with the fields file, sha256; ex",
    ),
    "kind": (
        lambda said, _: blob_of(said, "mini")["format"].update(kind="float8"),
        'layer "mini", blob "weights": format.kind cannot be "float8"; it must be "threshold" or "fixed"',
    ),
    "no exp_min": (
        lambda said, _: blob_of(said, "powers")["format"].pop("exp_min"),
        'layer "powers", blob "weights": format.exp_min is missing',
    ),
    "other field": (
        lambda said, _: blob_of(said, "th").update(zero=0),
        r'blob "weights": zero is no field; the fields are name, ',
    ),
    "no scale": (lambda said, _: blob_of(said, "th").pop("scale"), 'layer "th", blob "weights": scale is missing'),
    "scale": (
        lambda said, _: blob_of(said, "fixed").update(scale=blob_of(said, "th")["scale"]),
        "scale belongs to the format threshold, this is fixed",
    ),
    "manifest as weights": (
        lambda said, _: blob_of(said, "ip").update(array="manifest"),
        'layer "ip", blob "weights": array cannot be "manifest"; it must be the name of an array of weights',
    ),
    "8.0": (
        lambda said, _: blob_of(said, "fixed")["format"].update(bits=8.0),
        "bits cannot be 8.0; it must be an integer from",
    ),
    "no scale for no format": (
        lambda said, _: blob_of(said, "ip").update(scale=blob_of(said, "th")["scale"]),
        "scale belongs to the format threshold, this is none",
    ),
    "packed": (lambda said, _: blob_of(said, "ip").update(packed=True), "packed belongs to codes"),
    "long": (lambda said, _: said.update(layers="x" * 99), r'layers cannot be "x{56}\.\.\.; it must be a list'),
}
ARRAYS: dict[str, tuple[Edit, str]] = {
    "codes without a format": (
        lambda said, _: blob_of(said, "fixed").pop("format"),
        r'layer "fixed", blob "weights": array "fixed.weights" is of type int8, it must be float32',
    ),
    "zero in the scale's shape": (
        lambda said, _: blob_of(said, "th")["scale"].update(shape=[0, 1, 1, 1]),
        r'layer "th", blob "weights", scale: shape is \[0, 1, 1, 1\], it must have the axes of \[3, 2, 2, 2\]',
    ),
    "no axes in the scale": (
        lambda said, _: blob_of(said, "th")["scale"].update(shape=[]), r"scale: shape is \[\], it must have the axes"
    ),
    "one scale of many": (
        lambda said, _: blob_of(said, "th")["scale"].update(shape=[1, 1, 1, 1]),
        'blobs of array "float32" overlap, or leave numbers between them',
    ),
    "infinite scale": (
        lambda _, arrays: arrays.update(float32=np.full_like(arrays["float32"], np.inf)),
        "scale: holds numbers that are negative or not finite",
    ),
    "fewer bits": (
        lambda said, _: blob_of(said, "fixed")["format"].update(bits=2),
        r"holds codes from -\d+ to \d+, its format fixed of 2 bits has -2 to 1",
    ),
    "more bits": (
        lambda said, _: blob_of(said, "mini")["format"].update(bits=7), "bits is 7, its format minifloat has 8 or 9"
    ),
    "bits of powers": (
        lambda said, _: blob_of(said, "powers")["format"].update(bits=5), "its format power_of_two has 4"
    ),
    "powers the other way": (
        lambda said, _: blob_of(said, "powers")["format"].update(exp_min=3), "exp_min is 3 and exp_max 0"
    ),
    "no such powers": (
        lambda _, arrays: arrays.update({"powers.weights": arrays["powers.weights"] * 0}), "holds the code 0"
    ),
    "packed and wide": (lambda said, _: blob_of(said, "fixed").update(packed=True), "bits is 8, packed codes have no"),
    "no array": (
        lambda said, _: blob_of(said, "fixed").update(array="other"), 'the file does not hold its array "other"'
    ),
    "another order": (
        lambda said, _: blob_of(said, "fixed").update(shape=[2, 4, 3, 3]),
        r"shape is \[2, 4, 3, 3\], that of its array \[4, 2, 3, 3\]",
    ),
    **{
        f"{kind} codes": (
            partial(of_type, kind),
            r'blob "weights": array "fixed.weights" is of type .*, it must be int8',
        )
        for kind in ("uint8", "bool", "complex64", "U4", "int64", "float32")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", [*MANIFESTS, *ARRAYS])
def test_what_was_edited_is_refused(name: str, tmp_path: Path) -> None:
    edit, message = {**MANIFESTS, **ARRAYS}[name]
    with pytest.raises(WeightsError, match=message):
        codefile.read(edited(tmp_path, edit))


def test_everything_at_once(tmp_path: Path) -> None:
    """With the remedy once; of a format that is none it is not told what the scale should be."""

    def edit(said: dict[str, Any], _: dict[str, NDArray[Any]]) -> None:
        blob_of(said, "fixed")["format"].update(bits=0, fl=200)
        blob_of(said, "th")["format"] = None
        del said["weights"]

    path = edited(tmp_path, edit)
    with pytest.raises(WeightsError) as caught:
        codefile.read(path)
    assert caught.value.message == f"{path}: manifest: these fields cannot be used; {codeschema.AGAIN}:"
    assert caught.value.problems == (
        'layer "fixed", blob "weights": format.bits cannot be 0; it must be an integer from 1 to 32',
        'layer "fixed", blob "weights": format.fl cannot be 200; it must be an integer from -126 to 126',
        'layer "th", blob "weights": format cannot be null; it must be an object with the fields kind, bits',
        "weights is missing",
    )


def places(said: Any, at: Path_ = ()) -> Iterator[Path_]:
    """Every place of a JSON document."""
    yield at
    if isinstance(said, dict | list):
        for key in said if isinstance(said, dict) else range(len(said)):
            yield from places(said[key], (*at, key))


def put(said: Any, at: Path_, value: object) -> Any:
    """The document with another value at a place; None: without the place."""
    if not at:
        return value
    other = deepcopy(said)
    inner = other
    for key in at[:-1]:
        inner = inner[key]
    if value is None:
        del inner[at[-1]]
    else:
        inner[at[-1]] = value
    return other


@st.composite
def variants(draw: st.DrawFn) -> Any:
    said = whole()[0]
    scalars = st.sampled_from([-1, 0, 1, 99, 10**30, 1.5, "", "x", "manifest", "fixed", "threshold", True])
    value = draw(st.none() | scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.just("a"), scalars))
    return put(said, draw(st.sampled_from(list(places(said)))), value)


@given(variants())
@settings(max_examples=150, deadline=None)
def test_the_reader_and_the_schema_agree(said: Any) -> None:
    if jsonschema.Draft202012Validator(SCHEMA).is_valid(said):
        codeschema.check(said, "a.npz")
    else:
        with pytest.raises(WeightsError, match=r"^a\.npz: manifest"):
            codeschema.check(said, "a.npz")


def test_a_file_that_was_cut_is_named_as_such(tmp_path: Path) -> None:
    path = edited(tmp_path, lambda said, arrays: None)
    content = path.read_bytes()
    for length in (60, 1000, len(content) - 5):
        path.write_bytes(content[:length])
        assert codefile.is_codefile(path)
        with pytest.raises(WeightsError, match=r"cut or damaged .* export the weights again"):
            codefile.read(path)


@pytest.mark.parametrize("byte", [6, 8], ids=["encrypted", "compression"])
def test_bits_of_the_directory(byte: int, tmp_path: Path) -> None:
    """An encryption that is none, and a compression that nobody knows."""
    path = edited(tmp_path, lambda said, arrays: None)
    content = bytearray(path.read_bytes())
    for magic, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        content[content.index(magic) + byte + shift] ^= 0x01
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="export the weights again"):
        codefile.read(path)


def test_endless_nesting(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    text = np.frombuffer(b"[" * 200_000, np.uint8)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.npy", npy(text))
    with pytest.raises(WeightsError, match=r"cannot be read: .*recursion"):
        codefile.read(path)


def test_a_field_that_is_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    said = json.dumps(whole()[0]).replace('"name": "mini"', '"name": "first", "name": "mini"').encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.npy", npy(np.frombuffer(said, np.uint8)))
    with pytest.raises(WeightsError, match=r'layer "mini": name is given twice; keep one'):
        codefile.read(path)
