"""The four networks: where they lie, what they read and how they were trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sample_models.images import Preprocessing

FOLDER = Path(__file__).resolve().parent
CALIBRATION = FOLDER.parent / "calibration"

GREY = Preprocessing(raw_scale=255.0, mean=(0.0,), input_scale=0.00390625, channel_swap=(0,))
BGR = Preprocessing(raw_scale=255.0, mean=(104.0, 117.0, 123.0), input_scale=1.0, channel_swap=(2, 1, 0))


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        input_unit: training divides the inputs by this power of two, and the first convolution's weights take it over
            afterwards: the same arithmetic bit by bit, but Adam sees weights of one size.
        shift: every batch is moved by up to this many pixels.
        seed: of initial weights, order of pictures and dropout.
    """

    epochs: int
    learning_rate: float
    input_unit: float = 1.0
    shift: int = 0
    batch: int = 64
    seed: int = 1


@dataclass(frozen=True)
class Sample:
    """One network of the folder."""

    name: str
    dataset: Literal["digits", "shapes"]
    preprocessing: Preprocessing
    recipe: Recipe

    @property
    def prototxt(self) -> Path:
        return FOLDER / self.name / "deploy.prototxt"

    @property
    def caffemodel(self) -> Path:
        return FOLDER / self.name / f"{self.name}.caffemodel"


SAMPLES = {
    sample.name: sample
    for sample in (
        Sample("digits_plain", "digits", GREY, Recipe(epochs=40, learning_rate=3e-3, shift=2)),
        Sample("digits_residual", "digits", GREY, Recipe(epochs=30, learning_rate=3e-3, shift=2)),
        Sample("shapes_inception", "shapes", BGR, Recipe(epochs=20, learning_rate=2e-3, input_unit=64.0)),
        Sample("shapes_depthwise", "shapes", BGR, Recipe(epochs=24, learning_rate=3e-3, input_unit=64.0)),
    )
}
