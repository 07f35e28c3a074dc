"""scikit-learn's handwritten digits laid out like MNIST: white on black, 20x20 in the middle of 24x24."""

from __future__ import annotations

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from sample_models.images import Dataset, Labelled, Pixels

SIDE, INNER = 24, 20
CALIBRATION, HELD_OUT = 32, 500


def enlarged(digit: Pixels) -> Pixels:
    """(8, 8) bytes to (24, 24, 1)."""
    margin = (SIDE - INNER) // 2
    canvas = Image.new("L", (SIDE, SIDE))
    canvas.paste(Image.fromarray(digit).resize((INNER, INNER), Image.Resampling.BICUBIC), (margin, margin))
    return np.asarray(canvas)[..., None]


def dataset() -> Dataset:
    """All 1797 digits, shuffled once with a fixed seed and cut in three."""
    digits = load_digits()
    levels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(1797).permutation(len(levels))
    shuffled = Labelled(np.stack([enlarged(levels[index]) for index in order]), digits.target[order].astype(np.int64))
    return Dataset(
        held_out=shuffled.part(0, HELD_OUT),
        calibration=shuffled.part(HELD_OUT, HELD_OUT + CALIBRATION),
        train=shuffled.part(HELD_OUT + CALIBRATION, len(order)),
    )
