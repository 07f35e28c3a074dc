"""One improvement after the other, each made on half of the pictures and kept only if it helps on the other half.

Every second picture is held back. Thresholds, factors and biases come from the others alone, so that what is kept was
not fitted to the pictures that it is judged by. Of several rules of equalization the pictures that made them choose
one; those held back have the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from xportdnn import calibration, execute, plan, precision
from xportdnn.errors import UsageError
from xportdnn.folding.bias_correction import corrected
from xportdnn.folding.equalize import RULES, factors, scaled, spread
from xportdnn.folding.extents import extents
from xportdnn.folding.folded import Folded
from xportdnn.folding.proof import Evidence, prove
from xportdnn.folding.reweighted import reweighted
from xportdnn.folding.strands import strands
from xportdnn.improvement.judging import Judge, Score
from xportdnn.journal import Journal
from xportdnn.layers import Arrays
from xportdnn.network import runnable
from xportdnn.options import Options
from xportdnn.pictures import CalibrationSet
from xportdnn.precision import Precision
from xportdnn.workers import default_workers


@dataclass(frozen=True)
class Candidate:
    """A network with the formats that a conversion would give it."""

    folded: Folded
    blocks: Mapping[int, Precision]

    @cached_property
    def weights(self) -> Mapping[int, Arrays]:
        """Arrays by layer index, of the layers that run."""
        opened = self.folded.opened
        return execute.load(runnable(opened.net, opened.inputs), opened.weights)


class Halves(NamedTuple):
    """The pictures that improvements are made of, and those that are held back."""

    making: CalibrationSet
    held_back: CalibrationSet


def halves(pictures: CalibrationSet) -> Halves:
    """Every second picture is held back.

    Raises:
        UsageError: there is only one.
    """
    if len(pictures) < 2:
        raise UsageError(
            "--equalize and --bias_correct hold back every second calibration picture to judge by, and there is only "
            "one; give more pictures, or a greater --calibration_size"
        )
    chosen = pictures.choice.pictures
    made = (replace(pictures.choice, pictures=chosen[first::2]) for first in (0, 1))
    return Halves(*(replace(pictures, choice=choice) for choice in made))


class Improver:
    """A folded network on its way to better weights.

    Attributes:
        best: the network with all improvements kept so far.
    """

    def __init__(self, folded: Folded, pictures: CalibrationSet, options: Options, journal: Journal) -> None:
        """
        Args:
            options: those of the conversion that the network is meant for.

        Raises:
            UsageError: nothing can be held back.
        """
        self._options, self._journal = options, journal
        self._workers = options.workers or default_workers()
        (target,) = folded.opened.inputs
        self._making, self._held_back = halves(replace(pictures, target=target))
        self.best = self._candidate(folded)
        self._judge = Judge(folded.opened, self.best.weights, self._held_back, self._workers)
        self._score = self._judged(self.best, self._judge)

    def equalize(self, evidence: Evidence) -> None:
        """Divide channels by their share of their blob's range.

        Args:
            evidence: what the float network's outputs must stay the same on.

        Raises:
            FoldingError: they do not.
        """
        opened, weights = self.best.folded.opened, self.best.weights
        found = strands(opened)
        free = int(found.free.sum())
        if not free:
            self._journal.info("equalize: no channels can be scaled without changing the outputs")
            return
        seen = extents(opened, weights, self._making, tuple(found.of), self._workers)
        measured = spread(opened, weights, found, seen, self._options.bitwidths.layer_out)
        inner = replace(self._judge, pictures=self._making)
        tried = {}
        for rule in RULES:
            blobs = scaled(opened, weights, found, factors(measured, weights, rule))
            candidate = self._candidate(reweighted(self.best.folded, blobs, self._options.strict))
            tried[rule.name] = (self._judged(candidate, inner), candidate)
        name = max(tried, key=lambda name: tried[name][0].rank)
        candidate = tried[name][1]
        proof = prove(candidate.folded, evidence, Journal())
        self._keep(
            candidate,
            "equalize",
            f"{free} channels in {len(found.weighted)} layers, rule '{name}', outputs in float the same to "
            f"{proof.relative:.2g}",
        )

    def bias_correct(self) -> None:
        """Take back what quantization shifts the mean of channels.

        Raises:
            CalibrationError: the pictures do not fit into the memory.
        """
        folded = self.best.folded
        with self._journal.progress("correcting", len(runnable(folded.net, folded.opened.inputs))) as tick:
            blobs = corrected(folded.opened, self.best.weights, self.best.blocks, self._making, self._workers, tick)
        if not blobs:
            self._journal.info("bias_correct: no bias is off by half a step")
            return
        candidate = self._candidate(reweighted(folded, blobs, self._options.strict))
        self._keep(candidate, "bias_correct", f"the bias of {len(blobs)} layers")

    def _candidate(self, folded: Folded) -> Candidate:
        """A network with the formats of a conversion on the pictures that improvements are made of."""
        options = self._options
        # what there is to say about thresholds the conversion will say
        found = calibration.evidence(options, folded.opened, self._making, Journal(progress=self._journal.progress))
        blocks, _ = plan.xilinx(folded.net, options.bitwidths, found.thresholds, options.matrix, options.scale_classes)
        return Candidate(folded, {block.layer.index: precision.of_fields(block.fields) for block in blocks})

    def _judged(self, candidate: Candidate, judge: Judge) -> Score:
        return judge.score(candidate.folded.opened, candidate.weights, candidate.blocks)

    def _keep(self, candidate: Candidate, what: str, how: str) -> None:
        """Take a candidate if it is better, and say so in one line either way."""
        score = self._judged(candidate, self._judge)
        kept = score.beats(self._score)
        self._journal.info(
            f"{what}: {'kept' if kept else 'not kept'}: {self._score.to(score)}, on {len(self._held_back)} pictures "
            f"held back ({how})"
        )
        if kept:
            self.best, self._score = candidate, score
