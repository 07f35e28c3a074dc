"""Shards in forked processes, threads and this process give the same answers and the same errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import pytest

from xportdnn import workers
from xportdnn.errors import CalibrationError
from xportdnn.workers import crew


class Squares:
    """Squares of its indices; refuses some."""

    def __init__(self, share: Sequence[int], refused: frozenset[int] = frozenset()) -> None:
        self.share, self.refused = share, refused
        self.position = -1
        self.tick: Callable[[], None] = lambda: None

    def squares(self, offset: int) -> list[int]:
        found = []
        for index in self.share:
            self.position = index
            if self.position in self.refused:
                raise CalibrationError(f"picture {self.position}", ["as asked"])
            found.append(self.position**2 + offset)
            self.tick()
        return found

    def process(self) -> int:
        return os.getpid()


@pytest.fixture(params=["forked", "threaded"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "forked" and not workers.can_fork():
        pytest.skip("this system cannot fork")
    monkeypatch.setattr(workers, "can_fork", lambda: request.param == "forked")
    return str(request.param)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_index_once(way: str, count: int, number: int) -> None:
    ticks: list[None] = []
    with crew(Squares, count, number, lambda: ticks.append(None)) as squares:
        found = squares.call(Squares.squares, 5)
    assert sorted(value for part in found for value in part) == [index**2 + 5 for index in range(count)]
    assert len(ticks) == count


def test_a_shard_keeps_its_state_between_calls(way: str) -> None:
    with crew(Squares, 4, 2, lambda: None) as squares:
        assert squares.call(Squares.squares, 0) == squares.call(Squares.squares, 0)


def test_forked_shards_live_elsewhere() -> None:
    if not workers.can_fork():
        pytest.skip("this system cannot fork")
    with crew(Squares, 2, 2, lambda: None) as squares:
        found = squares.call(Squares.process)
    assert os.getpid() not in found
    assert len(set(found)) == 2


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_error_of_the_lowest_picture_counts(way: str, number: int) -> None:
    refused = frozenset({4, 5})
    with (
        crew(lambda share: Squares(share, refused), 6, number, lambda: None) as squares,
        pytest.raises(CalibrationError, match="picture 4") as caught,
    ):
        squares.call(Squares.squares, 0)
    assert caught.value.problems == ("as asked",)


def test_a_fault_in_a_worker_is_raised_here(way: str) -> None:
    with crew(Squares, 2, 2, lambda: None) as squares, pytest.raises(TypeError):
        squares.call(Squares.squares, "x")  # type: ignore[arg-type]
