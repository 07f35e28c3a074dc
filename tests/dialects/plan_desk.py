"""A network with its plan on disk, and what is said of another plan."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.small_nets import net_of, write_net, write_pictures
from xportdnn import api, precision
from xportdnn.dialects import planfile
from xportdnn.errors import InputError
from xportdnn.journal import Journal
from xportdnn.network import Net
from xportdnn.opening import open_net

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "plan.schema.json").read_bytes())
RULES = jsonschema.Draft202012Validator(SCHEMA)
MODES: dict[str, dict[str, Any]] = {
    "xilinx": {},
    "fixed": {"quant_type": "DynamicFixed", "fl_bitwidths": (3, -1, 4)},
    "auto": {"quant_type": "DynamicFixed", "fl_bitwidths": "auto"},
}


class Desk:
    """A network with pictures, and its plan on disk beside its quantized prototxt."""

    def __init__(self, folder: Path, text: str, mode: str = "xilinx", **options: Any) -> None:
        net = net_of(text)
        *_, height, width = net.declared[net.inputs[0]]
        self.float = write_net(folder, text)
        self.pictures = write_pictures(folder / "pictures", 3, (width, height))
        options = {"bitwidths": (8, 6, 8), "workers": 1, "calibration_directory": self.pictures} | options
        files = self.float.deploy, self.float.weights
        self.text = api.convert(*files, dialect="json", **MODES[mode] | options).text
        self.plan, self.quantized = folder / "plan.json", folder / "quantized.prototxt"
        self.plan.write_text(self.text, encoding="utf-8")
        self.quantized.write_text(api.convert(*files, **MODES[mode] | options).text, encoding="utf-8")

    @cached_property
    def net(self) -> Net:
        return open_net(self.float.deploy, Journal())

    def read(self, journal: Journal | None = None, weights: str | None = None) -> dict[int, precision.Precision]:
        net = open_net(self.float.deploy, Journal())
        return planfile.read(str(self.plan), net, weights, journal or Journal())


def refused(desk: Desk, plan: object) -> str:
    """What is said of such a plan."""
    desk.plan.write_text(json.dumps(plan), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        desk.read()
    return str(caught.value)
