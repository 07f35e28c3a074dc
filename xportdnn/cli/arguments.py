"""Kinds of values that options take, and the options that every command has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def numbers(count: int | None = None) -> Callable[[str | tuple[int, ...]], tuple[int, ...]]:
    """A reader of whole numbers with commas between them; `count` fixes how many."""

    def read(value: str | tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            found = tuple(int(part) for part in value.split(","))
        except ValueError:
            raise click.BadParameter(f"'{value}' must be whole numbers with commas between them") from None
        if count is not None and len(found) != count:
            raise click.BadParameter(f"'{value}' holds {len(found)} numbers, {count} are needed")
        return found

    return read


def normalized(name: str) -> str:
    """Hyphens and underscores in names are the same."""
    return name.replace("-", "_")


def speech(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options about what is said, which every command has."""
    for decorator in (
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
        click.option("--verbose", is_flag=True, help="Say more: what is left out, every layer's thresholds."),
        click.option("--quiet", is_flag=True, help="Say nothing but errors."),
    ):
        command = decorator(command)
    return command
