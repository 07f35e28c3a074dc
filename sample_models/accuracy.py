"""The shipped files measured by a reader that shares no code with what wrote them: OpenCV.

The table in README.md is the only place where an accuracy is stated; `check` measures it again.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import cv2
import numpy as np

from sample_models import digits, shapes
from sample_models.images import Floats, Labelled, load
from sample_models.samples import CALIBRATION, FOLDER, SAMPLES, Sample

README = FOLDER / "README.md"
# | name | 197 of 200 (98.5 %) | 1950 of 2000 (97.5 %) | ...
ROW = re.compile(r"^\| `?(\w+)`? \| (\d+) of (\d+) \([\d.]+ %\) \| (\d+) of (\d+) \([\d.]+ %\) \|", re.MULTILINE)


class Score(NamedTuple):
    """How many of how many pictures were classified correctly."""

    correct: int
    total: int

    def __str__(self) -> str:
        return f"{self.correct} of {self.total} ({100 * self.correct / self.total:.1f} %)"


class Accuracy(NamedTuple):
    """One row of the table."""

    shipped: Score
    held_out: Score

    def __str__(self) -> str:
        return f"{self.shipped} | {self.held_out}"


def probabilities(sample: Sample, images: Labelled) -> Floats:
    """OpenCV's `prob` for each picture, averaged over the positions where the network has several: (N, classes)."""
    net = cv2.dnn.readNetFromCaffe(str(sample.prototxt), str(sample.caffemodel))
    rows: list[Floats] = []
    for picture in sample.preprocessing.apply(images.pixels):
        net.setInput(picture[None])
        prob = net.forward()
        rows.append(prob.reshape(-1, prob.shape[-1]).mean(axis=0))
    return np.stack(rows)


def score(sample: Sample, images: Labelled) -> Score:
    """The class with the highest probability against the label."""
    found = probabilities(sample, images).argmax(axis=1)
    return Score(int((found == images.labels).sum()), len(images.labels))


def shipped_test(sample: Sample) -> Labelled:
    """The labelled PNGs of calibration/."""
    return load(CALIBRATION / f"{sample.dataset}_test", CALIBRATION / f"{sample.dataset}_test.labels.txt")


def measure(sample: Sample) -> Accuracy:
    """Both columns of the table, from the files as they lie there."""
    held_out = digits.dataset().held_out if sample.dataset == "digits" else shapes.held_out()
    return Accuracy(score(sample, shipped_test(sample)), score(sample, held_out))


def stated() -> dict[str, Accuracy]:
    """The table of README.md."""
    rows = ROW.findall(README.read_text(encoding="utf-8"))
    return {name: Accuracy(Score(int(a), int(b)), Score(int(c), int(d))) for name, a, b, c, d in rows}


def shortfalls(name: str, claimed: Accuracy | None, found: Accuracy) -> list[str]:
    """What is wrong with a row, in words; nothing where every claim is reached."""
    if claimed is None:
        return [f"{name}: README.md states no accuracy"]
    return [
        f"{name}, {column}: README.md states {claim}, measured {result}"
        for column, claim, result in zip(("shipped test", "held out"), claimed, found, strict=True)
        if claim.total != result.total or result.correct < claim.correct
    ]


def check() -> list[str]:
    """Every shortfall of every network."""
    table = stated()
    return [
        problem for name, sample in SAMPLES.items() for problem in shortfalls(name, table.get(name), measure(sample))
    ]
