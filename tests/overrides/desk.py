"""A file of overrides, and a network that is converted with it again and again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.small_nets import data, layer, net_of, write_net, write_pictures
from xportdnn import api
from xportdnn.choices import Mode
from xportdnn.conversion import Conversion
from xportdnn.errors import InputError, XportdnnError
from xportdnn.journal import Journal, Level
from xportdnn.options import Options
from xportdnn.overrides import asked
from xportdnn.precision import Precision, read

ROOT = Path(__file__).parents[2]
UNREAD = data(1, 3, 4, 5) + layer("fc", "InnerProduct", "data", "fc", "inner_product_param { num_output: 6 }")
FIXED: dict[str, Any] = {"quant_type": Mode.DYNAMIC_FIXED}
by_method = pytest.mark.parametrize("method", ["xilinx", "mse"])


def written(folder: Path, content: object) -> Path:
    """The file with this content, which is taken as it is where it is text."""
    path = folder / "layers.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


class Desk:
    """A network with three pictures, converted again and again."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder, self.net = folder, net_of(text)
        self.files = write_net(folder, text)
        *_, height, width = self.net.declared[self.net.inputs[0]]
        self.pictures = write_pictures(folder / "pictures", 3, (width, height))
        self.journal = Journal()

    def convert(self, content: object = None, **options: Any) -> Conversion:
        self.journal = Journal()
        if content is not None:
            options["overrides"] = written(self.folder, content)
        if options.get("quant_type") is not Mode.DYNAMIC_FIXED:
            rules = {"threshold_method": "xilinx", "params_method": "max"}
            options = {**rules, "calibration_directory": self.pictures, "calibration_size": 3, "workers": 1, **options}
        return api.convert(*self._paths, journal=self.journal, **options)

    def refused(self, content: object = None, **options: Any) -> XportdnnError:
        with pytest.raises(XportdnnError) as caught:
            self.convert(content, **options)
        return caught.value

    def said(self, level: Level, about: str) -> list[str]:
        return [remark.text for remark in self.journal.remarks if remark.level is level and about in remark.text]

    @property
    def path(self) -> Path:
        return self.folder / "layers.json"

    @property
    def _paths(self) -> tuple[Path, Path]:
        return self.files.deploy, self.files.weights


def formats(text: str) -> dict[str, Precision]:
    """Layer name -> its block, read from the text."""
    net = net_of(text)
    found = {net.layers[index].name: block for index, block in read(net).items()}
    return {name: block for name, block in found.items() if isinstance(block, Precision)}


def options(path: Path | None, **more: Any) -> Options:
    """Options that allow everything a file can ask for in one of the two modes."""
    settings = {"calibration_directory": "pictures", "force": True, **more}
    if settings.get("quant_type") is not Mode.DYNAMIC_FIXED:
        settings = {"threshold_method": "mse", **settings}
    return Options("deploy.prototxt", "net.caffemodel", overrides=None if path is None else str(path), **settings)


def refusal(folder: Path, content: object, **more: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        asked(options(written(folder, content), **more))
    return caught.value
