"""Decoded picture -> network input, with the arithmetic of `caffe.io.Transformer.preprocess`.

The order is Caffe's: resize, transpose, channel_swap, raw_scale, mean, input_scale; all in float32 except the weights
of the interpolation.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING

from xportdnn.errors import UsageError
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xportdnn.layers import Array, Shape


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """What `caffe.io.Transformer` is told about one input; None leaves a step out.

    Attributes:
        transpose: order of the axes of the (H, W, C) picture, (2, 0, 1) for (C, H, W).
        channel_swap: order of the channels after the transpose, (2, 1, 0) for BGR.
        raw_scale: factor before the mean is subtracted; pictures lie in [0, 1].
        mean: float32 (C,) or (C, H, W), in the network's order of channels.
        input_scale: factor after the mean is subtracted.

    Raises:
        UsageError: transpose or channel_swap is no permutation, or a factor is not finite.
    """

    transpose: tuple[int, ...] = (2, 0, 1)
    channel_swap: tuple[int, ...] | None = None
    raw_scale: float | None = None
    mean: Array | None = None
    input_scale: float | None = None

    def __post_init__(self) -> None:
        if sorted(self.transpose) != [0, 1, 2]:
            raise UsageError(f"transpose {_joined(self.transpose)} must hold 0, 1 and 2 once each, such as 2,0,1")
        if self.channel_swap is not None and sorted(self.channel_swap) != list(range(len(self.channel_swap))):
            raise UsageError(
                f"channel_swap {_joined(self.channel_swap)} must hold each channel once, counted from 0, such as 2,1,0"
            )
        for name, factor in (("raw_scale", self.raw_scale), ("input_scale", self.input_scale)):
            if factor is not None and not math.isfinite(factor):
                raise UsageError(f"{name} must be a finite number, it is {factor}")

    def check(self, shape: Shape) -> None:
        """Refuse a network input (C, H, W) for which these steps cannot work.

        As in caffe.io the picture is resized to (H, W) before it is transposed, so a transpose that exchanges x and y
        fits square inputs only.

        Raises:
            UsageError: naming what was given and what the input needs.
        """
        channels, height, width = shape
        given = tuple((height, width, channels)[axis] for axis in self.transpose)
        if given != shape:
            raise UsageError(
                f"transpose {_joined(self.transpose)} turns the picture of {_by((height, width, channels))} into "
                f"{_by(given)}; the network's input is {_by(shape)}"
            )
        if self.channel_swap is not None and len(self.channel_swap) != channels:
            raise UsageError(
                f"channel_swap {_joined(self.channel_swap)} orders {len(self.channel_swap)} channels; the network's "
                f"input has {channels}"
            )
        if self.mean is not None and self.mean.shape not in ((channels,), shape):
            raise UsageError(f"the mean is {_by(self.mean.shape)}; the network's input is {_by(shape)}")

    def apply(self, image: Array, size: tuple[int, int]) -> Array:
        """The network's input, float32 (C, H, W), from a picture, float32 (H', W', C); `size` is (H, W).

        Raises:
            UsageError: see `check`.
        """
        self.check((image.shape[2], *size))
        x = resize(image, size) if image.shape[:2] != size else image
        x = x.transpose(self.transpose)
        if self.channel_swap is not None:
            x = x[list(self.channel_swap)]
        return self._scaled(np.ascontiguousarray(x))

    def reach(self) -> tuple[float, float]:
        """The least and greatest value that any picture can become: black and white through the formula."""
        black, white = (self._scaled(np.full((1, 1, 1), pixel, np.float32)) for pixel in (0, 1))
        return float(min(black.min(), white.min())), float(max(black.max(), white.max()))

    def formula(self) -> str:
        """The arithmetic in words, such as "(pixel * 255 - mean [104, 117, 123]) * 1, channels 2,1,0"."""
        text = "pixel" if self.raw_scale is None else f"pixel * {self.raw_scale:g}"
        if self.mean is not None:
            mean = self.mean
            values = f"[{', '.join(f'{value:g}' for value in mean)}]" if mean.ndim == 1 else _by(mean.shape)
            text = f"{text} - mean {values}"
        if self.input_scale is not None:
            text = f"({text}) * {self.input_scale:g}" if self.mean is not None else f"{text} * {self.input_scale:g}"
        if self.channel_swap is not None:
            text += f", channels {_joined(self.channel_swap)}"
        if self.transpose != (2, 0, 1):
            text += f", transposed {_joined(self.transpose)}"
        return text

    def _scaled(self, x: Array) -> Array:
        """raw_scale, mean and input_scale, each rounded to float32 as Caffe's in-place operations are."""
        if self.raw_scale is not None:
            x = x * np.float32(self.raw_scale)
        if self.mean is not None:
            x = x - (self.mean[:, None, None] if self.mean.ndim == 1 else self.mean)
        if self.input_scale is not None:
            x = x * np.float32(self.input_scale)
        return x


def resize(image: Array, size: tuple[int, int]) -> Array:
    """`caffe.io.resize_image`: bilinear at pixel centres, no anti-aliasing; float32 (H', W', C) to (H, W, C).

    The picture is stretched to [0, 1] by its own least and greatest value, interpolated in float64, and stretched
    back. Enlarging reads up to half a pixel beyond the border, where scikit-image (mode "constant", cval 0) sees 0,
    that is the least value of the whole picture: the outermost pixels of an enlarged picture are darkened. The `warp`
    of the scikit-image versions that Caffe was used with and `resize` of version 0.26 agree in that.
    """
    low, high = image.min(), image.max()
    if not high > low:
        return np.full((*size, image.shape[2]), low, np.float32)
    above, below, *row_weights = _neighbours(image.shape[0], size[0])
    left, right, *column_weights = _neighbours(image.shape[1], size[1])
    # Of a large photograph most rows are never read.
    read = np.unique(np.concatenate((above, below)))
    rows = (image.take(read, axis=0) - low) / (high - low)
    narrow = rows.take(left, axis=1) * column_weights[0][:, None]
    narrow += rows.take(right, axis=1) * column_weights[1][:, None]
    small = narrow.take(np.searchsorted(read, above), axis=0) * row_weights[0][:, None, None]
    small += narrow.take(np.searchsorted(read, below), axis=0) * row_weights[1][:, None, None]
    resized: Array = (small * (high - low) + low).astype(np.float32)
    return resized


def _neighbours(
    count: int, wanted: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """The two pixels around each of `wanted` samples of a line of `count`, and their weights: 0 beyond the border."""
    centre = (np.arange(wanted) + 0.5) * count / wanted - 0.5
    first = np.floor(centre).astype(np.intp)
    share = centre - first
    weights = np.where(first < 0, 0, 1 - share), np.where(first + 1 >= count, 0, share)
    return first.clip(0), (first + 1).clip(max=count - 1), *weights


def mean_from(text: str, channels: int, size: tuple[int, int]) -> tuple[Array, str | None]:
    """The mean of `--mean_value` as float32 (C,) or (C, H, W), and a note where it was cropped.

    `text` is one value for all channels, one value per channel, or the path of a .npy or .binaryproto file of shape
    (C,), (C, H, W) or (1, C, H, W) in the network's order of channels. A mean larger than the input is cropped to its
    centre, as Caffe's data layers do in the TEST phase (data_transformer.cpp).

    Raises:
        UsageError: not numbers, another number of values, or a file that cannot be read or does not fit.
        WeightsError: a .binaryproto that is broken.
    """
    path = Path(text)
    is_file = path.suffix.lower() in (".npy", ".binaryproto")
    with np.errstate(over="ignore"):
        mean = _mean_file(path) if is_file else _mean_numbers(text, channels)
    if not np.isfinite(mean).all():
        raise UsageError(f"mean_value {text}: every value must be finite in float32")
    found, wanted = mean.shape, (channels, *size)
    # A mean image has a batch of one, and a gray one perhaps no axis for its channel.
    mean = mean[0] if mean.ndim == 4 and found[0] == 1 else mean[None] if mean.ndim == 2 else mean
    if mean.size == 1 or mean.shape in ((channels,), (channels, 1, 1)):
        return np.broadcast_to(mean.reshape(-1), channels).copy(), None
    if mean.ndim != 3 or mean.shape[0] != channels or mean.shape[1] < size[0] or mean.shape[2] < size[1]:
        raise UsageError(f"mean_value {text}: the mean is {_by(found)}; the network's input is {_by(wanted)}")
    if mean.shape == wanted:
        return mean, None
    top, left = ((whole - part) // 2 for whole, part in zip(mean.shape[1:], size, strict=True))
    note = f"mean_value {text}: the centre {_by(wanted)} of the {_by(found)} mean is used, as Caffe does when testing"
    return np.ascontiguousarray(mean[:, top : top + size[0], left : left + size[1]]), note


def _mean_numbers(text: str, channels: int) -> Array:
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        raise UsageError(
            f"mean_value {text} is neither numbers separated by commas nor a .npy or .binaryproto file"
        ) from None
    if len(values) not in (1, channels):
        raise UsageError(
            f"mean_value {text} has {len(values)} values; the network's input has {channels} channels: "
            f"give {channels} values, or one for all"
        )
    return np.array(values).astype(np.float32)


def _mean_file(path: Path) -> Array:
    if path.suffix.lower() == ".binaryproto":
        from xportdnn.caffemodel import read_blob

        return read_blob(path)
    try:
        # NumPy warns of headers written by Python 2, which Caffe's own mean files are.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mean = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise UsageError(f"mean_value {path} cannot be read: {error.strerror}") from error
    except (ValueError, SyntaxError, TokenError, OverflowError, MemoryError) as error:
        raise UsageError(f"mean_value {path} is not a complete .npy file of real numbers") from error
    if mean.dtype.kind not in "fiu":
        raise UsageError(f"mean_value {path} is not a complete .npy file of real numbers; it holds {mean.dtype}")
    return mean.astype(np.float32)


def suspicious(minimum: float, maximum: float, preprocessing: Preprocessing) -> str | None:
    """One sentence where the options can hardly be meant, with those that probably were; None where they look sound.

    The options are judged by what black and white become, not by one picture, which may be dark; `minimum` and
    `maximum` of the first picture are only told. Unsound are values above 1000, values within 0.01 of each other, and
    values that keep nearly the same distance from 0 whatever the picture.
    """
    if _sound(preprocessing):
        return None
    low, high = preprocessing.reach()
    what = (
        f"the options make every picture {low:.4g} to {high:.4g} (the first: {minimum:.4g} to {maximum:.4g}), "
        f"which is {'far too large' if max(-low, high) > 1000 else 'almost one value'} for a network"
    )
    for meant in _likely(preprocessing):
        if _sound(meant):
            low, high = meant.reach()
            return f"{what}; perhaps {_options(meant)} was meant, which gives {low:.4g} to {high:.4g}"
    return f"{what}; pixels are 0 to 1, and the network sees (pixel * raw_scale - mean_value) * input_scale"


def _sound(preprocessing: Preprocessing) -> bool:
    low, high = preprocessing.reach()
    largest = max(-low, high)
    spread = abs(_factor(preprocessing.raw_scale) * _factor(preprocessing.input_scale))
    return largest <= 1000 and spread > 0.01 and spread > 0.05 * largest


def _likely(given: Preprocessing) -> list[Preprocessing]:
    """What may have been meant, the likeliest first: all have pixels of 0 to 255 before the mean."""
    raw_scale, mean = _factor(given.raw_scale), given.mean
    meant = replace(given, raw_scale=255.0)
    likely = [meant, replace(meant, input_scale=None)]
    if 0 < raw_scale < 1:
        # The factor that belongs behind the mean stands before it; the mean may be in the units of either side.
        behind = replace(meant, input_scale=raw_scale * _factor(given.input_scale))
        likely.insert(0, behind)
        if mean is not None and mean.ndim == 1:
            likely.insert(0, replace(behind, mean=mean / np.float32(raw_scale)))
    return likely


def _factor(scale: float | None) -> float:
    return 1.0 if scale is None else scale


def _options(preprocessing: Preprocessing) -> str:
    mean, input_scale = preprocessing.mean, preprocessing.input_scale
    text = f"--raw_scale {preprocessing.raw_scale:g}"
    if mean is not None and mean.ndim == 1:
        text += f" --mean_value {','.join(f'{value:.4g}' for value in mean)}"
    return text if input_scale is None else f"{text} --input_scale {input_scale:g}"


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _joined(order: Sequence[int]) -> str:
    return ",".join(map(str, order))
