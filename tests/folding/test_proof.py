"""The proof: what is compared, and that a wrong network is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.folding.nets import floats, fold_text
from tests.folding.test_patterns import DATA, bn, fc
from tests.small_nets import conv, data, layer
from xportdnn.caffemodel import Blob
from xportdnn.errors import FoldingError
from xportdnn.folding.folded import Folded
from xportdnn.folding.proof import Evidence, Proof, ends, prove, random_inputs
from xportdnn.journal import Journal
from xportdnn.opening import complete

NET = DATA + conv("conv", "data", "conv", 4, "kernel_size: 3") + bn("conv", "x")
SOFTMAX = fc("x", "fc") + layer("prob", "Softmax", "fc", "prob")


def spoiled(folded: Folded, name: str, factor: float) -> Folded:
    """The folded network with the first weight of a layer multiplied."""
    weight, *others = folded.model.names[name].blobs
    array = weight.values().copy()
    array.flat[0] *= factor
    entries = tuple(
        each._replace(blobs=(Blob.of(array, "spoiled"), *others)) if each.name == name else each
        for each in folded.model.layers
    )
    model = replace(folded.model, layers=entries)
    opened = complete(folded.net, model, folded.opened.inputs, Journal(), strict=True)
    return replace(folded, opened=opened, model=model)


def proof_of(folded: Folded) -> Proof:
    return prove(folded, random_inputs(folded.original.inputs), Journal())


def test_a_small_fault_is_found(tmp_path: Path) -> None:
    folded = fold_text(tmp_path, NET)
    assert proof_of(folded).relative < 1e-6
    with pytest.raises(
        FoldingError, match=r"'x' of the folded network differs from the original by \S+ of its largest"
    ):
        proof_of(spoiled(folded, "conv", 1.01))


def test_a_softmax_hides_nothing(tmp_path: Path) -> None:
    """With such logits every probability is 0 or 1, before and after."""
    weights = {"fc": (np.full((5, 4 * 6 * 7), 50, np.float32), floats(0, 1000, 2000, 3000, 9000))}
    folded = fold_text(tmp_path, NET + SOFTMAX, weights)
    with pytest.raises(FoldingError, match="'fc' of the folded network differs"):
        proof_of(spoiled(folded, "fc", 300))


@pytest.mark.parametrize(
    ("text", "blobs"),
    [
        pytest.param(NET, ["x"], id="an output"),
        pytest.param(NET + SOFTMAX, ["fc"], id="a probability"),
        pytest.param(NET + SOFTMAX + layer("best", "ArgMax", "prob", "best"), ["fc"], id="a decision"),
        pytest.param(
            NET + layer("flat", "Flatten", "x", "f") + layer("cat", "Concat", "f", "c")
            + layer("sig", "Sigmoid", "c", "s"), ["x"], id="moved on the way",
        ),
        pytest.param(NET + layer("own", "MadeUp", "x", "y"), ["x"], id="what an unknown layer reads"),
        pytest.param(
            NET + layer("split", "Split", "x", "a b") + fc("a", "fc") + layer("sig", "Sigmoid", "b", "s"), ["fc", "x"],
            id="two outputs",
        ),
    ],
)  # fmt: skip
def test_what_is_compared(tmp_path: Path, text: str, blobs: list[str]) -> None:
    assert [value.blob for value in ends(fold_text(tmp_path, text).original)] == blobs


def test_infinity_proves_nothing(tmp_path: Path) -> None:
    folded = fold_text(tmp_path, NET)
    feed = {"data": np.full((1, 6, 8, 9), 3e38, np.float32)}
    with pytest.raises(FoldingError, match="'x' holds NaN or infinity on huge numbers, before anything is folded"):
        prove(folded, Evidence("huge numbers", [feed]), Journal())


def test_an_output_of_zeros(tmp_path: Path) -> None:
    weights = {"conv": (np.zeros((4, 6, 3, 3), np.float32), floats(0, 0, 0, 0)),
               "bn": (floats(0, 0, 0, 0), floats(1, 1, 1, 1), floats(1))}  # fmt: skip
    assert proof_of(fold_text(tmp_path, NET, weights)) == Proof(0.0, "", 1)


def test_random_inputs_are_the_same_every_time(tmp_path: Path) -> None:
    inputs = fold_text(tmp_path, NET).original.inputs
    first, second = (list(random_inputs(inputs).feeds) for _ in range(2))
    assert [float(np.abs(feed["data"]).max()) for feed in first] == pytest.approx([1, 128], rel=0.02)
    np.testing.assert_equal(first, second)


def test_what_is_said(tmp_path: Path) -> None:
    journal = Journal()
    fold_text(tmp_path, data(1, 1, 2, 3) + conv("conv", "data", "conv", 1), journal=journal)
    name = tmp_path / "deploy.prototxt"
    assert [remark.text for remark in journal.remarks] == [
        f"{name}: there is nothing to fold",
        f"{name}: the folded network gives the same on random inputs within -1 .. 1 and -128 .. 128: largest relative "
        "difference 0, 1 blobs compared",
    ]
