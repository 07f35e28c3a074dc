"""What a rule of the board is, and what breaking one looks like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from xportdnn.check.subject import BoardLayer, Subject


class Severity(Enum):
    """What the board makes of a broken rule, the worst first."""

    STOPS = "the board's software stops"
    WRONG = "the board computes wrong numbers without a word"
    DEFAULT = "the board warns and takes a default"
    LIMIT = "a documented limit or doubtful, nothing is known to break"

    @property
    def refuses(self) -> bool:
        """Whether a network with such a finding cannot be used on the board as it is."""
        return self in (Severity.STOPS, Severity.WRONG)


class Broken(NamedTuple):
    """One place that breaks a rule.

    Attributes:
        message: what stands there and what was expected, one sentence with the values.
        layer: the layer it concerns; None where it concerns the file.
        start: offset in the subject's text; the layer's own where it is negative.
    """

    message: str
    layer: BoardLayer | None = None
    start: int = -1


@dataclass(frozen=True)
class Rule:
    """One thing that the board wants of a prototxt.

    Attributes:
        id: kebab-case name, unique, stable: `--explain` and scripts use it.
        severity: what happens where it is broken.
        title: the rule as a sentence.
        why: what the board does otherwise.
        remedy: what to do about it.
        source: where the rule comes from: CHaiDNN's file or document, and its error code where it has one.
        find: all places of a subject that break it. A rule that needs more than the text says so by `needs`.
        needs: "text", "shapes" (a network whose shapes are known), "weights" (a caffemodel that fits) or "model" (any
            caffemodel).
    """

    id: str
    severity: Severity
    title: str
    why: str
    remedy: str
    source: str
    find: Callable[[Subject], Iterator[Broken]] = field(repr=False)
    needs: str = "text"


class Finding(NamedTuple):
    """A broken rule with everything that a report needs."""

    rule: Rule
    line: int
    layer: str
    type: str
    message: str
