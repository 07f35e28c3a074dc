"""Words that the messages of several rules share."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 3


def listed(names: Sequence[str]) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown


def counted(count: int, noun: str) -> str:
    """`1 bottom`, `2 bottoms`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
