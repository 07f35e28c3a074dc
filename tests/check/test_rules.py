"""The rules as a whole: named well, said well, and each with a file that breaks it and one that keeps it."""

from __future__ import annotations

import pkgutil
import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import tests.check
from tests.check.cases import Case, found
from tests.check.page import PAGE, rules_page
from tests.small_nets import caffemodel
from xportdnn import caffemodel as files
from xportdnn.check import Rule, all_rules, opening
from xportdnn.check.fix import all_fixes
from xportdnn.check.rules import rules_without_weights
from xportdnn.check.subject import Subject
from xportdnn.prototxt import Source

MODULES = [info.name for info in pkgutil.iter_modules(tests.check.__path__) if info.name.startswith("test_")]
RULES = {rule.id: rule for rule in all_rules()}
CASES: dict[str, Case] = {
    rule: case
    for name in MODULES
    if name != "test_rules"
    for rule, case in getattr(import_module(f"tests.check.{name}"), "CASES", {}).items()
}
TEXTS = ("title", "why", "remedy", "source")


def opened(text: str, weights: bytes, folder: Path) -> Subject:
    model = None
    if weights:
        path = folder / "net.caffemodel"
        path.write_bytes(weights)
        model = files.read(path)
    return opening.subject(Source("net.prototxt", text), model)


def test_ids_are_unique_and_kebab_case() -> None:
    ids = [rule.id for rule in all_rules()]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    assert [name for name in ids if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)] == []


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_texts(rule: Rule) -> None:
    texts = {name: getattr(rule, name) for name in TEXTS}
    assert {name: text for name, text in texts.items() if not text or text != " ".join(text.split())} == {}
    assert rule.why.endswith((".", ".)"))
    assert rule.remedy.endswith((".", ".)"))
    assert not rule.title.endswith(".")
    assert rule.needs in ("text", "shapes", "weights", "model")


def test_every_rule_has_a_case() -> None:
    assert set(RULES) - set(CASES) == set()


def test_every_case_is_of_a_rule() -> None:
    assert set(CASES) - set(RULES) == set()


@pytest.mark.parametrize("name", sorted(set(CASES) & set(RULES)))
def test_case(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    (broken,) = found(opened(case.failing, case.model or caffemodel(case.weights), tmp_path), name)
    assert case.says in broken.message
    assert case.line in (0, broken.line)
    kept = case.weights if case.passing_weights is None else case.passing_weights
    assert found(opened(case.passing, caffemodel(kept), tmp_path), name) == []


def test_rules_that_fixes_name_exist() -> None:
    assert {rule for fix in all_fixes() for rule in fix.rules} - set(RULES) == set()


def test_page() -> None:
    assert PAGE.read_text(encoding="utf-8") == rules_page(), "run `python -m tests.test_docs`"


def test_rules_that_take_weights_stand_apart() -> None:
    """What a file without a caffemodel is tried with imports none of them."""
    light = set(rules_without_weights())
    assert light < set(all_rules())
    assert {rule.needs for rule in set(all_rules()) - light} == {"weights"}
