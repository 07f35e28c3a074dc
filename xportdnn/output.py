"""Output files: checked before the work, written whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from xportdnn.errors import OutputError, UsageError

STDOUT = "-"


def check(path: str, inputs: Sequence[str]) -> None:
    """Make sure that `path` can be written later; parent folders are made.

    Raises:
        UsageError: it is one of the inputs.
        OutputError: it is a folder, or cannot be written.
    """
    if path == STDOUT:
        return
    target = _behind(path)
    for given in inputs:
        if target.exists() and Path(given).exists() and target.samefile(given):
            raise UsageError(f"{path} is an input of this run; give the output another name")
    if target.is_dir():
        raise OutputError(f"{path}: is a folder; give the name of a file in it")
    if _is_device(target):
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _beside(target)
        os.close(handle)
        temporary.unlink()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def write(path: str, data: bytes) -> None:
    """Write a whole file beside its place and rename it into it; `-` is standard output.

    Raises:
        OutputError: the disk is full or the folder has become unwritable; the old file is still whole.
    """
    if path == STDOUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    target = _behind(path)
    temporary: Path | None = None
    try:
        if _is_device(target):
            target.write_bytes(data)
            return
        handle, temporary = _beside(target)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.replace(target)
        temporary = None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _beside(target: Path) -> tuple[int, Path]:
    """A new file in the target's folder, open for writing, with the permissions of any new file.

    `tempfile` would do, but costs a tenth of a DynamicFixed conversion to import, and gives permissions of its own.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.open(temporary, flags, 0o666), temporary


def _behind(path: str) -> Path:
    """The file itself where `path` is a symbolic link: the link stays."""
    target = Path(path)
    return target.resolve() if target.is_symlink() and not _is_device(target) else target


def _is_device(target: Path) -> bool:
    """Whether something other than a file stands there, such as /dev/null or a pipe: nothing may take its place."""
    return target.exists() and not target.is_file() and not target.is_dir()
