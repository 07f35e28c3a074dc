"""What the original XportDNN wrote for a network of five convolutions at 6 bits: layers, fields, their order, places.

Its weights were never published, so thresholds cannot be compared; all else is typed in here from its output
(github.com/shinya321/caffe-prototxt-for-CHaiDNN, fcn5_deploy_666.prototxt). Where the file itself is at hand, the
facts are held against it too.
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from tests import board
from tests.small_nets import conv, data, layer, net_of, write_net, write_pictures
from xportdnn import api
from xportdnn.choices import ScaleClasses
from xportdnn.network import Net
from xportdnn.prototxt import Message, Scalar

SHARED = Path(__file__).parents[2] / "shared" / "golden" / "xportdnn_original"

BLOB = ["bw_layer_in", "bw_layer_out", "th_layer_in", "th_layer_out"]
WEIGHTS = ["bw_layer_in", "bw_layer_out", "bw_params", "th_layer_in", "th_layer_out", "th_params", "quant_type"]
# every layer with the fields of its block, th_params once, and what stands between the tops and the block
WRITTEN = [
    ("data", "Input", ["input_param"], ["bw_layer_out", "th_layer_out"]),
    *(
        row
        for number in (1, 2, 3, 4)
        for row in (
            (f"conv{number}_1", "Convolution", ["convolution_param"], WEIGHTS),
            (f"relu{number}_1", "ReLU", [], BLOB),
            (f"pool{number}", "Pooling", ["pooling_param"], [*BLOB, "quant_type"]),
        )
    ),
    ("conv5_1", "Convolution", ["convolution_param", "dropout_param"], WEIGHTS),
    ("pool5", "Pooling", ["pooling_param"], [*BLOB, "quant_type"]),
    ("prob", "Softmax", [], []),
]
NUM_OUTPUT = {"conv1_1": 40, "conv2_1": 80, "conv3_1": 20, "conv4_1": 20, "conv5_1": 2}
# the places of one threshold: (layer, field), joined where the original repeats the digits
CHAINED = [
    {("data", "th_layer_out"), ("conv1_1", "th_layer_in")},
    *(
        {
            (f"conv{number}_1", "th_layer_out"), (f"relu{number}_1", "th_layer_in"),
            (f"relu{number}_1", "th_layer_out"), (f"pool{number}", "th_layer_in"),
            (f"pool{number}", "th_layer_out"), (f"conv{number + 1}_1", "th_layer_in"),
        }
        for number in (1, 2, 3, 4)
    ),
    {("conv5_1", "th_layer_out"), ("pool5", "th_layer_in"), ("pool5", "th_layer_out")},
]  # fmt: skip


def pool(name: str, bottom: str, method: str, size: int, stride: int) -> str:
    body = f"pooling_param {{\n  pool: {method}\n  kernel_size: {size}\n  stride: {stride}\n}}"
    return layer(name, "Pooling", bottom, name, body)


# The layers of its input; the batch of 10 becomes 1 as there.
FCN5 = (
    'name: "lenet6"\n'
    + data(10, 3, 200, 200)
    + conv("conv1_1", "data", "conv1_1", 40, "kernel_size: 3")
    + layer("relu1_1", "ReLU", "conv1_1", "conv1_1")
    + pool("pool1", "conv1_1", "MAX", 3, 3)
    + conv("conv2_1", "pool1", "conv2_1", 80, "kernel_size: 3")
    + layer("relu2_1", "ReLU", "conv2_1", "conv2_1")
    + pool("pool2", "conv2_1", "MAX", 3, 3)
    + conv("conv3_1", "pool2", "conv3_1", 20, "kernel_size: 3")
    + layer("relu3_1", "ReLU", "conv3_1", "conv3_1")
    + pool("pool3", "conv3_1", "MAX", 2, 2)
    + conv("conv4_1", "pool3", "conv4_1", 20, "kernel_size: 3")
    + layer("relu4_1", "ReLU", "conv4_1", "conv4_1")
    + pool("pool4", "conv4_1", "MAX", 2, 2)
    + layer(
        "conv5_1", "Convolution", "pool4", "conv5_1",
        "convolution_param {\n  num_output: 2\n  kernel_size: 3\n}\ndropout_param {\n  dropout_ratio: 0.5\n}",
    )
    + pool("pool5", "conv5_1", "AVE", 2, 1)
    + layer("prob", "Softmax", "pool5", "prob")
)  # fmt: skip


def block(message: Message) -> list[tuple[str, str]]:
    """(field, digits) of a layer's block."""
    blocks = message.messages("precision_param")
    fields = blocks[0].fields if blocks else ()
    return [(field.name, field.value.text) for field in fields if isinstance(field.value, Scalar)]


def rows(net: Net) -> list[tuple[str, str, list[str], list[str]]]:
    """As `WRITTEN`; the block must be the last field."""
    found = []
    for each in net.layers:
        names = [field.name for field in each.message.fields]
        fields = [name for name, _ in groupby(name for name, _ in block(each.message))]
        assert names[-1:] == ["precision_param"] or not fields
        plain = {"name", "type", "bottom", "top", "precision_param"}
        found.append((each.name, each.type, [name for name in names if name not in plain], fields))
    return found


def chained(net: Net) -> list[set[tuple[str, str]]]:
    """As `CHAINED`: places of the same digits, in the order of the first of them."""
    places: dict[str, set[tuple[str, str]]] = {}
    for each in net.layers:
        for name, digits in block(each.message):
            if name.startswith("th_layer"):
                places.setdefault(digits, set()).add((each.name, name))
    return list(places.values())


def convert(folder: Path, text: str, method: str, how: ScaleClasses) -> str:
    files = write_net(folder, text)
    pictures = write_pictures(folder / "pictures", 2, (200, 200))
    made = api.convert(
        files.deploy,
        files.weights,
        calibration_directory=pictures,
        threshold_method=method,
        scale_classes=how,
        calibration_size=2,
        workers=1,
    )
    return made.text


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Net:
    return net_of(convert(tmp_path_factory.mktemp("fcn5"), FCN5, "xilinx", ScaleClasses.BOARD))


def test_layers_and_fields(ours: Net) -> None:
    assert rows(ours) == WRITTEN


def test_one_threshold_runs_from_a_convolution_to_the_next(ours: Net) -> None:
    assert chained(ours) == CHAINED


def test_th_params(ours: Net) -> None:
    counts = {each.name: sum(name == "th_params" for name, _ in block(each.message)) for each in ours.layers}
    assert {name: count for name, count in counts.items() if count} == NUM_OUTPUT


def test_widths_and_modes(ours: Net) -> None:
    for each in ours.layers:
        for name, digits in block(each.message):
            if name.startswith("bw_"):
                assert digits == "6"
            elif name == "quant_type":
                assert digits == "Xilinx"


def test_numbers_have_twelve_digits_and_none_more(ours: Net) -> None:
    for each in ours.layers:
        for name, digits in block(each.message):
            if name.startswith("th_"):
                assert re.fullmatch(r"\d+\.\d+(e-\d+)?", digits)
                assert len(re.sub(r"e.*|\.", "", digits).lstrip("0")) <= 12
                assert np.float32(digits) > 0


def test_the_batch_is_1(ours: Net) -> None:
    assert ours.declared[ours.inputs[0]] == (1, 3, 200, 200)


@pytest.mark.parametrize(
    ("method", "how"), [("xilinx", ScaleClasses.ORIGINAL), ("max", ScaleClasses.BOARD), ("max", ScaleClasses.ORIGINAL)]
)
def test_every_method_writes_the_same_form(tmp_path: Path, method: str, how: ScaleClasses) -> None:
    net = net_of(convert(tmp_path, FCN5, method, how))
    assert rows(net) == WRITTEN
    assert chained(net) == CHAINED


# ---- where the files are at hand


def original(name: str) -> str:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the original's files are not here: {name}")
    return path.read_text(encoding="utf-8")


def test_the_facts_are_those_of_the_file() -> None:
    net = net_of(original("fcn5_deploy_666.prototxt"))
    assert rows(net) == WRITTEN
    assert chained(net) == CHAINED
    assert board.problems(net.source.text, "Xilinx") == []


def test_for_the_same_input(tmp_path: Path) -> None:
    theirs = net_of(original("fcn5_deploy_666.prototxt"))
    text = original("fcn5_deploy.prototxt")
    ours = net_of(convert(tmp_path, text, "max", ScaleClasses.BOARD))
    # theirs printed bottom and top behind name and type; ours leaves every line where it was
    assert rows(ours) == rows(theirs)
    assert chained(ours) == chained(theirs)
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        assert [name for name, _ in block(mine.message)] == [name for name, _ in block(other.message)]
        assert [value.blob for value in (*mine.bottoms, *mine.tops)] == [v.blob for v in (*other.bottoms, *other.tops)]
        assert mine.params == other.params
