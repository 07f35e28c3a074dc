"""Reading files without `pathlib`, which takes longer to import than most networks take to convert."""

from __future__ import annotations

from io import FileIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def opened(path: str | Path) -> FileIO:
    """A file to read from; of a folder an OSError as of any that cannot be read."""
    return FileIO(path)


def read(path: str | Path) -> bytes:
    """The whole file.

    Raises:
        OSError: it cannot be read.
    """
    with opened(path) as file:
        return file.readall()
