"""The pictures of one worker, decoded once, and what the float network makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from xportdnn.engine.choice import Exact
from xportdnn.errors import CalibrationError, ImageError
from xportdnn.evaluation.metrics import energy
from xportdnn.evaluation.outputs import Verdict, verdict
from xportdnn.evaluation.share import Feeds, Probed
from xportdnn.layers import Array, Arrays
from xportdnn.network import Value
from xportdnn.opening import Opened
from xportdnn.simulation import Simulation
from xportdnn.simulation.planned import forward, planned
from xportdnn.workers import Tick

_KEPT = 1 << 29  # bytes of decoded pictures that all workers together hold on to


@dataclass(frozen=True)
class Job:
    """What is run, and how it is judged.

    Attributes:
        weights: arrays by layer index.
        pictures: what to feed, made when asked for; an ImageError skips a picture.
        labels: the class of every picture; None where it is not known.
        outputs: the network's answers.
        scores: the one of them that holds a score per class.
        probabilities: whether it is the top of a Softmax.
        build: a candidate as a network.
    """

    opened: Opened
    weights: Mapping[int, Arrays]
    pictures: Sequence[Feeds]
    labels: Sequence[int | None]
    outputs: tuple[Value, ...]
    scores: Value | None
    probabilities: bool
    build: Callable[[Any], Simulation]


class Learnt(NamedTuple):
    """What the float network made of some pictures.

    Attributes:
        verdicts: of it with itself; empty where there are no classes.
        skipped: pictures that cannot be decoded, with the reason.
    """

    pictures: list[int]
    verdicts: list[Verdict]
    skipped: list[tuple[int, str]]


class Share:
    """Some of the pictures of a job."""

    def __init__(self, job: Job, indices: Sequence[int]) -> None:
        self.job, self.indices = job, indices
        self.position = indices[0]
        self.tick: Tick = lambda: None
        self.kept: dict[int, Feeds] = {}
        self.float: dict[int, tuple[Array, ...]] = {}
        self.room = _KEPT * len(indices) // len(job.pictures)

    def learn(self) -> Learnt:
        """Run the float network; what it gives is remembered.

        Raises:
            CalibrationError: an output holds NaN or infinity.
        """
        job = self.job
        program = forward(job.opened.net, job.weights, job.opened.shapes, tuple(job.opened.inputs), Exact())
        found = Learnt([], [], [])
        for index in self.indices:
            self.position = index
            try:
                feeds = job.pictures[index]
            except ImageError as error:
                found.skipped.append((index, error.message))
                continue
            self._keep(index, feeds)
            self.float[index] = self._answers(program.layers(feeds))
            probed = self._probed(index, self.float[index])
            found.pictures.append(index)
            found.verdicts.extend([] if probed.verdict is None else [probed.verdict])
            self.tick()
        return found

    def attempt(self, candidate: Any) -> list[Probed]:
        """What a quantized network makes of the same pictures.

        Raises:
            CalibrationError: an output holds NaN or infinity.
        """
        job = self.job
        simulation = job.build(candidate)
        fast = planned(simulation, job.opened.shapes, tuple(job.opened.inputs), Exact())
        run = simulation.run if fast is None else fast.run
        found: list[Probed] = []
        for index in self.float:
            self.position = index
            feeds = self.kept[index] if index in self.kept else job.pictures[index]
            tops = (dict(zip(each.layer.tops, each.tops, strict=False)) for each in run(feeds))
            found.append(self._probed(index, self._answers(tops)))
            self.tick()
        return found

    def _keep(self, index: int, feeds: Feeds) -> None:
        size = sum(array.nbytes for array in feeds.values())
        if size <= self.room:
            self.room -= size
            self.kept[index] = feeds

    def _answers(self, layers: Iterable[Mapping[Value, Array]]) -> tuple[Array, ...]:
        found = {value: top.copy() for tops in layers for value, top in tops.items() if value in self.job.outputs}
        return tuple(found[value] for value in self.job.outputs)

    def _probed(self, index: int, got: tuple[Array, ...]) -> Probed:
        job, expected = self.job, self.float[index]
        errors = tuple(energy(one, two) for one, two in zip(expected, got, strict=True))
        if not all(each.finite for each in errors):
            raise CalibrationError(
                f"{job.opened.net.source.name}: an output holds NaN or infinity for picture {index + 1}; `xportdnn "
                "forward` shows which layer is the first"
            )
        if job.scores is None:
            return Probed(errors, None)
        at = job.outputs.index(job.scores)
        return Probed(errors, verdict(index, expected[at], got[at], job.labels[index], job.probabilities))
