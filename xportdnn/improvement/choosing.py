"""One improvement after the other: made on half of the pictures, kept if it helps on the other half.

Every second picture is held back. Thresholds, factors and biases come from the others alone, so that nothing was fitted
to the pictures that it is judged by. The rules of equalization are taken in the order that the pictures suggest of
which they are made, and the first that helps is kept. What is kept is then made again from all pictures: the conversion
will calibrate with them, and a bias is rounded to the steps of its thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from xportdnn.errors import UsageError
from xportdnn.folding.equalize import RULES, Rule
from xportdnn.folding.folded import Folded
from xportdnn.folding.proof import Evidence, prove
from xportdnn.improvement.judging import Judge, Score
from xportdnn.improvement.making import Candidate, Workshop
from xportdnn.journal import Journal
from xportdnn.options import Options
from xportdnn.pictures import CalibrationSet


class Wanted(NamedTuple):
    """Which improvements are tried."""

    equalize: bool
    bias_correct: bool


def improved(
    folded: Folded, pictures: CalibrationSet, options: Options, wanted: Wanted, evidence: Evidence, journal: Journal
) -> Folded:
    """The network with those improvements that help; every one is told in a line.

    Args:
        options: those of the conversion that the network is meant for.
        evidence: what the outputs of the float network must stay the same on when channels are scaled.

    Raises:
        UsageError: there is only one picture, so that none can be held back.
        FoldingError: scaling channels changes the outputs.
        CalibrationError: NaN or infinity in the forward, or too many pictures for the memory.
    """
    (target,) = folded.opened.inputs
    whole = Workshop(options, replace(pictures, target=target), journal)
    making, held_back = halves(whole.pictures)
    trial = _Trial(whole.on(making), folded, held_back)
    steps: list[Callable[[Workshop, Candidate], Candidate]] = []
    rule = trial.equalize(evidence) if wanted.equalize else None
    if rule is not None:
        steps.append(lambda shop, found: _equalized(shop, found, rule, evidence))
    if wanted.bias_correct and trial.bias_correct():
        steps.append(Workshop.corrected)
    found = whole.candidate(folded)
    for step in steps:
        found = step(whole, found)
    return found.folded


class Halves(NamedTuple):
    """The pictures that improvements are made of at first, and those that are held back."""

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
    every = (replace(pictures.choice, pictures=chosen[first::2]) for first in (0, 1))
    return Halves(*(replace(pictures, choice=choice) for choice in every))


class _Trial:
    """A network on its way through the improvements, on half of the pictures."""

    def __init__(self, shop: Workshop, folded: Folded, held_back: CalibrationSet) -> None:
        self.shop, self.journal = shop, shop.journal
        self.best = shop.candidate(folded)
        self.judge = Judge(folded.opened, self.best.weights, held_back, shop.workers)
        self.score = self._judged(self.best)

    def equalize(self, evidence: Evidence) -> Rule | None:
        """The rule of equalization that helps; None: none does."""
        free = int(self.best.strands.free.sum())
        if not free:
            self.journal.info("equalize: not kept: no channel can be scaled without changing the outputs")
            return None
        measured = self.shop.spread(self.best)
        inside = replace(self.judge, pictures=self.shop.pictures)
        made = {rule: self.shop.equalized(self.best, measured, rule) for rule in RULES}
        order = sorted(made, key=lambda rule: self._judged(made[rule], inside).rank, reverse=True)
        rule = next((rule for rule in order if self._judged(made[rule]).beats(self.score)), order[0])
        difference = prove(made[rule].folded, evidence, Journal()).relative
        how = f"{free} channels, rule '{rule.name}', largest relative difference in float {difference:.2g}"
        return rule if self._keep(made[rule], "equalize", how) else None

    def bias_correct(self) -> bool:
        """Whether correcting biases helps."""
        options = self.shop.options
        how = (
            f"for a conversion of these pictures with --bitwidths {','.join(map(str, options.bitwidths))} "
            f"--threshold_method {options.threshold_method} --params_method {options.params_method}"
        )
        return self._keep(self.shop.corrected(self.best), "bias_correct", how)

    def _judged(self, candidate: Candidate, judge: Judge | None = None) -> Score:
        return (judge or self.judge).score(candidate.folded.opened, candidate.weights, candidate.blocks)

    def _keep(self, candidate: Candidate, what: str, how: str) -> bool:
        """Take a candidate if it is better, and say so in one line either way."""
        score = self._judged(candidate)
        kept = score.beats(self.score)
        self.journal.info(
            f"{what}: {'kept' if kept else 'not kept'}: {self.score.to(score)} on {len(self.judge.pictures)} pictures "
            f"held back ({how})"
        )
        if kept:
            self.best, self.score = candidate, score
        return kept


def _equalized(shop: Workshop, candidate: Candidate, rule: Rule, evidence: Evidence) -> Candidate:
    found = shop.equalized(candidate, shop.spread(candidate), rule)
    prove(found.folded, evidence, Journal())
    return found
