"""Arms that take turns: forked workers wait for their turn, the machine is checked for quiet, medians are kept.

An arm is one way to do the work. All arms of a comparison are alive at once and take turns round by round, so that a
change of the machine's speed reaches all of them.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeAlias

_INTERVAL = 0.2  # seconds over which the machine is watched
_QUIET = 0.05  # the share of all cores' time that others may take

Work: TypeAlias = Callable[[], object]
"""What a worker does in one round."""


class Arm(NamedTuple):
    """One way to do the work.

    Attributes:
        prepare: called in each worker with its index and their number; checks that the work is the same as the other
            arms' and returns it.
        workers: how many processes share the work.
    """

    name: str
    prepare: Callable[[int, int], Work]
    workers: int = 1


class Measured(NamedTuple):
    """The outcome of a comparison.

    Attributes:
        seconds: arm -> median time of a round.
        turns: how many turns were taken.
        unquiet: before how many of them the machine did not become quiet.
    """

    seconds: Mapping[str, float]
    turns: int
    unquiet: int

    @property
    def disturbed(self) -> str:
        """How often the machine was not quiet, in words."""
        return f"{self.unquiet} of {self.turns}"

    def ratio(self, first: str, second: str) -> float:
        """The first arm's time in units of the second's."""
        return self.seconds[first] / self.seconds[second]


def interleaved(arms: Sequence[Arm], rounds: int, patience: float) -> Measured:
    """Let the arms take turns.

    Args:
        patience: seconds to wait for a quiet machine before each turn.

    Raises:
        RuntimeError: a worker failed; it has printed why.
    """
    seconds: dict[str, list[float]] = {arm.name: [] for arm in arms}
    unquiet = 0
    with ExitStack() as stack:
        turns = {arm.name: stack.enter_context(_turns(arm)) for arm in arms}
        for _ in range(rounds):
            for name, turn in turns.items():
                unquiet += not quiet(patience)
                start = time.perf_counter()
                turn()
                seconds[name].append(time.perf_counter() - start)
    return Measured({name: median(times) for name, times in seconds.items()}, rounds * len(arms), unquiet)


@contextmanager
def _turns(arm: Arm) -> Iterator[Callable[[], None]]:
    """The arm's workers, prepared; the function lets all of them work once."""
    context = multiprocessing.get_context("fork")
    processes, pipes = [], []
    for index in range(arm.workers):
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(arm, index, there), daemon=True)
        process.start()
        there.close()
        processes.append(process)
        pipes.append(here)

    def wait() -> None:
        try:
            for pipe in pipes:
                pipe.recv()
        except (EOFError, ConnectionResetError):
            raise RuntimeError(f"a worker of the arm '{arm.name}' failed") from None

    def turn() -> None:
        for pipe in pipes:
            pipe.send(True)
        wait()

    try:
        wait()
        yield turn
    finally:
        # closing alone would not do: workers forked later hold copies of the earlier pipes
        for pipe, process in zip(pipes, processes, strict=True):
            with suppress(BrokenPipeError):
                pipe.send(False)
            process.join()
            pipe.close()


def _serve(arm: Arm, index: int, pipe: Connection) -> None:
    work = arm.prepare(index, arm.workers)
    pipe.send(True)
    while pipe.recv():
        work()
        pipe.send(True)


def quiet(patience: float) -> bool:
    """Wait until nothing else runs on the machine; False if that took longer than `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        before = _ticks()
        time.sleep(_INTERVAL)
        if busy(before, _ticks()) <= _QUIET:
            return True
        if time.monotonic() >= deadline:
            return False


def busy(before: Sequence[int], after: Sequence[int]) -> float:
    """The share of all cores' time between two readings of `/proc/stat` that was not idle."""
    spent = [late - early for early, late in zip(before, after, strict=True)]
    idle = spent[3] + spent[4]  # idle and waiting for a disk; time stolen by other virtual machines is no rest
    return 1 - idle / max(sum(spent), 1)


def _ticks() -> list[int]:
    """The clock ticks of all cores together, by kind: user, nice, system, idle, iowait, irq, softirq, steal."""
    with Path("/proc/stat").open() as file:
        return [int(word) for word in file.readline().split()[1:9]]
