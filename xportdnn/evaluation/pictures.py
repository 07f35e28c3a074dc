"""The pictures of an evaluation as network inputs, read one by one when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from xportdnn import images
from xportdnn.errors import ImageError
from xportdnn.evaluation.labels import Sample
from xportdnn.journal import Journal
from xportdnn.layers import Array, Shape
from xportdnn.lazy import np
from xportdnn.network import Value
from xportdnn.transformer import Preprocessing, suspicious


@dataclass(frozen=True)
class Pictures(Sequence[Mapping[Value, Array]]):
    """What to feed for every picture.

    Attributes:
        target: the network input they feed.
        shape: (C, H, W) of one picture as the network gets it.
    """

    samples: tuple[Sample, ...]
    preprocessing: Preprocessing
    target: Value
    shape: Shape

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> dict[Value, Array]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[Value, Array]]: ...

    def __getitem__(self, index: int | slice) -> dict[Value, Array] | list[dict[Value, Array]]:
        """(1, C, H, W) by the input's value.

        Raises:
            ImageError: the picture cannot be decoded whole; the message does not say which it is.
        """
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        image, _ = images.decode(images.read(self.samples[index].path), self.shape[0])
        return {self.target: self.preprocessing.apply(image, (self.shape[1], self.shape[2]))[np.newaxis]}


def introduce(pictures: Pictures, journal: Journal) -> None:
    """Say what the network is fed, from the first picture that can be read.

    Raises:
        ImageError: the network takes no pictures, or none can be read.
    """
    images.check(pictures.shape[0])
    for position, sample in enumerate(pictures.samples):
        try:
            (first,) = pictures[position].values()
        except ImageError:
            continue
        low, high = float(first.min()), float(first.max())
        journal.info(
            f"the network is fed {pictures.preprocessing.formula()}; {sample.name} gives {low:.6g} .. {high:.6g}"
        )
        if doubt := suspicious(low, high, pictures.preprocessing):
            journal.warn(doubt)
        return
    raise ImageError(f"none of the {len(pictures)} pictures can be decoded; is this the right folder?")
