"""The schema of the file says the same as the program."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest

from tests.overrides.desk import ROOT, options, refusal, written
from xportdnn.choices import Mode
from xportdnn.errors import InputError
from xportdnn.overrides import KEYS, asked

SCHEMA = json.loads((ROOT / "schemas" / "overrides.schema.json").read_bytes())
SCHEMA_RULES = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_has_the_same_keys_each_described() -> None:
    properties = SCHEMA["$defs"]["layer"]["properties"]
    assert list(properties) == list(KEYS)
    assert [key for key, each in properties.items() if not each.get("description")] == []


LEAST, GREATEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # of float32
EDGES = [
    -127, -126, -125.5, -126.0, -1, -0.0, 0, 1, 2, 3, 5.5, 6, 8, 8.0, 31, 32, 33, 126, 127, LEAST, LEAST / 2, GREATEST,
    math.nextafter(GREATEST, math.inf), 1e308, 10**400,
]  # fmt: skip
SHARES = ["0", "00.0", "0.01", "5", "99.9", "099", "100", "0100.0", "100.1", "101", "1e1", "", ".5", "5.", "-1", " 5"]
VALUES = [
    *EDGES, True, False, None, {}, {"bits": 8}, [], [3], [3, 0], [3, "3"], [[3]], "3", "", "mse", "kl", "percentile",
    "max", "xilinx", "Max", "mse:3", *(f"percentile:{share}" for share in SHARES),
]  # fmt: skip


def accepted(folder: Path, entry: Mapping[str, object]) -> bool:
    """Whether the program takes a layer's entry, in the mode that it belongs to."""
    mode = Mode.DYNAMIC_FIXED if any(key.startswith("fl_") for key in entry) else Mode.XILINX
    try:
        asked(options(written(folder, {"conv1": entry}), quant_type=mode))
    except InputError:
        return False
    return True


@pytest.mark.parametrize("key", [*KEYS, "Bits", "$schema"])
def test_the_schema_takes_the_same_values(key: str, tmp_path: Path) -> None:
    by_schema = [(value, SCHEMA_RULES.is_valid({"conv1": {key: value}})) for value in VALUES]
    assert by_schema == [(value, accepted(tmp_path, {key: value})) for value in VALUES]


@pytest.mark.parametrize(
    "entry",
    [{}, {"float": True, "bits": 8}, {"float": False, "bits": 8}, {"float": True}, {"bits": 8, "params_bits": 6}],
    ids=str,
)
def test_the_schema_takes_the_same_entries(entry: Mapping[str, object], tmp_path: Path) -> None:
    assert SCHEMA_RULES.is_valid({"conv1": entry}) == accepted(tmp_path, entry)


@pytest.mark.parametrize("content", [[], 3, "x", None, {"$schema": 3}], ids=str)
def test_neither_takes_what_is_no_object_of_layers(content: object, tmp_path: Path) -> None:
    assert not SCHEMA_RULES.is_valid(content)
    refusal(tmp_path, content)
