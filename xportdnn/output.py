"""Output files: checked before the work, written whole or not at all.

By `os`, because `pathlib` takes longer to import than most networks take to convert.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from xportdnn.errors import OutputError, UsageError

STDOUT = "-"
_BINARY = getattr(os, "O_BINARY", 0)


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
        if os.path.exists(target) and os.path.exists(given) and os.path.samefile(target, given):
            raise UsageError(f"{path} is an input of this run; give the output another name")
    if os.path.isdir(target):
        raise OutputError(f"{path}: is a folder; give the name of a file in it")
    if _is_device(target):
        return
    try:
        os.makedirs(os.path.dirname(target) or os.curdir, exist_ok=True)
        handle, temporary = _beside(target)
        os.close(handle)
        os.unlink(temporary)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def write(path: str, data: bytes) -> None:
    """Write a whole file beside its place and rename it into it; `-` is standard output.

    Raises:
        OutputError: the disk is full or the folder has become unwritable; the old file is still whole.
    """
    write_all({path: (data,)})


def write_all(files: Mapping[str, Iterable[bytes | memoryview]]) -> None:
    """Write several files, each given as pieces: all of them beside their places before the first is renamed.

    Raises:
        OutputError: the disk is full or a folder has become unwritable. The old files are still whole; only where a
            rename itself fails may those before it be new.
    """
    waiting: list[tuple[str, str, str]] = []  # name, temporary file, its place
    path = STDOUT
    try:
        for path, data in files.items():
            if path != STDOUT and not _is_device(_behind(path)):
                waiting.append((path, *_written_beside(_behind(path), data)))
        for path, data in files.items():
            if path == STDOUT:
                sys.stdout.buffer.writelines(data)
                sys.stdout.buffer.flush()
            elif _is_device(_behind(path)):
                with os.fdopen(os.open(_behind(path), os.O_WRONLY | os.O_TRUNC | _BINARY), "wb") as device:
                    device.writelines(data)
        while waiting:
            path, temporary, target = waiting[0]
            os.replace(temporary, target)
            waiting.pop(0)
    except BrokenPipeError:  # whoever read our output has enough: no failure of ours
        raise
    except OSError as error:
        name = "standard output" if path == STDOUT else path
        raise OutputError(f"{name}: cannot be written: {error.strerror}") from None
    finally:
        for _, temporary, _ in waiting:
            _unlink(temporary)


def _written_beside(target: str, data: Iterable[bytes | memoryview]) -> tuple[str, str]:
    """The temporary file that holds the data, and its place; on an error there is none."""
    handle, temporary = _beside(target)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(data)
    except BaseException:
        _unlink(temporary)
        raise
    return temporary, target


def _beside(target: str) -> tuple[int, str]:
    """A new file in the target's folder, open for writing, with the permissions of any new file.

    `tempfile` would do, but costs a tenth of a DynamicFixed conversion to import, and gives permissions of its own.
    """
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
    return os.open(temporary, flags, 0o666), temporary


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _behind(path: str) -> str:
    """The file itself where `path` is a symbolic link: the link stays."""
    path = path.rstrip(os.sep) or path
    return os.path.realpath(path) if os.path.islink(path) and not _is_device(path) else path


def _is_device(target: str) -> bool:
    """Whether something other than a file stands there, such as /dev/null or a pipe: nothing may take its place."""
    return os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target)
