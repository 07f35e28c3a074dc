"""What the rules found, as lines in the style of compilers, as plain values for JSON, and as a closing sentence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from xportdnn.check.look import look, missing
from xportdnn.check.rule import Finding, Rule, Severity
from xportdnn.check.rules import all_rules
from xportdnn.check.subject import Subject
from xportdnn.errors import UsageError
from xportdnn.similar import similar
from xportdnn.version import __version__

_IN_FULL = 6  # findings of one rule; where there are more, the rest is a list of names


class Untried(NamedTuple):
    """A rule that could not be tried, and why."""

    rule: Rule
    reason: str


class Report(NamedTuple):
    """All that can be said of one file.

    Attributes:
        trouble: why Caffe refuses the file or its weights, empty if it does not.
        tried: the number of rules that were tried.
    """

    file: str
    findings: tuple[Finding, ...]
    untried: tuple[Untried, ...]
    trouble: str
    tried: int

    @property
    def refused(self) -> bool:
        """Whether the network cannot be used on the board as it is."""
        return bool(self.trouble) or any(finding.rule.severity.refuses for finding in self.findings)


def report(subject: Subject) -> Report:
    """Try all rules on a file."""
    untried = tuple(Untried(rule, _reason(subject, rule)) for rule in missing(subject))
    tried = len(all_rules()) - len(untried)
    return Report(subject.source.name, look(subject), untried, subject.trouble, tried)


def _reason(subject: Subject, rule: Rule) -> str:
    if rule.needs in ("weights", "model") and subject.model is None:
        return "no caffemodel was given with --weights"
    if subject.trouble:
        return "Caffe refuses the network or its weights"
    return "the shape of the input is not known"


# ---- lines


def by_rule(findings: Iterable[Finding]) -> list[list[Finding]]:
    """The findings of each rule together, the worst rules first, then in the order of the lines."""
    order = list(Severity)
    rank: dict[str, tuple[int, int]] = {}
    for finding in findings:
        rank.setdefault(finding.rule.id, (order.index(finding.rule.severity), len(rank)))
    ranked = sorted(findings, key=lambda finding: rank[finding.rule.id])
    return [list(group) for _, group in groupby(ranked, key=lambda finding: finding.rule.id)]


def lines(file: str, findings: Iterable[Finding], verbose: bool) -> Iterator[str]:
    """`file:line: severity: message [rule] (layer "x", Type)`, and once for each rule what to do.

    Args:
        verbose: every finding in full, and the reason of each rule.
    """
    for group in by_rule(findings):
        shown = len(group) if verbose or len(group) <= _IN_FULL + 1 else _IN_FULL
        yield from (line(file, finding) for finding in group[:shown])
        if rest := group[shown:]:
            names = ", ".join(_place(finding) for finding in rest)
            yield f"  the same rule in {len(rest)} more places (--verbose shows them in full): {names}"
        rule = group[0].rule
        if verbose:
            yield f"  why: {rule.why}"
        yield f"  remedy: {rule.remedy}"


def line(file: str, finding: Finding) -> str:
    """One finding on one line."""
    where = f' (layer "{finding.layer}", {finding.type})' if finding.layer or finding.type else ""
    return f"{file}:{finding.line}: {word(finding.rule.severity)}: {finding.message} [{finding.rule.id}]{where}"


def _place(finding: Finding) -> str:
    return f"{finding.layer} (line {finding.line})" if finding.layer else f"line {finding.line}"


def word(severity: Severity) -> str:
    """A severity in one word: stops, wrong, default, limit."""
    return severity.name.lower()


def summary(found: Report) -> str:
    """The closing sentence: the verdict, what was found, and what was not looked for."""
    counts = {each: sum(finding.rule.severity is each for finding in found.findings) for each in Severity}
    parts = ", ".join(f"{word(each)} {count}" for each, count in counts.items() if count)
    said = f"{_verdict(found, counts)}: {parts or 'nothing was found'}; {found.tried} rules were tried"
    if not found.untried:
        return f"{found.file}: {said}"
    reasons = "; ".join(dict.fromkeys(untried.reason for untried in found.untried))
    return f"{found.file}: {said}, {len(found.untried)} were not tried: {reasons}"


def _verdict(found: Report, counts: Mapping[Severity, int]) -> str:
    if counts[Severity.STOPS]:
        return "the board does not run it"
    if counts[Severity.WRONG]:
        return "the board computes wrong numbers"
    return "Caffe refuses it" if found.trouble else "the board runs it"


# ---- JSON


def as_bytes(found: Report, more: Mapping[str, Any]) -> bytes:
    """The report as JSON, UTF-8 with two blanks of indentation; `more` are further entries."""
    values = {
        "xportdnn": __version__,
        "file": found.file,
        "refused": found.refused,
        "trouble": found.trouble,
        "findings": plain(found.findings),
        "not_tried": [{"rule": rule.id, "needs": rule.needs, "reason": reason} for rule, reason in found.untried],
        **more,
    }
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "surrogateescape")


def plain(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as plain values."""
    return [
        {
            "rule": finding.rule.id,
            "severity": word(finding.rule.severity),
            "line": finding.line,
            "layer": finding.layer,
            "type": finding.type,
            "message": finding.message,
            "why": finding.rule.why,
            "remedy": finding.rule.remedy,
        }
        for finding in findings
    ]


# ---- rules


def explained(rule: Rule) -> Iterator[str]:
    """Everything that is known of a rule."""
    yield f"{rule.id}: {rule.title}"
    yield f"  severity: {word(rule.severity)}, {rule.severity.value}"
    yield f"  why: {rule.why}"
    yield f"  remedy: {rule.remedy}"
    yield f"  source: {rule.source}"
    if rule.needs != "text":
        yield f"  needs: {NEEDS[rule.needs]}"


NEEDS = {
    "text": "nothing but the prototxt",
    "shapes": "a network that Caffe accepts, and the shape of its input",
    "weights": "a caffemodel that fits the network, --weights",
    "model": "a caffemodel, --weights",
}


def listed(rules: Sequence[Rule]) -> Iterator[str]:
    """One line for each rule, the worst first."""
    width = max(len(rule.id) for rule in rules)
    for severity in Severity:
        yield from (
            f"{word(severity):<7}  {rule.id:<{width}}  {rule.title}" for rule in rules if rule.severity is severity
        )


def named(name: str) -> Rule:
    """The rule of that name.

    Raises:
        UsageError: there is none; the nearest names are said.
    """
    rules = {rule.id: rule for rule in all_rules()}
    if name in rules:
        return rules[name]
    near = similar(name.lower().replace("_", "-"), rules, 3, 0.5)
    hint = f"; the nearest are {', '.join(near)}" if near else ""
    raise UsageError(f"--explain: there is no rule '{name}'{hint}; `xportdnn check --list` shows all")
