"""What speaks against an override, or a layer to skip, in a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.overrides.desk import FIXED, UNREAD, Desk, written
from tests.small_nets import PLAIN, RESIDUAL, conv, data, layer
from xportdnn import api
from xportdnn.choices import Matrix, Mode
from xportdnn.errors import InputError, UsageError
from xportdnn.journal import Journal

NO_BLOCK = "there is no block to change or to skip"
NO_NUMBER = "layer has no such number; remove it"
BEHIND = PLAIN + layer("my", "MyLayer", "pool1", "my") + conv("behind", "my", "behind", 3)


@pytest.mark.parametrize(
    ("text", "content", "more", "message"),
    [
        pytest.param(
            PLAIN,
            {"conv3": {"bits": 8}},
            {},
            "\"conv3\": the network has no such layer; did you mean 'conv2' or 'conv1'?",
            id="misspelled",
        ),
        pytest.param(PLAIN, {"x": {}}, {}, '"x": the network has no such layer', id="nothing alike"),
        pytest.param(
            PLAIN + layer("relu1", "ReLU", "prob", "twin"),
            {"relu1": {"bits": 8}},
            {},
            '"relu1": 2 layers have this name; give each its own',
            id="twins",
        ),
        pytest.param(
            PLAIN + layer("loss", "SoftmaxWithLoss", "fc", "loss"),
            {"loss": {"bits": 8}},
            {},
            '"loss": this layer is not run: training or scoring only',
            id="of training",
        ),
        pytest.param(
            PLAIN,
            {"fc": {"bits": 8}},
            {},
            f'"fc": {NO_BLOCK}: InnerProduct gets none in Xilinx mode with --matrix guide',
            id="software",
        ),
        pytest.param(
            PLAIN,
            {"pool1": {"bits": 8}},
            {"quant_type": Mode.DYNAMIC_FIXED, "matrix": Matrix.PARSER},
            f'"pool1": {NO_BLOCK}: Pooling gets none in DynamicFixed mode with --matrix parser',
            id="matrix",
        ),
        pytest.param(
            PLAIN,
            {"data": {"float": True}},
            {"matrix": Matrix.PARSER},
            f'"data": {NO_BLOCK}: Input gets none',
            id="input without a block",
        ),
        pytest.param(
            UNREAD,
            {"data": {"bits": 8}},
            {"matrix": Matrix.PARSER},
            "\"data\": there is nothing to change: no block reads 'data'",
            id="input that no block reads",
        ),
        pytest.param(
            UNREAD + data(1, 3, 4, 5, name="info"),
            {"info": {"bits": 8}},
            {},
            "\"info\": there is nothing to change: no block reads 'info'",
            id="input that is not fed",
        ),
        pytest.param(
            BEHIND, {"my": {"bits": 8}}, {}, f'"my": {NO_BLOCK}: there is no rule for the type MyLayer', id="no rule"
        ),
        pytest.param(
            BEHIND,
            {"behind": {"bits": 8}},
            {},
            f"\"behind\": {NO_BLOCK}: its bottom 'my' is not computed",
            id="not calibrated",
        ),
        pytest.param(
            PLAIN,
            {"pool1": {"params_bits": 8}},
            {},
            f'"pool1".params_bits: the block of this Pooling {NO_NUMBER}',
            id="no weights",
        ),
        pytest.param(
            RESIDUAL,
            {"left_scale": {"params_threshold": 3}},
            {},
            f'"left_scale".params_threshold: the block of this Scale {NO_NUMBER}',
            id="no th_params",
        ),
        pytest.param(
            PLAIN,
            {"data": {"params_bits": 8}},
            {},
            f'"data".params_bits: the block of this Input {NO_NUMBER}',
            id="weights of the input",
        ),
        pytest.param(
            PLAIN,
            {"conv1": {"params_threshold": [1, 2, 3]}},
            {},
            '"conv1".params_threshold: 3 thresholds for 4 output channels; give 4, or one number for all',
            id="count",
        ),
        pytest.param(
            PLAIN,
            {"pool1": {"threshold": 3}, "conv1": {"threshold": 4}},
            {},
            '"pool1".threshold 3.0 and "conv1".threshold 4.0 contradict each other, they are of one scale class '
            "(conv1, relu1, pool1); give only one",
            id="thresholds of a class",
        ),
        pytest.param(
            PLAIN,
            {"pool1": {"bits": 6}, "conv1": {"bits": 8}},
            {},
            '"pool1".bits 6 and "conv1".bits 8 contradict',
            id="widths of a class",
        ),
        pytest.param(
            PLAIN,
            {"conv1": {"fl_layer_out": 3}, "conv2": {"fl_layer_in": 4}},
            FIXED,
            '"conv2".fl_layer_in 4 and "conv1".fl_layer_out 3 contradict',
            id="fractions of a class",
        ),
    ],
)
def test_what_a_network_does_not_have(
    text: str, content: object, more: Mapping[str, Any], message: str, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, text)
    error = desk.refused(content, **more)
    assert isinstance(error, InputError)
    assert str(error).startswith(f"{desk.path}: {message}")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param(
            ["conv3"], "--skip_layers \"conv3\": the network has no such layer; did you mean 'conv2' or", id="one"
        ),
        pytest.param(["prob"], f'--skip_layers "prob": {NO_BLOCK}: Softmax gets none', id="software"),
        pytest.param(
            ["conv1", ""], "--skip_layers conv1,: there is an empty name; separate names by one comma", id="empty"
        ),
    ],
)
def test_what_cannot_be_skipped(plain: Desk, names: Sequence[str], message: str) -> None:
    error = plain.refused(skip_layers=names)
    assert isinstance(error, UsageError)
    assert str(error).startswith(message)


def test_several_that_cannot_be_skipped(plain: Desk) -> None:
    error = plain.refused(skip_layers=["prob", "conv1", "x"])
    assert isinstance(error, UsageError)
    assert error.message == "these layers cannot be skipped:"
    assert [problem.split(":")[0] for problem in error.problems] == ['--skip_layers "prob"', '--skip_layers "x"']


def test_file_and_option_at_once(plain: Desk) -> None:
    content = {"pool1": {"threshold": 3, "params_bits": 8}, "conv1": {"threshold": 4}, "y": {}}
    error = plain.refused(content, skip_layers=["x"])
    assert isinstance(error, InputError)
    assert [problem.split(":")[0].split(" and ")[0] for problem in error.problems] == [
        '"pool1".params_bits', '"y"', '"pool1".threshold 3.0', '--skip_layers "x"',
    ]  # fmt: skip


def test_it_is_refused_before_any_picture_is_calibrated(plain: Desk) -> None:
    def no_progress(title: str, total: int) -> Any:
        pytest.fail(f"{title} has begun")

    plain.journal = Journal(progress=no_progress)
    with pytest.raises(InputError):
        api.convert(
            plain.files.deploy, plain.files.weights, calibration_directory=plain.pictures, journal=plain.journal,
            overrides=written(plain.folder, {"x": {}}),
        )  # fmt: skip
