"""All fixes on one file, round by round, until none has anything left to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import unified_diff
from typing import Any, NamedTuple

from xportdnn.check import opening
from xportdnn.check.fix import Change, Fix, all_fixes
from xportdnn.check.look import has
from xportdnn.check.rules import all_rules
from xportdnn.check.subject import Subject
from xportdnn.prototxt import Edit, Source

_ROUNDS = 50  # each takes at least one finding away; no file needs as many


class Mended(NamedTuple):
    """Something that was done.

    Attributes:
        line: in the file on disk.
        rules: the rules that were broken.
    """

    line: int
    rules: tuple[str, ...]
    message: str


class Repaired(NamedTuple):
    """A file after all fixes.

    Attributes:
        source: the file on disk.
        subject: what it is now; its lines are those of the file on disk.
        mended: what was done, in the order of the lines.
    """

    source: Source
    subject: Subject
    mended: tuple[Mended, ...]

    def diff(self) -> str:
        """A unified diff, as `patch` takes it; empty where nothing was done."""
        name, after = self.source.name, self.subject.source.text
        lines = unified_diff(_lines(self.source.text), _lines(after), name, name)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def plain(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"mended": [mended._asdict() for mended in self.mended], "diff": self.diff()}


def repair(source: Source, fixes: Sequence[Fix] | None = None) -> Repaired:
    """Mend what can be mended.

    Raises:
        PrototxtError: the text is no prototxt.
    """
    fixes = all_fixes() if fixes is None else fixes
    subject = opening.subject(source)
    mended: list[Mended] = []
    for _ in range(_ROUNDS):
        before = len(mended)
        for fix in fixes:
            broken = _broken(subject, fix)
            if not broken:
                continue
            for group in _apart(_wanted(fix.changes(subject), broken)):
                after = opening.subject(subject.source.edited([edit for change in group for edit in change.edits]))
                if after.trouble and not subject.trouble:  # what Caffe took before, it must take afterwards
                    continue
                mended += [_mended(subject, change, broken) for change in group]
                subject = after
                break
        if len(mended) == before:
            break
    return Repaired(source, subject, tuple(sorted(mended, key=lambda each: each.line)))


def _broken(subject: Subject, fix: Fix) -> tuple[str, ...]:
    """The rules of the fix that are broken."""
    rules = (rule for rule in all_rules() if rule.id in fix.rules and has(subject, rule.needs))
    return tuple(rule.id for rule in rules if any(True for _ in rule.find(subject)))


def _wanted(changes: Iterable[Change], broken: tuple[str, ...]) -> Iterator[Change]:
    """The changes that take findings away."""
    return (change for change in changes if change.edits and (not change.rules or set(change.rules) & set(broken)))


def _mended(subject: Subject, change: Change, broken: tuple[str, ...]) -> Mended:
    rules = tuple(rule for rule in broken if not change.rules or rule in change.rules)
    return Mended(subject.source.line(change.start), rules, change.message)


def _apart(changes: Iterable[Change]) -> list[list[Change]]:
    """All changes that do not touch each other, and then each alone, for where Caffe refuses the whole."""
    free: list[Change] = []
    taken: list[Edit] = []
    for change in changes:
        if not any(_touch(edit, other) for edit in change.edits for other in taken):
            free.append(change)
            taken += change.edits
    return [free, *([change] for change in free if len(free) > 1)] if free else []


def _touch(one: Edit, other: Edit) -> bool:
    """Whether two edits stand in each other's way."""
    return (one.start < other.end and other.start < one.end) or one.start == other.start


def _lines(text: str) -> list[str]:
    """Lines with their ends; `str.splitlines` would also part them at form feeds."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)
