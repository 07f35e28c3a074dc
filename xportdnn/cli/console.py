"""What the user sees while a command works: remarks and a bar, all on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from xportdnn.journal import Journal, Level, Remark, no_progress


def journal(quiet: bool, verbose: bool) -> Journal:
    """A journal that speaks to the terminal; `quiet` keeps everything but errors back."""
    if quiet:
        return Journal()
    least = Level.DETAIL if verbose else Level.INFO

    def say(remark: Remark) -> None:
        if remark.level >= least:
            prefix = "warning: " if remark.level is Level.WARNING else ""
            click.echo(f"xportdnn: {prefix}{remark.text}", err=True)

    return Journal(say, _bar if sys.stderr.isatty() else no_progress)


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[], None]]:
    from tqdm import tqdm

    with tqdm(total=total, desc=title, file=sys.stderr, leave=False) as bar:

        def tick() -> None:
            bar.update()

        yield tick
