"""What the board's parser reads of a caffemodel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.caffe_files import blob, v0, v1, v2
from tests.check.cases import Case
from tests.small_nets import conv, data, layer
from xportdnn import caffemodel
from xportdnn.check import Finding, look
from xportdnn.check.opening import subject
from xportdnn.check.rules.caffemodel import RULES
from xportdnn.layers import Array
from xportdnn.prototxt import Source

BY_ID = {rule.id: rule for rule in RULES}
TEXT = (
    data(1, 3, 6, 5)
    + conv("conv", "data", "conv", 4, "kernel_size: 2")
    + layer("norm", "BatchNorm", "conv", "conv")
    + layer("scale", "Scale", "conv", "conv", "scale_param { bias_term: true }")
    + layer("fc", "InnerProduct", "conv", "fc", "inner_product_param { num_output: 7 }")
)
NORMALIZED = data(1, 3, 6, 5) + layer("norm", "Normalize", "data", "norm", "norm_param { channel_shared: CHOICE }")


def zeros(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


def ones(*shape: int) -> Array:
    return np.ones(shape, np.float32)


WEIGHTS: dict[str, tuple[Array, ...]] = {
    "conv": (zeros(4, 3, 2, 2), zeros(4)),
    "norm": (zeros(4), ones(4), ones(1)),
    "scale": (ones(4), zeros(4)),
    "fc": (zeros(7, 80), zeros(7)),
}


def stored(**others: bytes) -> bytes:
    """The caffemodel of `TEXT`, some of its layers replaced."""
    usual = {name: v2(name, "", *map(blob, arrays)) for name, arrays in WEIGHTS.items()}
    return b"".join((usual | others).values())


def fitting(**others: tuple[Array, ...]) -> dict[str, tuple[Array, ...]]:
    """The blobs of `TEXT`, some of them replaced."""
    return WEIGHTS | others


def old(name: str, kind: int, *, legacy: bool = True) -> bytes:
    return v1(name, kind, *(blob(array, legacy=legacy) for array in WEIGHTS[name]))


def findings(folder: Path, model: bytes, text: str = TEXT) -> list[Finding]:
    path = folder / "net.caffemodel"
    path.write_bytes(model)
    return list(look(subject(Source("net.prototxt", text), caffemodel.read(path)), RULES))


def messages(folder: Path, model: bytes, text: str = TEXT) -> list[tuple[str, str, str]]:
    return [(found.rule.id, found.layer, found.message) for found in findings(folder, model, text)]


CASES: dict[str, Case] = {
    "caffemodel-old-layers": Case(
        TEXT,
        TEXT,
        says="2 layers have their weights in the old form `layers`: conv, fc",
        model=stored(conv=old("conv", 4), fc=old("fc", 14)),
    ),
    "caffemodel-layer-missing": Case(
        TEXT,
        TEXT,
        says="is not in the caffemodel",
        line=14,
        weights={name: arrays for name, arrays in WEIGHTS.items() if name != "norm"},
        passing_weights=WEIGHTS,
    ),
    "caffemodel-blobs-missing": Case(
        TEXT,
        TEXT,
        says="has 1 blobs in the caffemodel, the board takes 2",
        weights=fitting(conv=(zeros(4, 3, 2, 2),)),
        passing_weights=WEIGHTS,
    ),
    "caffemodel-old-shapes": Case(
        TEXT,
        TEXT,
        says="blobs without a BlobShape: conv, fc",
        model=stored(
            conv=v2("conv", "Convolution", *(blob(array, legacy=True) for array in WEIGHTS["conv"])),
            fc=v2("fc", "InnerProduct", *(blob(array, legacy=True) for array in WEIGHTS["fc"])),
        ),
    ),
    "caffemodel-values-unread": Case(
        TEXT,
        TEXT,
        says="weights that are no 32-bit floats: conv",
        model=stored(conv=v2("conv", "", blob(WEIGHTS["conv"][0], "halves"), blob(zeros(4)))),
    ),
    "caffemodel-shape": Case(
        TEXT,
        TEXT,
        says="blob 0 is 4x3x3x3 instead of 4x3x2x2",
        weights=fitting(conv=(zeros(4, 3, 3, 3), zeros(4))),
        passing_weights=WEIGHTS,
    ),
    "weights-not-finite": Case(
        TEXT,
        TEXT,
        says="1 of 52 weights are NaN or infinite",
        weights=fitting(conv=(zeros(4, 3, 2, 2), np.array([0, np.nan, 0, 0], np.float32))),
        passing_weights=WEIGHTS,
    ),
}


def test_kept(tmp_path: Path) -> None:
    assert messages(tmp_path, stored()) == []


def test_v0_is_as_old(tmp_path: Path) -> None:
    model = stored(conv=v0("conv", "conv", *map(blob, WEIGHTS["conv"])))
    assert messages(tmp_path, model) == [
        ("caffemodel-old-layers", "", "1 layer has its weights in the old form `layers`: conv")
    ]


def test_of_both_forms_the_new_one_is_read(tmp_path: Path) -> None:
    assert messages(tmp_path, stored() + old("conv", 4)) == []


def test_an_entry_without_blobs_hides_an_earlier_one(tmp_path: Path) -> None:
    assert messages(tmp_path, stored() + v2("conv", "Convolution")) == [
        ("caffemodel-blobs-missing", "conv", "has 0 blobs in the caffemodel, the board takes 2")
    ]


def test_no_bias_is_wanted_where_the_text_says_so(tmp_path: Path) -> None:
    text = TEXT.replace("kernel_size: 2", "kernel_size: 2 bias_term: false")
    assert messages(tmp_path, stored(conv=v2("conv", "", blob(WEIGHTS["conv"][0]))), text) == []


def test_doubles_are_not_read(tmp_path: Path) -> None:
    doubles = v2("fc", "", *(blob(array, "doubles") for array in WEIGHTS["fc"]))
    assert messages(tmp_path, stored(fc=doubles)) == [
        ("caffemodel-values-unread", "", "weights that are no 32-bit floats: fc")
    ]


def test_leading_ones_do_not_fit(tmp_path: Path) -> None:
    arrays = (zeros(1, 1, 7, 80), zeros(1, 1, 1, 7))
    assert messages(tmp_path, stored(fc=v2("fc", "", *map(blob, arrays)))) == [
        ("caffemodel-shape", "fc", "blob 0 is 1x1x7x80 instead of 7x80"),
        ("caffemodel-shape", "fc", "blob 1 is 1x1x1x7 instead of 7"),
    ]


def test_more_blobs_than_the_parser_takes(tmp_path: Path) -> None:
    """Pruning forks store masks behind the weights."""
    arrays = (*WEIGHTS["conv"], ones(4, 3, 2, 2), ones(4))
    assert messages(tmp_path, stored(conv=v2("conv", "", *map(blob, arrays)))) == []


@pytest.mark.parametrize(
    ("shared", "gamma", "found"),
    [
        pytest.param("true", blob(np.float32(3)), [], id="shared"),
        pytest.param("true", blob(zeros(1), legacy=True), [], id="shared, old form"),
        pytest.param("false", blob(ones(3)), [], id="each"),
        pytest.param("false", blob(ones(5)), [("caffemodel-shape", "norm", "blob 0 is 5 instead of 3")], id="too many"),
        pytest.param(
            "false",
            blob(ones(3), legacy=True),
            [("caffemodel-old-shapes", "", "blobs without a BlobShape: norm")],
            id="old form",
        ),
    ],
)
def test_gamma_of_a_normalize(shared: str, gamma: bytes, found: list[tuple[str, str, str]], tmp_path: Path) -> None:
    """One value for all channels is read without a look at its shape."""
    text = NORMALIZED.replace("CHOICE", shared)
    assert messages(tmp_path, v2("norm", "", gamma), text) == found


def test_a_broken_network_is_looked_at_by_its_text(tmp_path: Path) -> None:
    """Caffe refuses the file, and no shape is known."""
    text = TEXT.replace("kernel_size: 2", "kernel_size: 2 pad: nine")
    assert messages(tmp_path, b"", text) == [
        ("caffemodel-layer-missing", name, "is not in the caffemodel") for name in WEIGHTS
    ]


def test_shapes_are_known_though_the_weights_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(stored(fc=b""))
    found = subject(Source("net.prototxt", TEXT), caffemodel.read(path))
    assert "fc" in found.trouble
    assert (bool(found.shapes), bool(found.weights), found.model is not None) == (True, False, True)
