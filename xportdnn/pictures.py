"""The calibration set of a run: which pictures, through which steps, as network inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from xportdnn import folder, images
from xportdnn.errors import NetworkError
from xportdnn.folder import Choice
from xportdnn.journal import Journal
from xportdnn.layers import Array, Shape
from xportdnn.lazy import np
from xportdnn.network import Net, Value
from xportdnn.options import DEFAULT_DIMS, DEFAULT_MEAN, DEFAULT_SWAP, Options
from xportdnn.transformer import Preprocessing, mean_from, suspicious


@dataclass(frozen=True)
class CalibrationSet(Sequence[Mapping[Value, Array]]):
    """The chosen pictures and what is done to them.

    Attributes:
        target: the network input they feed.
        shape: (C, H, W) of one picture as the network gets it.
    """

    choice: Choice
    preprocessing: Preprocessing
    target: Value
    shape: Shape

    def __len__(self) -> int:
        return len(self.choice.pictures)

    @overload
    def __getitem__(self, index: int) -> dict[Value, Array]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[Value, Array]]: ...

    def __getitem__(self, index: int | slice) -> dict[Value, Array] | list[dict[Value, Array]]:
        """What to feed for a picture, read when asked for: (1, C, H, W)."""
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        return {self.target: self.load(self.choice.pictures[index].path)[np.newaxis]}

    def load(self, path: Path) -> Array:
        """One picture as the network gets it, (C, H, W)."""
        image, _ = images.load(path, self.shape[0])
        return self.preprocessing.apply(image, (self.shape[1], self.shape[2]))


def input_shape(net: Net, dims: Shape | None, journal: Journal) -> tuple[Value, Shape]:
    """The one input that pictures can feed, and its shape with batch 1.

    Raises:
        NetworkError: the network has several inputs, or one that is no picture.
    """
    if len(net.inputs) != 1:
        names = ", ".join(value.blob for value in net.inputs)
        raise NetworkError(
            f"{net.source.name}: the network reads {len(net.inputs)} inputs ({names or 'none'}); calibration pictures "
            "can feed only one. Cut the network to the part behind its picture, or use --quant_type DynamicFixed"
        )
    value = net.inputs[0]
    declared = net.declared.get(value)
    if declared is None:
        chosen = dims or DEFAULT_DIMS
        said = "from --dims" if dims else "the default of --dims"
        journal.info(f"input '{value.blob}' has no shape in {net.source.name}; {_by(chosen)} is used, {said}")
        return value, (1, *chosen)
    if len(declared) != 4:
        raise NetworkError(
            f"{net.where(net.layers[value.writer])}: '{value.blob}' has the shape {list(declared)}; pictures need "
            "(batch, channels, height, width)"
        )
    if dims is not None and dims != declared[1:]:
        journal.warn(
            f"--dims {_by(dims)} differs from the {_by(declared[1:])} of input '{value.blob}' in {net.source.name}: "
            "the network is reshaped for calibration, the file keeps its shape"
        )
    return value, (1, *(dims or declared[1:]))


def choose(options: Options, channels: int, journal: Journal) -> Choice:
    """The pictures of the calibration set, with what was skipped said.

    Raises:
        ImageError: no picture can be used.
        UsageError: an index lies outside the folder.
    """
    assert options.calibration_directory is not None
    found = folder.find(Path(options.calibration_directory))
    choice = folder.choose(
        found, options.calibration_size, channels, options.calibration_seed, options.calibration_indices
    )
    for name, reason in choice.skipped:
        journal.warn(f"{name}: skipped, {reason}")
    if len(choice.pictures) < choice.asked:
        journal.warn(
            f"{options.calibration_directory}: {choice.asked} pictures asked for, {len(choice.pictures)} found and used"
        )
    return choice


def preprocessing(options: Options, shape: Shape, journal: Journal) -> Preprocessing:
    """The steps from picture to input; defaults that cannot apply to this many channels are dropped and said so.

    Raises:
        UsageError: an option that the user gave cannot apply.
    """
    channels, height, width = shape
    swap, mean_text = options.channel_swap, options.mean_value
    dropped = []
    if swap is None:
        swap = DEFAULT_SWAP if channels == len(DEFAULT_SWAP) else None
        dropped += [] if swap else [f"channel_swap {','.join(map(str, DEFAULT_SWAP))}"]
    if mean_text is None:
        mean_text = DEFAULT_MEAN if channels == 3 else None
        dropped += [] if mean_text else [f"mean_value {DEFAULT_MEAN}"]
    if dropped:
        journal.info(f"the network has {channels} channel(s): without the default {' and '.join(dropped)}")
    mean = None
    if mean_text is not None:
        mean, note = mean_from(mean_text, channels, (height, width))
        if note:
            journal.info(note)
    steps = Preprocessing(options.transpose, swap, options.raw_scale, mean, options.input_scale)
    steps.check(shape)
    return steps


def calibration_set(options: Options, net: Net, journal: Journal) -> tuple[CalibrationSet, Shape]:
    """Everything about the pictures, and the network's input shape, before any weight is read.

    Raises:
        ImageError, NetworkError, UsageError: see the functions above.
    """
    target, shape = input_shape(net, options.dims, journal)
    steps = preprocessing(options, shape[1:], journal)
    found = CalibrationSet(choose(options, shape[1], journal), steps, target, shape[1:])
    first = found.load(found.choice.pictures[0].path)
    low, high = float(first.min()), float(first.max())
    journal.info(f"the network is fed {steps.formula()}; {found.choice.pictures[0].name} gives {low:.6g} .. {high:.6g}")
    if doubt := suspicious(low, high, steps):
        journal.warn(doubt)
    return found, shape


def _by(shape: Shape) -> str:
    return ",".join(map(str, shape))
