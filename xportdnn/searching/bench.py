"""All pictures and all workers: a candidate in, a score out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from xportdnn.errors import ImageError
from xportdnn.searching.metric import Score, float_score, score
from xportdnn.searching.share import Job, Learnt, Share
from xportdnn.workers import Crew, Tick, crew


class Bench:
    """A crew that has learnt the float answers; `bench` makes it.

    Attributes:
        learnt: what the float network made of the pictures.
        baseline: its own score.
        attempts: how many networks were run.
    """

    def __init__(self, job: Job, shares: Crew[Share]) -> None:
        self._job, self._shares = job, shares
        parts = shares.call(Share.learn)
        self.learnt = Learnt(
            sorted(index for part in parts for index in part.pictures),
            sorted(verdict for part in parts for verdict in part.verdicts),
            sorted(skipped for part in parts for skipped in part.skipped),
        )
        self.baseline = float_score(self.learnt.verdicts)
        self.attempts = 0
        self._known: dict[Any, Score] = {}

    def attempt(self, candidate: Any) -> Score:
        """How a candidate does; the same one is run once.

        Raises:
            CalibrationError: its outputs hold NaN or infinity.
        """
        if candidate not in self._known:
            self.attempts += 1
            probed = [each for part in self._shares.call(Share.attempt, candidate) for each in part]
            judged = [at for at, value in enumerate(self._job.outputs) if self._job.scores in (None, value)]
            self._known[candidate] = score(probed, judged)
        return self._known[candidate]


@contextmanager
def bench(job: Job, workers: int, tick: Tick) -> Iterator[Bench]:
    """The pictures dealt out to workers, and the float network run.

    Raises:
        ImageError: no picture can be decoded.
    """

    def share(indices: Sequence[int]) -> Share:
        return Share(job, indices)

    with crew(share, len(job.pictures), workers, tick) as shares:
        found = Bench(job, shares)
        if not found.learnt.pictures:
            raise ImageError(f"none of the {len(job.pictures)} pictures can be decoded; is this the right folder?")
        yield found
