"""All rules on one file."""

from __future__ import annotations

from collections.abc import Iterable

from xportdnn.check.rule import Broken, Finding, Rule
from xportdnn.check.rules import all_rules, rules_without_weights
from xportdnn.check.subject import Subject


def look(subject: Subject, rules: Iterable[Rule] | None = None) -> tuple[Finding, ...]:
    """Everything of the subject that breaks a rule, in the order of the lines.

    Rules that need shapes or weights are left out where there are none; `missing` names them.
    """
    if rules is None:
        rules = all_rules() if subject.weights else rules_without_weights()
    found = [
        _finding(subject, rule, broken) for rule in rules if has(subject, rule.needs) for broken in rule.find(subject)
    ]
    return tuple(sorted(found, key=lambda finding: finding.line))


def missing(subject: Subject) -> tuple[Rule, ...]:
    """The rules that could not be tried."""
    return tuple(rule for rule in all_rules() if not has(subject, rule.needs))


def has(subject: Subject, needs: str) -> bool:
    """Whether the subject has what a rule needs."""
    return {
        "text": True,
        "shapes": bool(subject.shapes),
        "weights": bool(subject.weights),
        "model": subject.model is not None,
    }[needs]


def _finding(subject: Subject, rule: Rule, broken: Broken) -> Finding:
    layer = broken.layer
    start = broken.start if broken.start >= 0 else layer.entry.start if layer is not None else 0
    line = subject.source.line(start)
    return Finding(rule, line, layer.name if layer else "", layer.type if layer else "", broken.message)
