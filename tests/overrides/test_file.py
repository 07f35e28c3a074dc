"""What single layers have instead, as a file says it: what it holds, and all that is refused of the file alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.overrides.desk import FIXED, options, refusal, written
from xportdnn.choices import Mode
from xportdnn.errors import InputError
from xportdnn.overrides import KEYS, Asked, Override, asked


def test_what_a_file_holds(tmp_path: Path) -> None:
    content = {
        "$schema": "overrides.schema.json",
        "conv1/3x3": {"threshold": 3, "bits": 8.0, "params_threshold": [0.5, 1], "params_bits": 6},
        "pool": {"threshold": "percentile:99.9"},
        "fc.1": {"float": True},
        "left as it is": {"float": False},
    }
    found = asked(options(written(tmp_path, content), skip_layers=("relu", "fc.1")))
    assert found.layers == {
        "conv1/3x3": Override(threshold=3.0, bits=8, params_threshold=(0.5, 1.0), params_bits=6),
        "pool": Override(threshold="percentile:99.9"),
        "fc.1": Override(keep_float=True),
        "left as it is": Override(),
    }
    assert found.floats == ("fc.1", "relu")
    assert [found.of(name) for name in ("pool", "relu", "left as it is", "other")] == [
        {"threshold": "percentile:99.9"}, {"float": True}, {}, {},
    ]  # fmt: skip


def test_fractional_lengths(tmp_path: Path) -> None:
    content = {"conv1": {"fl_layer_in": -3, "fl_layer_out": 0, "fl_params": 7}}
    found = asked(options(written(tmp_path, content), quant_type=Mode.DYNAMIC_FIXED))
    # 0 asks for something
    assert found.of("conv1") == {"fl_layer_in": -3, "fl_layer_out": 0, "fl_params": 7}


def test_nothing_is_asked_without_options() -> None:
    assert asked(options(None)) == Asked()


POSITIVE = "it must be a number above 0 in float32's range"
WIDTH = "it must be a whole number from 2 to 32"
NO_THRESHOLDS = (
    "0", "-1", "NaN", "Infinity", "1e+39", "1e-39", "true", "null", "[1]", '"entropy"', '"xilinx"', '"percentile:0"',
    '"percentile:100.1"', '"percentile:"', '"percentile:-3"', '"mse:3"',
)  # fmt: skip
XILINX_ONLY = "belongs to --quant_type Xilinx, this is DynamicFixed; remove it"


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        pytest.param("{", {}, "this is no JSON: Expecting property name", id="no JSON"),
        pytest.param("[" * 100_000, {}, "this is no JSON: ", id="too deep"),
        pytest.param([3], {}, 'must be an object of layers, {"conv1": {"bits": 8}}, not [3]', id="list"),
        pytest.param({"c": 8}, {}, '"c" cannot be 8; it must be an object, such as {"bits": 8}', id="entry"),
        pytest.param('{"c": {}, "c": {}}', {}, '"c" is given twice; keep one', id="layer twice"),
        pytest.param('{"c": {"bits": 8, "bits": 8}}', {}, '"c".bits is given twice; keep one', id="key twice"),
        pytest.param(
            {"c": {"treshold": 1}},
            {},
            "\"c\".treshold is no field; did you mean 'threshold' or 'params_threshold'?",
            id="misspelled",
        ),
        pytest.param({"c": {"Q": 1}}, {}, f'"c".Q is no field; the fields are {", ".join(KEYS)}', id="unknown"),
        *(
            pytest.param(
                f'{{"c": {{"threshold": {value}}}}}',
                {},
                f'"c".threshold cannot be {value}; {POSITIVE}, or mse',
                id=value,
            )
            for value in NO_THRESHOLDS
        ),
        *(
            pytest.param(
                f'{{"c": {{"params_threshold": {value}}}}}',
                {},
                f'"c".params_threshold cannot be {value}; {POSITIVE}, or a list of one for each',
                id=value,
            )
            for value in ("0", "[]", "[1, 0]", '[1, "max"]', '"max"', "{}")
        ),
        *(
            pytest.param(
                f'{{"c": {{"{key}": {value}}}}}', {}, f'"c".{key} cannot be {value}; {WIDTH}', id=f"{key} {value}"
            )
            for key in ("bits", "params_bits")
            for value in ("1", "33", "7.5", '"8"', "true", "null", "NaN")
        ),
        pytest.param({"c": {"float": 1}}, {}, '"c".float cannot be 1; it must be true or false', id="float"),
        pytest.param(
            {"c": {"float": True, "bits": 8}},
            {},
            '"c".float: a layer in float has no formats; remove it, or bits',
            id="float and more",
        ),
        pytest.param(
            {"c": {"fl_params": 3}},
            {},
            '"c".fl_params: belongs to --quant_type DynamicFixed, this is Xilinx',
            id="fl in Xilinx",
        ),
        pytest.param({"c": {"threshold": 3}}, FIXED, f'"c".threshold: {XILINX_ONLY}', id="threshold in DynamicFixed"),
        pytest.param(
            {"c": {"params_threshold": 3}}, FIXED, f'"c".params_threshold: {XILINX_ONLY}', id="weights in DynamicFixed"
        ),
        pytest.param(
            {"c": {"fl_params": 127}},
            FIXED,
            '"c".fl_params cannot be 127; it must be a whole number from -126 to 126',
            id="fl",
        ),
        pytest.param(
            {"c": {"bits": 7}},
            {"force": False},
            '"c".bits: the board takes 6 or 8, not 7; --force overrides',
            id="width",
        ),
        pytest.param(
            {"c": {"params_bits": 16}},
            {"force": False},
            '"c".params_bits: the board takes 6 or 8, not 16',
            id="params width",
        ),
        pytest.param(
            {"c": {"threshold": "max"}},
            {"threshold_method": "xilinx"},
            '"c".threshold: "max" is found from the statistics of one pass over the float network, and '
            "--threshold_method xilinx makes none; give a number",
            id="no statistics",
        ),
        pytest.param(
            {"c": {"bits": 8}},
            {"skip_layers": ("c",)},
            '"c": --skip_layers keeps this layer in float',
            id="skipped too",
        ),
    ],
)
def test_one_problem_is_one_line(content: object, more: Mapping[str, Any], message: str, tmp_path: Path) -> None:
    error = refusal(tmp_path, content, **more)
    assert str(error).startswith(f"{tmp_path / 'layers.json'}: {message}")
    assert error.problems == ()


def test_all_problems_at_once(tmp_path: Path) -> None:
    error = refusal(tmp_path, {"a": {"bits": 1, "flaot": True, "fl_layer_in": 0}, "b": 3, "c": {"fl_params": 3}})
    assert error.message == f"{tmp_path / 'layers.json'}: these overrides cannot be used:"
    # what is right in an entry is looked at further
    assert [problem.split()[0].rstrip(":") for problem in error.problems] == [
        '"a".bits', '"a".flaot', '"b"', '"a".fl_layer_in', '"c".fl_params',
    ]  # fmt: skip


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.json: cannot be read: No such file or directory"):
        asked(options(tmp_path / "no.json"))


def test_long_values_are_cut(tmp_path: Path) -> None:
    assert len(str(refusal(tmp_path, {"c": ["x" * 500]}))) < len(str(tmp_path)) + 200
