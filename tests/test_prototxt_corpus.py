"""Prototxts that people have published, of every generation and fork, through DynamicFixed mode."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests import board
from tests.caffe_files import made_up
from xportdnn.api import convert
from xportdnn.errors import InputError
from xportdnn.journal import Journal
from xportdnn.network import infer_shapes
from xportdnn.opening import open_net
from xportdnn.options import DEFAULT_DIMS
from xportdnn.prototxt import Edit, Message, Source, parse, to_bytes

CORPUS = Path(__file__).parents[2] / "shared" / "prototxt_corpus"
FILES = {path.name: path for path in sorted(CORPUS.glob("*.prototxt"))}
SOLVERS = [name for name in FILES if "solver" in name]
# A file of the TRAIN phase alone, and one with gaps to be filled in by a script.
UNUSABLE = {
    "chuanqi305+MobileNet-SSD__train.prototxt": "layer \"conv0\" (Convolution, line 139): bottom 'data' is the top "
    'of no layer before it; layer "data" (line 2) makes it, but is not run: TRAIN only',
    "chuanqi305+MobileNet-SSD__template__MobileNetSSD_test_template.prototxt": 'layer "conv11_mbox_conf_new" '
    "(Convolution, line 2408): num_output must be a whole number, not cls3x",
}
# 300 regions, not a batch of pictures; their layer, ROIPooling, is none of the board's either.
EXCUSED = {
    "soeaver+caffe-model__det__faster_rcnn__models__coco__air101__rpn_rcnn_deploys__rcnn_deploy_faster_voc_air101-merge-"
    "fc2-multigrid.prototxt": ["input: batch [[1], [300]], the board takes 1"]
}
NETWORKS = [name for name in FILES if name not in SOLVERS and name not in UNUSABLE]

pytestmark = pytest.mark.skipif(not FILES, reason="the collection of published networks is not here: prototxt_corpus")


@dataclass(frozen=True)
class Converted:
    """What DynamicFixed mode writes, and the caffemodel it was made with: shapes without values."""

    text: str
    weights: Path


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Converted]:
    folder = tmp_path_factory.mktemp("corpus")

    @cache
    def conversion(name: str) -> Converted:
        net = open_net(FILES[name], Journal())
        inputs = {value: net.declared.get(value, (1, *DEFAULT_DIMS)) for value in net.inputs}
        weights = folder / f"{name}.caffemodel"
        weights.write_bytes(made_up(net, infer_shapes(net, inputs), "none"))
        return Converted(convert(FILES[name], weights, quant_type="DynamicFixed").text, weights)

    return conversion


def without(text: str, name: str) -> str:
    """The text without all fields of this name, at any depth."""
    source = Source("", text)
    spans: set[tuple[int, int]] = set()
    messages = [parse(source).root]
    while messages:
        for field in messages.pop().fields:
            if field.name == name:
                spans.add((field.start, field.end))
            elif isinstance(field.value, Message):
                messages.append(field.value)
    return source.edited([Edit(start, end, "") for start, end in spans]).text


def problems(text: str, source: str) -> list[str]:
    """What the board minds in an output, apart from fields of other forks that its source holds too."""
    while True:
        found = board.problems(text, "DynamicFixed")
        unknown = re.fullmatch(r'EP002: .* has no field named "(\w+)".', "".join(found))
        if unknown is None or not re.search(rf"\b{unknown[1]}\b", source):
            return found
        text = without(text, unknown[1])


@pytest.mark.parametrize("name", NETWORKS, ids=str)
def test_the_blocks_keep_the_rules_of_the_board(name: str, converted: Callable[[str], Converted]) -> None:
    assert problems(converted(name).text, FILES[name].read_text("utf-8")) == EXCUSED.get(name, [])


@pytest.mark.parametrize("name", NETWORKS, ids=str)
def test_converting_the_output_again_changes_nothing(
    name: str, converted: Callable[[str], Converted], tmp_path: Path
) -> None:
    first = converted(name)
    again = tmp_path / "again.prototxt"
    again.write_bytes(to_bytes(first.text))
    assert convert(again, first.weights, quant_type="DynamicFixed").text == first.text


@pytest.mark.parametrize("name", SOLVERS, ids=str)
def test_solvers_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"this is a solver prototxt, not a network; its network is \S+\.prototxt$"):
        open_net(FILES[name], Journal())


@pytest.mark.parametrize("name", UNUSABLE, ids=str)
def test_files_that_are_no_deploy_files_are_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        open_net(FILES[name], Journal())
    assert caught.value.problems[0] == UNUSABLE[name]
