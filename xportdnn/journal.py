"""What a run has to say while it works: collected as values, and handed on to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, TypeAlias


class Level(IntEnum):
    """How much a remark matters."""

    DETAIL = 0
    INFO = 1
    WARNING = 2


class Remark(NamedTuple):
    """One sentence for the user."""

    level: Level
    text: str


Progress: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""Opens a progress display from a title and a total; the function inside counts one step."""


@contextmanager
def no_progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Nothing is shown."""
    yield lambda: None


def _deaf(remark: Remark) -> None:
    """Nobody listens; the remarks are only collected."""


@dataclass
class Journal:
    """Remarks in order, each once.

    Attributes:
        listener: called with each remark as it is made.
        progress: shows the loops that take long.
        unread: nobody is going to look at the remarks, so that what takes long to find out for them can be left out.
    """

    listener: Callable[[Remark], None] = _deaf
    progress: Progress = no_progress
    remarks: list[Remark] = field(default_factory=list)
    unread: bool = False

    def detail(self, text: str) -> None:
        """Something for `--verbose`."""
        self._say(Remark(Level.DETAIL, text))

    def info(self, text: str) -> None:
        """Something everybody wants to know."""
        self._say(Remark(Level.INFO, text))

    def warn(self, text: str) -> None:
        """Something that may make the result useless."""
        self._say(Remark(Level.WARNING, text))

    def _say(self, remark: Remark) -> None:
        if remark not in self.remarks:
            self.remarks.append(remark)
            self.listener(remark)
