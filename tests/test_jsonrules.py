"""Rules of JSON values: what they take, and how they say what they do not."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xportdnn.jsonrules import (
    Pairs,
    Record,
    Rule,
    anything,
    called,
    flag,
    listed,
    must,
    near,
    one_of,
    same,
    sha256,
    shown,
    text,
    whole,
)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=9)


def wrong(rule: Rule, value: object, entry: str = "") -> list[str]:
    return list(rule(value, entry, "x"))


# ---- values in messages


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "true"),
        (math.nan, "NaN"),
        ("größe\n", '"größe\\n"'),
        ({"conv1": {"bits": [8]}}, '{"conv1": {"bits": [8]}}'),
        ([[[[]], [[3]]], {}], "[[[[]], [[...]]], {}]"),
        ([[[{"a": 1}]]], "[[[{...}]]]"),
        ("x" * 58, f'"{"x" * 58}"'),
        ("x" * 59, f'"{"x" * 56}...'),
        ([1] * 10**6, f"[{'1, ' * 18}1,..."),
    ],
    ids=["true", "NaN", "text", "object", "lists", "deep", "whole", "cut", "long"],
)
def test_shown(value: object, said: str) -> None:
    assert shown(value) == said


@given(DOCUMENTS)
@settings(max_examples=100, deadline=None)
def test_what_is_short_is_shown_as_json(value: object) -> None:
    said = shown(value)
    assert len(said) <= 60
    assert "\n" not in said
    assert said == json.dumps(value, ensure_ascii=False) or said.endswith("...") or "[...]" in said or "{...}" in said


def test_endless_nesting_is_shown() -> None:
    value: list[Any] = []
    for _ in range(10 * sys.getrecursionlimit()):
        value = [value]
    assert shown(value) == "[[[[...]]]]"


def test_near() -> None:
    assert near("wieghts", ["weights", "name"]) == "; did you mean 'weights'?"
    assert near("Q", ["weights", "name"]) == ""


# ---- single values


@pytest.mark.parametrize(
    ("rule", "right", "others", "wanted"),
    [
        (whole(2, 8), [2, 8, 8.0], [1, 9, 8.5, -3, True, "8", None, [], math.nan], "a whole number from 2 to 8"),
        (whole(1), [1, 10**400, 1e300], [0, 0.5, math.nan, math.inf, True], "a whole number from 1"),
        (same(1), [1, 1.0], [True, 2, "1", None, {}], "1"),
        (same(True), [True], [1, 1.0, False, "true"], "true"),
        (same("a"), ["a"], ["A", "", None, ["a"]], '"a"'),
        (one_of("a", "b"), ["a", "b"], ["c", "", None, [], {}, 1], '"a" or "b"'),
        (text, ["", "a"], [1, None, ["a"], {}], "text"),
        (flag, [True, False], [0, 1, None, "true"], "true or false"),
        (sha256, ["0" * 64, "af" * 32], ["0" * 63, "A" * 64, "0" * 65, f"{'0' * 64}\n", 0], "a SHA-256 in 64 hexa"),
        (anything, [1, None, []], [], ""),
    ],
    ids=["whole", "from", "number", "true", "word", "words", "text", "flag", "sha256", "anything"],
)  # fmt: skip
def test_single_values(rule: Rule, right: list[object], others: list[object], wanted: str) -> None:
    assert [value for value in right if wrong(rule, value)] == []
    for value in others:
        (found,) = wrong(rule, value, 'layer "a": ')
        assert found.startswith(f'layer "a": x cannot be {shown(value)}; it must be {wanted}')


# ---- lists


@pytest.mark.parametrize(
    ("rule", "value", "said"),
    [
        (listed(text), 3, "x cannot be 3; it must be a list"),
        (listed(text, least=1), {}, "x cannot be {}; it must be a list of 1 or more"),
        (listed(text, least=1), [], "x cannot be a list of 0; it must be one of 1 or more"),
        (listed(text, 3, 3), ["a"] * 4, "x cannot be a list of 4; it must be one of 3"),
        (listed(text, 0, 2), ["a"] * 3, "x cannot be a list of 3; it must be one of 0 to 2"),
        (listed(listed(text)), [[], ["a", 5]], "x[1][1] cannot be 5; it must be text"),
    ],
    ids=["none", "none of one", "empty", "many", "range", "inside"],
)
def test_lists(rule: Rule, value: object, said: str) -> None:
    assert wrong(rule, value) == [said]


@pytest.mark.parametrize(("most", "told"), [(2, [0, 1]), (None, [0, 1, 3])], ids=["two", "all"])
def test_of_long_lists_the_first_entries_are_told(most: int | None, told: list[int]) -> None:
    *found, last = wrong(listed(text, most=most), [7, 7, "a", 7])
    if most is None:
        found = [*found, last]
    else:
        assert last == "x: and 1 more of its entries"
    assert found == [f"x[{at}] cannot be 7; it must be text" for at in told]


# ---- objects


def odd(value: Mapping[str, Any]) -> Iterator[str]:
    if "size" in value and "name" not in value:
        yield "size belongs to a name"


OBJECT = Record({"name": text, "size": same(1)}, optional=["size"], together=odd)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"name": "a"}, []),
        ([], ["x cannot be []; it must be an object with the fields name"]),
        ({"name": 1, "size": 0}, ["x.name cannot be 1; it must be text", "x.size cannot be 0; it must be 1"]),
        ({"size": 1}, ["x.name is missing", "x.size belongs to a name"]),
        ({"name": "a", "sice": 1}, ["x.sice is no field; did you mean 'size'?"]),
        ({"name": "a", "?": 1}, ['x."?" is no field; the fields are name, size']),
        (Pairs([("name", 1), ("name", "a")]), ["x.name is given twice; keep one"]),
    ],
    ids=["right", "list", "values", "missing", "misspelt", "strange", "twice"],
)  # fmt: skip
def test_objects(value: object, said: list[str]) -> None:
    assert wrong(OBJECT, value) == said


def test_many_fields_are_not_listed() -> None:
    many = Record({f"field{at}": text for at in range(11)})
    assert list(many.inside({f"field{at}": "" for at in range(11)} | {"?": 1}, "")) == ['"?" is no field']


def test_fields_of_any_name() -> None:
    rule = Record({}, others=whole(1))
    assert wrong(rule, {"a": 1, "b b": 0}) == ['x."b b" cannot be 0; it must be a whole number from 1']
    assert wrong(rule, 3) == ["x cannot be 3; it must be an object"]


LAYERS = Record({"layers": listed(called("layer", Record({"name": text, "blobs": listed(called("blob", OBJECT))})))})


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"name": "a", "blobs": [{"name": "b", "size": 0}]}, 'layer "a", blob "b": size cannot be 0; it must be 1'),
        ({"name": "a", "blobs": [{}]}, 'layer "a", blobs[0]: name is missing'),
        ({"name": "a", "blobs": [3]}, 'layer "a": blobs[0] cannot be 3; it must be an object with the fields name'),
        ({"name": 7, "blobs": []}, "layers[0]: name cannot be 7; it must be text"),
        (None, "layers[0] cannot be null; it must be an object with the fields name, blobs"),
    ],
    ids=["named", "no name", "no object", "no text", "no layer"],
)  # fmt: skip
def test_what_is_called_by_its_name(layer: object, said: str) -> None:
    (found,) = LAYERS.inside({"layers": [layer]}, "")
    assert found.startswith(said)


def test_a_rule_of_ones_own() -> None:
    assert wrong(must(lambda value: value is None, "nothing"), 3) == ["x cannot be 3; it must be nothing"]
