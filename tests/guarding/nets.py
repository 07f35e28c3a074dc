"""Convolutions of bright pictures whose weights need the guards, and their conversion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.small_nets import conv, data, layer, net_of, write_net
from xportdnn import api
from xportdnn.conversion import Conversion
from xportdnn.journal import Journal
from xportdnn.layers import Arrays

METHODS = ("xilinx", "max")
by_method = pytest.mark.parametrize("method", METHODS)
by_bits = pytest.mark.parametrize("bits", [6, 8], ids=["6-bit", "8-bit"])


def floats(*rows: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Weights of a 1x1 Convolution."""
    return np.array(rows, np.float32).reshape(len(rows), -1, 1, 1)


def vector(*numbers: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(numbers, np.float32)


def bright(folder: Path, count: int = 2) -> Path:
    """Pictures of bright gray pixels, 9 wide and 7 high: without mean all channels are above 0 and the same."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    for index in range(count):
        gray = rng.integers(160, 256, (7, 9, 1), np.uint8)
        Image.fromarray(gray.repeat(3, axis=2)).save(folder / f"{index}.png")
    return folder


def converted(folder: Path, text: str, weights: Mapping[str, Arrays], **options: Any) -> tuple[Conversion, Journal]:
    files, journal = write_net(folder, text, weights), Journal()
    chosen = {"calibration_size": 2, "bitwidths": (8, 8, 8), "mean_value": "0", "workers": 1, **options}
    pictures = bright(folder / "pictures")
    return api.convert(files.deploy, files.weights, calibration_directory=pictures, journal=journal, **chosen), journal


INPUT = data(1, 3, 7, 9)
CONV = INPUT + conv("c", "data", "c", 2)
RECTIFIED = CONV + layer("r", "ReLU", "c", "c")
FUSED = (
    CONV
    + layer("bn", "BatchNorm", "c", "c")
    + layer("s", "Scale", "c", "c", "scale_param { bias_term: true }")
    + layer("r", "ReLU", "c", "c")
)
IDENTITY = (np.zeros(2, np.float32), np.ones(2, np.float32), np.ones(1, np.float32))


def fused(gamma: float, beta: float = 0.0) -> dict[str, Arrays]:
    """A mean of the channels and the first of them, times gamma, plus beta."""
    weights = floats((0.3, 0.3, 0.3), (1, 0, 0)), np.zeros(2, np.float32)
    return {"c": weights, "bn": IDENTITY, "s": (vector(gamma, gamma), vector(beta, beta))}


# the second channel is small, the first far below 0, which nobody sees behind the ReLU
DEEP = {"c": (floats((-1, -1, -1), (0.05, 0, 0)), np.zeros(2, np.float32))}
# what comes out is small because the bias takes away what the weights give
BIASED = {"c": (floats((-1, -1, -1), (-1, -1, 0)), vector(600, 400))}

BLOBS = ("data", "c0", "c1", "c2", "c3", "c4")
CHAIN = net_of(data(1, 2, 3, 4) + "".join(conv(top, bottom, top, 2) for bottom, top in pairwise(BLOBS)))
