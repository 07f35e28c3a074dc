"""Whole processes: running one, and the memory that one and its children really need."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_INTERVAL = 0.005  # seconds between two looks at a process's memory


def run(command: Sequence[str]) -> None:
    """Run a command to its end; its standard output is dropped.

    Raises:
        RuntimeError: it failed.
    """
    _, status = os.waitpid(_start(command), 0)
    _check(command, status)


def peak_memory(command: Sequence[str]) -> int:
    """The most memory, in bytes, that a command and its children filled at one time, mapped files left out.

    The sum of the proportional anonymous and shared memory (`Pss_Anon` and `Pss_Shmem` of `/proc/<pid>/smaps_rollup`).
    Proportional, so that a page that forked workers share counts once and not once for each, as it would in their
    resident set sizes (`ru_maxrss`). Pages of mapped files, here caffemodel and libraries, are left out because the
    kernel may drop them and read them again at any time. The price is that the kernel keeps no maximum of these
    numbers: they are looked at every few milliseconds, and a shorter peak can be missed.

    Raises:
        RuntimeError: the command failed.
    """
    pid = _start(command)
    peak = 0
    while True:
        finished, status = os.waitpid(pid, os.WNOHANG)
        if finished:
            _check(command, status)
            return peak
        peak = max(peak, sum(map(_filled, _family(pid))))
        time.sleep(_INTERVAL)


def _start(command: Sequence[str]) -> int:
    silent = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    return os.posix_spawn(command[0], list(command), os.environ, file_actions=[silent])


def _check(command: Sequence[str], status: int) -> None:
    if status:
        raise RuntimeError(f"exit status {os.waitstatus_to_exitcode(status)}: {' '.join(command)}")


def _family(pid: int) -> Iterator[int]:
    yield pid
    # a process may end while it is looked at
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _family(int(child))


def _filled(pid: int) -> int:
    sizes: dict[str, int] = {}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, size, _ = line.split()
            sizes[name] = int(size) * 1024
    return sizes.get("Pss_Anon:", 0) + sizes.get("Pss_Shmem:", 0)
