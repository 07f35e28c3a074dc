"""A text with its name, edits of it, and the way back from any place in it to the line of the file on disk."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple


class Edit(NamedTuple):
    """Replace `text[start:end]` by `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Source:
    """Text with its name; offsets of an edited text are traced back to the lines of the file on disk."""

    name: str
    text: str
    # (offset here, offset in `parent`) at the start of every untouched stretch
    stretches: tuple[tuple[int, int], ...] = ()
    parent: Source | None = field(default=None, repr=False)

    @property
    def on_disk(self) -> Source:
        """The text before all edits."""
        return self if self.parent is None else self.parent.on_disk

    @cached_property
    def _newlines(self) -> list[int]:
        return [match.start() for match in re.finditer("\n", self.text)]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column (both from 1) in the file on disk."""
        if self.parent is not None:
            index = bisect_right(self.stretches, (offset, len(self.parent.text) + 1)) - 1
            here, there = self.stretches[max(index, 0)]
            limit = self.stretches[index + 1][1] if index + 1 < len(self.stretches) else len(self.parent.text)
            return self.parent.position(min(there + offset - here, limit))
        line = bisect_right(self._newlines, offset - 1)
        return line + 1, offset - (self._newlines[line - 1] + 1 if line else 0) + 1

    def line(self, offset: int) -> int:
        return self.position(offset)[0]

    def where(self, offset: int) -> str:
        """`file:line` for messages."""
        return f"{self.name}:{self.line(offset)}"

    @cached_property
    def newline(self) -> str:
        """The line ending the file uses."""
        return "\r\n" if "\r\n" in self.text else "\n"

    def edited(self, edits: Iterable[Edit]) -> Source:
        """A new source with the edits applied; its positions still name this one's lines."""
        pieces: list[str] = []
        stretches: list[tuple[int, int]] = []
        here = there = 0
        for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
            if edit.start < there:
                raise ValueError(f"edits overlap at offset {edit.start} of {self.name}")
            stretches.append((here, there))
            pieces += (self.text[there : edit.start], edit.text)
            here += edit.start - there + len(edit.text)
            there = edit.end
        stretches.append((here, there))
        pieces.append(self.text[there:])
        return Source(self.name, "".join(pieces), tuple(stretches), self)
