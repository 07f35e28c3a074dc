"""Labelled pictures in memory and as PNG folders, and the arithmetic between a picture and a network's input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64]

SHIPPED_TEST = 200  # the leading held-out pictures that lie in the repository


class Labelled(NamedTuple):
    """Pictures (N, height, width, channels), channels RGB or grey, and their class indices (N,)."""

    pixels: Pixels
    labels: Labels

    def part(self, start: int, stop: int) -> Labelled:
        """The pictures `start` to `stop` (exclusive)."""
        return Labelled(self.pixels[start:stop], self.labels[start:stop])


class Dataset(NamedTuple):
    """Three disjoint sets."""

    train: Labelled
    calibration: Labelled
    held_out: Labelled


@dataclass(frozen=True)
class Preprocessing:
    """`(pixel * raw_scale - mean) * input_scale`, pixel in [0, 1].

    Attributes:
        mean: one value per channel, in the order after the swap.
        channel_swap: which picture channel becomes input channel 0, 1, ...
    """

    raw_scale: float
    mean: tuple[float, ...]
    input_scale: float
    channel_swap: tuple[int, ...]

    def apply(self, pixels: Pixels) -> Floats:
        """(N, height, width, channels) bytes to the network's input (N, channels, height, width)."""
        planes = np.moveaxis(pixels[..., list(self.channel_swap)], -1, 1).astype(np.float32) / np.float32(255)
        mean = np.asarray(self.mean, np.float32)[:, None, None]
        return np.ascontiguousarray((planes * np.float32(self.raw_scale) - mean) * np.float32(self.input_scale))


def save(folder: Path, images: Labelled) -> None:
    """Replace the PNGs in `folder` by these, named 000.png and on."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.png"):
        stale.unlink()
    for index, picture in enumerate(images.pixels):
        grey = picture.shape[-1] == 1
        Image.fromarray(picture[..., 0] if grey else picture).save(folder / f"{index:03}.png", optimize=True)


def save_labels(path: Path, labels: Labels) -> None:
    """One line `name label` per picture that `save` wrote."""
    path.write_text("".join(f"{index:03}.png {label}\n" for index, label in enumerate(labels)), encoding="utf-8")


def load(folder: Path, label_file: Path) -> Labelled:
    """The pictures that the label file names, in its order."""
    rows = [line.split() for line in label_file.read_text(encoding="utf-8").splitlines()]
    pictures = [np.atleast_3d(np.asarray(Image.open(folder / name))) for name, _ in rows]
    return Labelled(np.stack(pictures), np.array([int(label) for _, label in rows]))
