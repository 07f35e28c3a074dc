"""Plans that were damaged or edited: each refused with the layer, the field, the value and what it must be."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dialects.plan_desk import RULES, SCHEMA, Desk, refused
from tests.small_nets import PLAIN
from xportdnn import cli
from xportdnn.dialects import planmatch, planschema
from xportdnn.errors import InputError
from xportdnn.precision import Precision


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("format", "xportdnn.report", "this is no plan"),
        ("version", 2, "plans of version 2 are not known"),
        ("version", True, "version cannot be true; it must be 1"),
        ("layers", {}, "layers cannot be {}; it must be a list"),
        ("layers", [3], "layers[0] cannot be 3; it must be an object"),
        ("layers", [], 'layer "fc": is missing'),
        ("weights", None, "weights cannot be null; it must be an object"),
        ("weights", {"name": "a", "sha256": "A" * 64}, "weights.sha256 cannot be"),
        ("foo", 1, "foo is no field; the fields are format, version, "),
        ("a\nb", 1, '"a\\nb" is no field'),
        ("wieghts", 1, "wieghts is no field; did you mean 'weights'?"),
        ("inputs", {"data": [1, 0]}, "inputs.data[1] cannot be 0; it must be a whole number from 1"),
        ("scale_classes", [[]], "scale_classes[0] cannot be a list of 0; it must be one of 1 or more"),
    ],
    ids=[
        "report", "version", "no-version", "no-list", "no-layer", "no-layers", "no-weights", "digest", "field",
        "two-lines", "misspelt", "shape", "class",
    ],
)  # fmt: skip
def test_damage(key: str, value: object, said: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN, "fixed")
    plan = json.loads(desk.text) | {key: value}
    assert not RULES.is_valid(plan) or key == "layers"
    assert said in refused(desk, plan)


@pytest.mark.parametrize("key", sorted({*SCHEMA["required"]} - {"format"}))
def test_fields_that_are_missing(key: str, plans: dict[str, Desk]) -> None:
    plan = json.loads(plans["fixed"].text)
    del plan[key]
    assert refused(plans["fixed"], plan) == f"{plans['fixed'].plan}: {key} is missing"


@pytest.mark.parametrize(
    ("mode", "name", "value", "said"),
    [
        ("fixed", "bw_params", 8.5, "bw_params cannot be 8.5; it must be a whole number from 2 to 32"),
        ("fixed", "bw_params", 33, "bw_params cannot be 33"),
        ("fixed", "bw_params", -1, "bw_params cannot be -1"),
        ("fixed", "bw_params", 0, "bw_params cannot be 0"),
        ("fixed", "bw_params", True, "bw_params cannot be true"),
        ("fixed", "bw_params", math.nan, "bw_params cannot be NaN"),
        ("fixed", "fl_params", 127, "fl_params cannot be 127; it must be a whole number from -126 to 126"),
        ("fixed", "th_params", 3, "th_params cannot be 3; it must be a list"),
        ("fixed", "th_layer_in", 1.0, "th_layer_in does not belong to the block of Convolution in DynamicFixed mode"),
        ("fixed", "quant_type", "xilinx", 'quant_type cannot be "xilinx"; it must be "Xilinx" or "DynamicFixed"'),
        ("fixed", "quant_type", "Xilinx", 'quant_type cannot be "Xilinx"; that of the options is "DynamicFixed"'),
        ("fixed", "bw_parms", 8, "bw_parms is no field; did you mean 'bw_params'"),
        ("xilinx", "th_layer_in", "1", 'th_layer_in cannot be "1"; it must be a number above 0'),
        ("xilinx", "th_layer_in", 0, "th_layer_in cannot be 0"),
        ("xilinx", "th_layer_out", 10**400, f"th_layer_out cannot be 1{'0' * 56}...; it must be"),
        ("xilinx", "th_layer_out", math.inf, "th_layer_out cannot be Infinity"),
        ("xilinx", "th_params", [], "th_params cannot be a list of 0; it must be one of 1 or more"),
        ("xilinx", "th_params", [1, 2, -0.3, 4], "th_params[2] cannot be -0.3; it must be a number from 0"),
        ("xilinx", "th_params", [1, 2, 3], "has 3 th_params for 4 output channels"),
    ],
    ids=str,
)
def test_wrong_values(mode: str, name: str, value: object, said: str, plans: dict[str, Desk]) -> None:
    """The plan is named and the layer, and nothing else: neither the prototxt nor the numbers that are right."""
    desk = plans[mode]
    plan = json.loads(desk.text)
    plan["layers"][1]["precision_param"][name] = value
    # NaN is no JSON, so that the schema has no say; how many thresholds there are knows the network
    assert not RULES.is_valid(plan) or value is math.nan or said.startswith("has 3")
    told = refused(desk, plan)
    assert f'layer "conv1": {said}' in told
    assert told.startswith(f"{desk.plan}: ")
    assert desk.float.deploy.name not in told


def test_many_wrong_entries_of_a_list(plans: dict[str, Desk]) -> None:
    plan = json.loads(plans["xilinx"].text)
    plan["layers"][1]["precision_param"]["th_params"] = [-1, -2, -3, -4]
    told = refused(plans["xilinx"], plan)
    assert "th_params[2] cannot be -3" in told
    assert "cannot be -4" not in told
    assert "th_params: and 1 more of its entries" in told


@pytest.mark.parametrize("mode", ["xilinx", "fixed"])
def test_blocks_that_are_not_whole(mode: str, plans: dict[str, Desk]) -> None:
    """Of a block no field can be left out, in any layer; not even all but the mode."""
    plan = json.loads(plans[mode].text)
    blocks = [(at, layer["precision_param"]) for at, layer in enumerate(plan["layers"]) if layer["precision_param"]]
    assert blocks
    for at, block in blocks:
        others = [{}, {"quant_type": block["quant_type"]}] if "quant_type" in block else [{}]
        for left in [*others, *({each: block[each] for each in block if each != name} for name in block)]:
            plan["layers"][at]["precision_param"] = left
            wanted = f'layer "{plan["layers"][at]["name"]}": '
            told = refused(plans[mode], plan)
            assert all(f"{wanted}{name} is missing" in told for name in block.keys() - left.keys())
        plan["layers"][at]["precision_param"] = block
    assert plans[mode].plan.write_text(json.dumps(plan), encoding="utf-8")
    assert plans[mode].read()


def test_everything_at_once(plans: dict[str, Desk]) -> None:
    plan = json.loads(plans["xilinx"].text)
    plan["foo"] = 1
    plan["layers"][1]["precision_param"] |= {"bw_params": 0, "th_layer_in": -1}
    plan["layers"][3]["type"] = "LRN"
    told = refused(plans["xilinx"], plan).splitlines()
    assert told[0].endswith("this plan cannot be used:")
    assert len(told) == 1 + 4


def test_numbers_as_other_programs_write_them(plans: dict[str, Desk]) -> None:
    """8.0 is the whole number 8, and 1 the threshold 1.0; a byte order mark means nothing."""
    desk = plans["xilinx"]
    plan = json.loads(desk.text)
    block = plan["layers"][1]["precision_param"]
    block |= {"bw_params": 8.0, "th_layer_in": 1, "th_params": [1, 2.0, 0, 3]}
    assert RULES.is_valid(plan)
    desk.plan.write_text(json.dumps(plan), encoding="utf-8-sig")
    found = desk.read()[1]
    assert (found.bw_params, found.th_layer_in, found.th_params) == (8, 1.0, (1.0, 2.0, 0.0, 3.0))
    assert isinstance(found.bw_params, int)


def test_a_name_given_twice(plans: dict[str, Desk]) -> None:
    desk = plans["fixed"]
    desk.plan.write_text(desk.text.replace('"bw_params": 6,', '"bw_params": 6, "bw_params": 8,', 1), encoding="utf-8")
    with pytest.raises(InputError, match=r'layer "conv1": bw_params is given twice; keep one'):
        desk.read()


VALUES = st.sampled_from(
    [None, True, 0, 1, 8, 8.0, 8.5, -3, 200, 1e39, 0.25, "", "a", "Xilinx", "DynamicFixed", "parser", [], [1.0],
     [0.5] * 4, ["data"], {}, {"quant_type": "Xilinx"}, "0" * 64]
)  # fmt: skip


def places(value: object) -> Iterator[tuple[Any, Any]]:
    """(object or list, key) of everything inside."""
    if isinstance(value, dict | list):
        for key, each in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from places(each)


@given(draw=st.data())
@settings(deadline=None, max_examples=100)
@pytest.mark.parametrize("mode", ["xilinx", "fixed"])
def test_the_schema_and_the_reader(mode: str, draw: st.DataObject, plans: dict[str, Desk]) -> None:
    """What the schema forbids is refused, and what `planschema` finds the schema forbids, too."""
    net, plan = plans[mode].net, json.loads(plans[mode].text)
    inside, key = draw.draw(st.sampled_from(list(places(plan))))
    how = draw.draw(st.sampled_from(["remove", "replace", "add"]))
    if how == "remove":
        del inside[key]
    elif how == "replace" or isinstance(inside, list):
        inside[key] = draw.draw(VALUES)
    else:
        names = [*Precision.__dataclass_fields__, *SCHEMA["required"], "foo"]
        inside[draw.draw(st.sampled_from(names))] = draw.draw(VALUES)
    found = list(planschema.problems(plan))
    if RULES.is_valid(plan):
        assert found == []
    else:
        assert [*found, *planmatch.problems(plan, net)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[" * 200_000, "its brackets are nested too deep"),
        ('{"format": ' + "1" * 5000 + "}", "this is no JSON: a number of 5000 digits"),
        ("[]", "this is no plan"),
        ("", "this is no JSON"),
    ],
    ids=["deep", "digits", "list", "empty"],
)
def test_command_line_with_a_strange_plan(
    content: str, said: str, plans: dict[str, Desk], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and nothing is written."""
    desk = plans["xilinx"]
    desk.plan.write_text(content, encoding="utf-8")
    np.save(tmp_path / "in.npy", np.zeros((1, 3, 10, 12), np.float32))
    given = ["simulate", *desk.float.arguments, "--input", str(tmp_path / "in.npy"), "--plan", str(desk.plan)]
    assert cli._run([*given, "--blobs_dir", str(tmp_path / "blobs")], False) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not (tmp_path / "blobs").exists()


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), ("{", "this is no JSON")], ids=["absent", "no-json"]
)
def test_no_plan_at_all(content: str | None, said: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN, "fixed")
    desk.plan.unlink()
    if content is not None:
        desk.plan.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        desk.read()
