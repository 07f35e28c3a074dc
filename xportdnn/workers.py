"""Shards of a job on many pictures, each in a worker of its own.

A worker is a forked process: it shares the weights with its parent, works on its share of the pictures and answers
calls of its shard's methods. Where a system cannot fork safely, threads do the same work. What shards return must
merge to the same result however the pictures are dealt out.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeAlias, TypeVar

from xportdnn.errors import XportdnnError

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from multiprocessing.connection import Connection


class Shard(Protocol):
    """A share of the pictures.

    Attributes:
        position: index of the picture being worked on, which orders the errors of several workers.
        tick: to be called after every picture.
    """

    position: int
    tick: Callable[[], None]


Tick: TypeAlias = Callable[[], None]
S = TypeVar("S", bound=Shard)
P = ParamSpec("P")
R = TypeVar("R")


def default_workers() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def can_fork() -> bool:
    """Whether forked workers are safe; macOS's BLAS does not survive a fork."""
    return hasattr(os, "fork") and sys.platform != "darwin"


class Crew(Generic[S]):
    """All shards of a job; `call` runs a method on every one of them at once."""

    def __init__(self, members: Sequence[_Member]) -> None:
        self._members = members

    def call(self, method: Callable[Concatenate[S, P], R], *args: P.args, **kwargs: P.kwargs) -> list[R]:
        """The method's result of every shard, in the order of the shards.

        Raises:
            XportdnnError: what a shard raised; of several, the one at the lowest picture.
        """
        for member in self._members:
            member.start(method.__name__, args, kwargs)
        answers = [member.answer() for member in self._members]
        failures = [answer for answer in answers if isinstance(answer, _Failure)]
        if failures:
            raise min(failures, key=lambda failure: failure.position).error
        return answers


class _Failure:
    def __init__(self, position: int, error: XportdnnError) -> None:
        self.position, self.error = position, error


class _Member(Protocol):
    def start(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None: ...

    def answer(self) -> Any: ...


@contextmanager
def crew(make: Callable[[Sequence[int]], S], count: int, workers: int, tick: Tick) -> Iterator[Crew[S]]:
    """Deal the indices 0 .. count - 1 out to `workers` shards.

    Args:
        make: a shard from its indices; called in the worker.
        tick: called in this process for every tick of a shard.
    """
    shares = [range(first, count, workers) for first in range(max(1, min(workers, count)))]
    with ExitStack() as stack:
        if len(shares) == 1:
            members: list[_Member] = [_Local(make(shares[0]), tick)]
        elif can_fork():
            members = list(_forked(make, shares, tick, stack))
        else:
            members = list(_threaded(make, shares, tick, stack))
        yield Crew(members)


def _run(shard: Shard, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return getattr(shard, method)(*args, **kwargs)
    except XportdnnError as error:
        return _Failure(shard.position, error)


class _Local:
    """The only shard, in this process."""

    def __init__(self, shard: Shard, tick: Tick) -> None:
        self.shard = shard
        shard.tick = tick

    def start(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.result = _run(self.shard, method, args, kwargs)

    def answer(self) -> Any:
        return self.result


_TICK = "tick"


class _Forked:
    """A shard in a child process, reached through a pipe."""

    def __init__(self, connection: Connection[Any, Any], tick: Tick) -> None:
        self.connection, self.tick = connection, tick

    def start(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.connection.send((method, args, kwargs))

    def answer(self) -> Any:
        while True:
            try:
                message = self.connection.recv()
            except EOFError:
                raise MemoryError("a worker was ended by the system") from None
            if message != _TICK:
                if isinstance(message[1], BaseException):
                    raise message[1]
                return message[0]
            self.tick()


def _forked(
    make: Callable[[Sequence[int]], S], shares: Sequence[range], tick: Tick, stack: ExitStack
) -> Iterator[_Forked]:
    import multiprocessing

    context = multiprocessing.get_context("fork")
    open_ends: list[Connection[Any, Any]] = []
    for share in shares:
        ours, theirs = context.Pipe()
        open_ends.append(ours)
        process = context.Process(target=_serve, args=(make, share, theirs, tuple(open_ends)), daemon=True)
        with warnings.catch_warnings():
            # the threads Python warns of are a progress bar's and BLAS's own, which a child never uses
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        stack.callback(process.join)
        stack.callback(process.terminate)
        yield _Forked(ours, tick)


def _serve(
    make: Callable[[Sequence[int]], Shard],
    share: range,
    connection: Connection[Any, Any],
    inherited: Sequence[Connection[Any, Any]],
) -> None:
    """Answer calls until the parent is gone; the parent alone handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for end in inherited:
        end.close()
    shard: Shard | None = None
    while True:
        try:
            method, args, kwargs = connection.recv()
        except EOFError:
            return
        try:
            if shard is None:
                shard = make(share)
                shard.tick = lambda: connection.send(_TICK)
            connection.send((_run(shard, method, args, kwargs), None))
        except BrokenPipeError:
            return
        except Exception as fault:
            connection.send((None, fault))


class _Threaded:
    """A shard in a thread of this process."""

    def __init__(self, pool: Executor, make: Callable[[Sequence[int]], Shard], share: range, tick: Tick) -> None:
        self.pool, self.make, self.share, self.tick = pool, make, share, tick
        self.shard: Shard | None = None

    def start(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.future = self.pool.submit(self._work, method, args, kwargs)

    def _work(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.shard is None:
            self.shard = self.make(self.share)
            self.shard.tick = self.tick
        return _run(self.shard, method, args, kwargs)

    def answer(self) -> Any:
        return self.future.result()


def _threaded(
    make: Callable[[Sequence[int]], S], shares: Sequence[range], tick: Tick, stack: ExitStack
) -> Iterator[_Threaded]:
    from concurrent.futures import ThreadPoolExecutor

    pool = stack.enter_context(ThreadPoolExecutor(len(shares)))
    # small NumPy calls hand the interpreter over often; the default of 5 ms would make threads wait for each other
    interval = sys.getswitchinterval()
    sys.setswitchinterval(50e-6)
    stack.callback(sys.setswitchinterval, interval)
    for share in shares:
        yield _Threaded(pool, make, share, tick)
