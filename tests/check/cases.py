"""What every rule of the board is tested with: one file that breaks it and one that keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xportdnn.check import Finding, look
from xportdnn.check.subject import Subject
from xportdnn.layers import Array


@dataclass(frozen=True)
class Case:
    """A rule's failing and passing prototxt.

    Attributes:
        says: a part of the finding's message.
        line: the line of the finding in `failing`; 0 where it does not matter.
        weights: layer name -> blobs, for rules that need a caffemodel; the passing file may have its own.
        model: a caffemodel that no Caffe of today writes, instead of `weights`; the passing file has none.
    """

    failing: str
    passing: str
    says: str
    line: int = 0
    weights: Mapping[str, Sequence[Array]] = field(default_factory=dict)
    passing_weights: Mapping[str, Sequence[Array]] | None = None
    model: bytes = b""


def found(subject: Subject, rule: str) -> list[Finding]:
    """The findings of one rule."""
    return [finding for finding in look(subject) if finding.rule.id == rule]
