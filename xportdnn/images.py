"""Image files decoded as `caffe.io.load_image` decodes them, whole or not at all.

Pillow does the decoding and is imported only when a file is read. Nothing reaches the terminal: what a picture was
converted from, and why a file failed, comes back as values.
"""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xportdnn.errors import ImageError
from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image as PIL_Image

    from xportdnn.layers import Array

# Pillow's decoders that may be tried. Its others start programs (EPS) or take almost any file for a picture.
FORMATS = (
    "JPEG", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "HEIF", "ICO", "PCX", "QOI", "SGI",
    "SUN", "TGA",
)  # fmt: skip

# Pillow's mode -> the word for the user, and the conversions that end at "1", "L" or "RGB". Alpha is dropped as
# caffe.io does: the colours below transparent pixels count.
_MODES: dict[str, tuple[str, tuple[str, ...]]] = {
    "1": ("1-bit", ()),
    "L": ("gray", ()),
    "LA": ("gray+alpha", ("L",)),
    "La": ("gray+alpha", ("LA", "L")),
    "P": ("palette", ("RGBA", "RGB")),
    "PA": ("palette", ("RGBA", "RGB")),
    "RGB": ("RGB", ()),
    "RGBX": ("RGB", ("RGB",)),
    "RGBA": ("RGBA", ("RGB",)),
    "RGBa": ("RGBA", ("RGBA", "RGB")),
    "CMYK": ("CMYK", ("RGB",)),
    "YCbCr": ("YCbCr", ("RGB",)),
}
# EXIF orientation (CIPA DC-008, tag 0x0112) -> swap rows with columns, then reverse the rows, reverse the columns.
_ORIENTATION = 0x0112
_UPRIGHT = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
# What Pillow's decoders raise on damaged files; struct.error and MemoryError come from sizes read out of the damage.
_BROKEN = (
    OSError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, EOFError, RuntimeError,
    MemoryError, struct.error,
)  # fmt: skip
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Warning filters, the stderr descriptor and LOAD_TRUNCATED_IMAGES belong to the whole process.
_PROCESS_STATE = threading.Lock()


@dataclass(frozen=True, slots=True)
class Kind:
    """What a picture was before it became floats: a word to count by, and what else was done to it."""

    word: str
    first_of_several: bool = False
    turned_upright: bool = False

    def __str__(self) -> str:
        first = ", first frame of several" if self.first_of_several else ""
        turned = ", turned upright by EXIF" if self.turned_upright else ""
        return self.word + first + turned


def load(path: Path, channels: int) -> tuple[Array, Kind]:
    """A picture as `caffe.io.load_image(path, color=channels == 3)` gives it: float32 (H, W, channels) in [0, 1].

    The first frame, upright, without alpha; gray is repeated for 3 channels, colours become gray for 1 channel with
    scikit-image's weights. One sort of damage stays unseen: a JPEG that was cut but ends with an end marker. libjpeg
    fills the rest with gray and only warns, which Pillow does not pass on.

    Raises:
        ImageError: the file cannot be read or not decoded whole, or `channels` is neither 1 nor 3.
    """
    check(channels)
    try:
        return decode(read(path), channels)
    except ImageError as error:
        raise ImageError(f"{path}: {error.message}") from error


def check(channels: int) -> None:
    """Refuse, with an ImageError, a number of channels that no picture can be given."""
    if channels not in (1, 3):
        raise ImageError(f"the network's input has {channels} channels; images can give 1 (gray) or 3 (colours)")


def read(path: Path) -> bytes:
    """A file's bytes; the message of its ImageError does not say which file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from error


def decode(data: bytes, channels: int) -> tuple[Array, Kind]:
    """`load` for a file's bytes; the messages of its ImageErrors do not say which file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with _strict(data), Image.open(io.BytesIO(data), formats=_formats()) as image:
            several = bool(getattr(image, "is_animated", False))
            # Pillow itself turns TIFFs upright while loading; PNGs may carry their EXIF behind the pixels.
            before = _orientation(image) if image.format == "TIFF" else 1
            image.load()
            after = _orientation(image)
            word, values = _values(image)
    except UnidentifiedImageError:
        raise ImageError(_unknown(data)) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(f"too many pixels to be a calibration image: {error}") from None
    except _BROKEN as error:
        raise ImageError(f"broken or incomplete: {' '.join(str(error).split()) or type(error).__name__}") from error
    swap, rows, columns = _UPRIGHT[after]
    values = np.swapaxes(values, 0, 1) if swap else values
    values = values[:: -1 if rows else 1, :: -1 if columns else 1]
    return np.ascontiguousarray(_floats(values, channels)), Kind(word, several, max(before, after) > 1)


@contextmanager
def _strict(data: bytes) -> Iterator[None]:
    """Bombs and half-read files are errors here, other warnings are swallowed; afterwards all is as before."""
    from PIL import Image, ImageFile

    with _PROCESS_STATE, ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        stack.callback(setattr, ImageFile, "LOAD_TRUNCATED_IMAGES", ImageFile.LOAD_TRUNCATED_IMAGES)
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        if data.startswith(_TIFF):
            stack.enter_context(_mute())
        yield


@contextmanager
def _mute() -> Iterator[None]:
    """Keep libtiff quiet: past Python and Pillow it writes hundreds of lines about a broken file to descriptor 2."""
    try:
        stderr = os.dup(2)
    except OSError:
        # No stderr, nothing to hide.
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _formats() -> list[str]:
    """Those of FORMATS that this Pillow has."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _orientation(image: PIL_Image.Image) -> int:
    """The EXIF orientation 1 to 8; 1 where the EXIF data are absent or broken."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _BROKEN:
        return 1
    return value if value in _UPRIGHT else 1


def _values(image: PIL_Image.Image) -> tuple[str, NDArray[Any]]:
    """The kind's word and the values as stored: (H, W) bool, uint8, uint16, int32 or float32, or (H, W, 3) uint8."""
    if image.mode == "F":
        return "float gray", np.asarray(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return "16-bit gray", np.asarray(image)
    if image.mode not in _MODES:
        raise ImageError(f"its colours are stored as {image.mode}; convert it to RGB")
    word, conversions = _MODES[image.mode]
    if image.mode == "PA" or ("transparency" in image.info and "A" not in image.mode):
        word += "+transparency"
    for mode in conversions:
        image = image.convert(mode)
    return word, np.asarray(image)


def _floats(values: NDArray[Any], channels: int) -> Array:
    """float32 (H, W, channels) in [0, 1]: skimage.img_as_float, skimage.color.rgb2gray, then the cast of caffe.io."""
    if values.ndim == 3 and channels == 3:
        rgb: Array = np.divide(values, 255, dtype=np.float32)
        return rgb
    if values.ndim == 3:
        luminance: Array = (values / 255 @ np.array([0.2125, 0.7154, 0.0721])).astype(np.float32)
        return luminance[:, :, None]
    greatest = {"b": 1, "f": 1.0}.get(values.dtype.kind, 255 if values.dtype.itemsize == 1 else 65535)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= greatest):
        raise ImageError(f"its values reach from {low:g} to {high:g} instead of 0 to {greatest}; convert it to 8 bits")
    gray = (values / greatest)[:, :, None].astype(np.float32)
    return np.repeat(gray, 3, axis=2) if channels == 3 else gray


def _unknown(data: bytes) -> str:
    """Why no decoder took the file, as far as its first bytes tell."""
    start = data[:64].lstrip().lower()
    if not data:
        return "the file is empty"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer instead of the picture; fetch it with git lfs pull"
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page instead of a picture; download it again"
    if data[4:8] == b"ftyp":
        brand = "AVIF" if data[8:12] == b"avif" else "HEIF"
        return f"{brand}, which this Pillow cannot decode; convert it to JPEG or PNG"
    return "no image format that Pillow knows, or broken at its very start"
