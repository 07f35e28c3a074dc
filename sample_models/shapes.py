"""Six classes of coloured figures, 32x32 RGB, drawn at random place, size, angle and contrast over clutter and noise.

Colours carry no information about the class, and some pictures are hard on purpose (small, pale, noisy), so that a
network ends near but below 100 % and a loss of precision shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from sample_models.images import Dataset, Labelled, Pixels

SIDE, OVERSAMPLING = 32, 4
CANVAS = SIDE * OVERSAMPLING
TRAIN, CALIBRATION, HELD_OUT = 9000, 32, 2000
CLASSES = ("disc", "ring", "cross", "triangle", "stripes", "checkers")

Point: TypeAlias = tuple[float, float]


class Pose(NamedTuple):
    """Where a figure lies on the canvas; `radius` in canvas pixels, `angle` in radians."""

    x: float
    y: float
    radius: float
    angle: float

    def at(self, right: float, down: float) -> Point:
        """A point given in radii from the centre, turned with the figure."""
        sine, cosine = math.sin(self.angle), math.cos(self.angle)
        return (
            self.x + self.radius * (cosine * right - sine * down),
            self.y + self.radius * (sine * right + cosine * down),
        )

    def box(self, size: float = 1.0) -> tuple[float, float, float, float]:
        """The upright square around the circle of `size` radii."""
        reach = self.radius * size
        return self.x - reach, self.y - reach, self.x + reach, self.y + reach


def blank() -> Image.Image:
    return Image.new("L", (CANVAS, CANVAS))


def polygon(pose: Pose, corners: list[Point]) -> Image.Image:
    mask = blank()
    ImageDraw.Draw(mask).polygon([pose.at(*corner) for corner in corners], fill=255)
    return mask


def disc(pose: Pose) -> Image.Image:
    mask = blank()
    ImageDraw.Draw(mask).ellipse(pose.box(), fill=255)
    return mask


def ring(pose: Pose) -> Image.Image:
    mask = disc(pose)
    ImageDraw.Draw(mask).ellipse(pose.box(0.5), fill=0)
    return mask


def cross(pose: Pose) -> Image.Image:
    upright = [(-0.35, -1.0), (0.35, -1.0), (0.35, 1.0), (-0.35, 1.0)]
    return ImageChops.lighter(polygon(pose, upright), polygon(pose, [(down, right) for right, down in upright]))


def triangle(pose: Pose) -> Image.Image:
    return polygon(pose, [(math.sin(turn), -math.cos(turn)) for turn in (0.0, math.tau / 3, 2 * math.tau / 3)])


def bars(pose: Pose) -> Image.Image:
    """Parallel bars over the whole reach of the figure; bar and gap are 0.4 radii wide."""
    mask = blank()
    draw = ImageDraw.Draw(mask)
    for left in (-1.0, -0.2, 0.6):
        draw.polygon([pose.at(*corner) for corner in ((left, -1), (left + 0.4, -1), (left + 0.4, 1), (left, 1))], 255)
    return mask


def stripes(pose: Pose) -> Image.Image:
    return ImageChops.multiply(bars(pose), disc(pose))


def checkers(pose: Pose) -> Image.Image:
    crossed = ImageChops.difference(bars(pose), bars(pose._replace(angle=pose.angle + math.pi / 2)))
    return ImageChops.multiply(crossed, disc(pose))


FIGURES: tuple[Callable[[Pose], Image.Image], ...] = (disc, ring, cross, triangle, stripes, checkers)


def random_pose(rng: np.random.Generator) -> Pose:
    radius = rng.uniform(0.24, 0.45) * CANVAS
    x, y = rng.uniform(radius, CANVAS - radius, size=2)
    return Pose(x, y, radius, rng.uniform(0, math.tau))


def background(rng: np.random.Generator) -> Image.Image:
    """A gradient between two near colours, crossed by a few thin lines."""
    first = rng.uniform(30, 225, size=3)
    second = np.clip(first + rng.normal(0, 25, size=3), 0, 255)
    slope = np.linspace(0, 1, CANVAS)[None, :, None]
    ramp = np.broadcast_to(first + slope * (second - first), (CANVAS, CANVAS, 3)).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(np.rot90(ramp, int(rng.integers(4)))))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(4)):
        shade = np.clip(first + rng.normal(0, 45, size=3), 0, 255).astype(int)
        ends = rng.uniform(0, CANVAS, size=4)
        draw.line(tuple(ends.tolist()), fill=tuple(shade.tolist()), width=int(rng.integers(2, 7)))
    return picture


def contrasting(rng: np.random.Generator, colour: Pixels) -> tuple[int, ...]:
    """A random colour at least 60 steps (Euclidean, RGB) away from `colour`."""
    while True:
        candidate = rng.integers(0, 256, size=3)
        if np.linalg.norm(candidate - colour.astype(float)) >= 60:
            return tuple(candidate.tolist())


def picture(rng: np.random.Generator, label: int) -> Pixels:
    """One (32, 32, 3) picture of class `label`."""
    pose = random_pose(rng)
    canvas = background(rng)
    under = np.asarray(canvas)[int(pose.y), int(pose.x)]
    canvas.paste(contrasting(rng, under), mask=FIGURES[label](pose))
    clean = np.asarray(canvas.reduce(OVERSAMPLING), dtype=np.float64)
    noise = rng.normal(0, rng.uniform(2, 14), size=clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def drawn(seed: int, count: int) -> Labelled:
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(CLASSES), size=count)
    return Labelled(np.stack([picture(rng, int(label)) for label in labels]), labels)


def held_out() -> Labelled:
    """The pictures no training sees; the leading ones are shipped."""
    return drawn(seed=32_001, count=HELD_OUT)


def dataset() -> Dataset:
    """Three sets from streams of random numbers of their own."""
    return Dataset(train=drawn(32_003, TRAIN), calibration=drawn(32_002, CALIBRATION), held_out=held_out())
