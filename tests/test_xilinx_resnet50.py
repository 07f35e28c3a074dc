"""The rule `xilinx` on half a ResNet-50 against the thresholds that Xilinx's own quantizer printed for it.

The tolerances of every row come with the numbers: they are what moving the weights inside their last printed digit
does. They tell this rule from sixteen others (shared/golden/xilinx_resnet50/README.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from xportdnn.api import convert
from xportdnn.report import report

GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "xilinx_resnet50"

pytestmark = [
    pytest.mark.skipif(not GOLDEN.exists(), reason="the published thresholds are not here: golden/xilinx_resnet50"),
    pytest.mark.parametrize("bits", [8, 16], ids=["8-bit", "16-bit"]),
]


class Row(NamedTuple):
    """A layer: what was published of it, and what our rule said."""

    published: dict[str, Any]
    found: dict[str, Any]


@lru_cache(maxsize=2)
def rows(bits: int) -> tuple[Row, ...]:
    """All layers, through the JSON report."""
    published = json.loads((GOLDEN / f"published_{bits}bit.json").read_text())["layers"]
    conversion = convert(
        GOLDEN / "deploy.prototxt",
        GOLDEN / "resnet50_to_res3d.caffemodel",
        calibration_directory=GOLDEN / f"images_{bits}bit",
        bitwidths=(bits, bits, bits),
        mean_value="104.007,116.669,122.679",
        threshold_method="xilinx",
        scale_classes="original",
        force=True,
    )
    found = {layer["name"]: layer["rule"] for layer in report(conversion, ())["layers"]}
    assert [layer["name"] for layer in published] == list(found)
    return tuple(Row(layer, found[layer["name"]]) for layer in published)


def measured(bits: int) -> Iterator[Row]:
    return (row for row in rows(bits) if row.published["statistic"])


def beyond(bits: int, quantity: str) -> list[str]:
    """The layers where a quantity differs from the published one by more than its relative tolerance."""
    wrong = []
    for published, found in measured(bits):
        tolerance = published[f"{quantity}_rtol"]
        error = found[quantity] / published[quantity] - 1
        if tolerance is not None and abs(error) > tolerance:
            wrong.append(f"{published['name']}: {found[quantity]} is off by {error:.2g}, allowed {tolerance}")
    return wrong


def test_thresholds_are_within_their_tolerances(bits: int) -> None:
    assert beyond(bits, "threshold") == []


def test_largest_values_are_within_their_tolerances(bits: int) -> None:
    assert beyond(bits, "max_abs") == []


def test_histograms_have_as_many_bins(bits: int) -> None:
    wrong = [
        f"{published['name']}: {found['bins']} bins instead of {published['bins']}"
        for published, found in measured(bits)
        if abs(found["bins"] - published["bins"]) > published["bins_tolerance"]
    ]
    assert wrong == []


def test_the_input_is_exact(bits: int) -> None:
    published, found = rows(bits)[0]
    assert published["name"] == "data"
    assert math.isclose(found["threshold"], published["threshold"], rel_tol=1e-12)
    assert found["index"] == published["index"]


def test_the_same_candidate_wins_where_every_replay_found_it(bits: int) -> None:
    wrong = [
        published["name"]
        for published, found in measured(bits)
        if published["agreement"] == "exact" and found["index"] != published["index"]
    ]
    assert wrong == []


def test_layers_without_a_search_pass_thresholds_on(bits: int) -> None:
    passing = [row for row in rows(bits) if not row.published["statistic"]]
    assert len(passing) == 8  # the pooling and the Eltwise layers
    for published, found in passing:
        assert "threshold" not in found, published["name"]
        assert found["th_layer_in"] == found["th_layer_out"], published["name"]
