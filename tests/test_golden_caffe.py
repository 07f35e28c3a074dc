"""`xportdnn forward` against the tops that real Caffe recorded."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests import golden
from tests.data import pack
from tests.golden import Case
from xportdnn.dump import dump
from xportdnn.errors import WeightsError
from xportdnn.journal import Journal

SHARED = Path(__file__).parents[2] / "shared" / "golden"

# Caffe leaves the filler's values where the caffemodel has no blobs; thresholds of untrained weights help nobody.
REFUSED = "weights_missing_layer_filler"
CASES = [case for case in golden.caffe().values() if case.name != REFUSED]


def forward(case: Case, folder: Path) -> Path:
    """The folder into which every top was written."""
    model, weights = case.files.write(folder)
    inputs = []
    for blob, array in case.inputs.items():
        np.save(folder / f"{blob}.npy", array)
        inputs.append(f"{blob}={folder / blob}.npy")
    tops = folder / "tops"
    dump(model, weights, inputs, str(tops), Journal())
    return tops


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_top_is_what_caffe_computed(case: Case, tmp_path: Path) -> None:
    written = forward(case, tmp_path)
    expected = {top.file: top.array for top in case.tops if not (top.type == "Accuracy" or top.type.endswith("Loss"))}
    assert {path.name for path in written.iterdir()} == set(expected)
    for file, array in expected.items():
        found = np.load(written / file)
        assert found.shape == array.shape, file
        # an empty MAX window holds -FLT_MAX, which says nothing of the blob's size
        largest = np.abs(array[np.isfinite(array) & (np.abs(array) < 1e38)]).max(initial=0)
        np.testing.assert_allclose(found, array, rtol=1e-5, atol=1e-5 * largest, equal_nan=True, err_msg=file)


def test_a_layer_without_weights_is_refused_where_caffe_keeps_its_filler(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r'layer "fc" .* is not in the caffemodel') as caught:
        forward(golden.caffe()[REFUSED], tmp_path)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("name", ["caffe", "caffe_rejects"])
def test_the_packed_cases_are_the_recorded_ones(name: str) -> None:
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"the recorded cases are not here: {name}")
    with zipfile.ZipFile(golden.DATA / f"{name}.zip") as archive:
        packed = {entry: archive.read(entry) for entry in archive.namelist()}
    assert packed == getattr(pack, name)(folder)
