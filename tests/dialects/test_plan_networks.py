"""Plans of other networks: each refused with the layer that differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.dialects.plan_desk import Desk, refused
from tests.small_nets import PLAIN, Files, write_net
from xportdnn.errors import InputError
from xportdnn.journal import Journal


def test_another_prototxt(tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN, "fixed")
    desk.float.deploy.write_text(f"# changed\n{PLAIN}", encoding="utf-8")
    with pytest.raises(InputError, match="is the plan of another prototxt"):
        desk.read()


def test_another_caffemodel(tmp_path: Path) -> None:
    desk, journal = Desk(tmp_path, PLAIN, "fixed"), Journal()
    desk.read(journal, str(desk.float.weights))
    assert journal.remarks == []
    other: Files = write_net(tmp_path, PLAIN, {"conv1": (np.ones((4, 3, 3, 3), np.float32), np.ones(4, np.float32))})
    desk.read(journal, str(other.weights))
    assert ["another caffemodel" in remark.text for remark in journal.remarks] == [True]


def test_a_block_for_a_layer_without_one(plans: dict[str, Desk]) -> None:
    plan = json.loads(plans["fixed"].text)
    plan["layers"][2]["precision_param"] = plan["layers"][1]["precision_param"]
    assert 'layer "relu1": gets no block in DynamicFixed mode by --matrix guide' in refused(plans["fixed"], plan)


def renamed(layers: list[dict[str, Any]]) -> None:
    layers[3]["name"] = "pol1"


def without_block(layers: list[dict[str, Any]]) -> None:
    del layers[1]["precision_param"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda layers: layers.pop(1), ['layer "conv1": is missing']),
        (renamed, ['layer "pool1": is missing', "has no such layer; did you mean 'pool1' or 'pool2'?"]),
        (lambda layers: layers.insert(0, layers.pop(3)), ['layer "pool1": stands where', 'has "data"']),
        (lambda layers: layers.insert(0, layers[3]), ['layer "pool1": ', "has it once only"]),
        (lambda layers: layers[3].update(type="Convolution"), ['type cannot be "Convolution"; in ', 'it is "Pooling"']),
        (lambda layers: layers[3].update(bottoms=["a", "b"]), ['"pool1": bottoms cannot be ["a", "b"]; in ']),
        (lambda layers: layers[3].update(tops=[]), ['layer "pool1": tops cannot be []; in ']),
        (lambda layers: layers[3].update(foo=1), ['layer "pool1": foo is no field; the fields are name, type, ']),
        (without_block, ['layer "conv1": precision_param is missing']),
        (lambda layers: layers[3].update(name=3), ["layers[3]: name cannot be 3; it must be text"]),
    ],
    ids=["missing", "renamed", "order", "twice", "type", "bottoms", "tops", "field", "no-block", "name"],
)
def test_layers_of_another_network(
    change: Callable[[list[dict[str, Any]]], object], said: list[str], plans: dict[str, Desk]
) -> None:
    plan = json.loads(plans["fixed"].text)
    change(plan["layers"])
    told = refused(plans["fixed"], plan)
    assert all(each in told for each in said)
    assert "another prototxt" not in told
