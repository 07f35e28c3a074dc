"""The fast forward against the tops that real Caffe recorded (of more than one image, by the reference rules in it)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import golden
from tests.golden import Case
from xportdnn import execute
from xportdnn.engine import Program
from xportdnn.journal import Journal
from xportdnn.network import Net, Value
from xportdnn.npy import file_name
from xportdnn.opening import complete, open_net, open_weights

REFUSED = "weights_missing_layer_filler"
CASES = [case for case in golden.caffe().values() if case.name != REFUSED]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_observed_value_is_what_caffe_computed(case: Case, tmp_path: Path) -> None:
    model, weights = case.files.write(tmp_path)
    net, blobs = open_weights(open_net(model, Journal()), weights, Journal())
    tops = {value.blob: value for layer in net.layers if layer.is_input for value in layer.tops}
    feeds = {tops[blob]: np.asarray(array, np.float32) for blob, array in case.inputs.items()}
    opened = complete(net, blobs, {value: array.shape for value, array in feeds.items()}, Journal(), strict=True)
    observed = {value: _file(opened.net.layers[value.writer].name, value, opened.net) for value in opened.shapes}
    program = Program(net, execute.load(net.layers, opened.weights), opened.shapes, feeds, observed)
    recorded = {top.file: top.array for top in case.tops}
    seen = set()
    for value, found in program.run(feeds):
        array = recorded[observed[value]]
        seen.add(observed[value])
        assert found.shape == array.shape
        # an empty MAX window holds -FLT_MAX, which says nothing of the blob's size
        largest = np.abs(array[np.isfinite(array) & (np.abs(array) < 1e38)]).max(initial=0)
        np.testing.assert_allclose(found, array, rtol=1e-5, atol=1e-5 * largest, equal_nan=True)
    computed = {top.file for top in case.tops if not (top.type == "Accuracy" or top.type.endswith("Loss"))}
    assert seen == computed


def _file(layer: str, value: Value, net: Net) -> str:
    names = [top.blob for top in net.layers[value.writer].tops]
    return file_name(layer, names.index(value.blob), names)
