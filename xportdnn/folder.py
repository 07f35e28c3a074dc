"""A calibration directory: which files look like images, and which of them are used.

Nothing here prints: what was left out, and why, comes back as values.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xportdnn.errors import ImageError, UsageError
from xportdnn.images import Kind, check, decode, read

# HEIF is listed although Pillow alone cannot read it, so that a phone's pictures are reported by name.
SUFFIXES = frozenset((
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".ico", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc",
    ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".qoi",
    ".ras", ".sgi", ".tga", ".tif", ".tiff", ".webp",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Folder:
    """A calibration directory: the files that look like images, and what else lies there.

    Attributes:
        names: of the files, sorted by their bytes, so that every machine has the same order.
        others: (".txt", 12) and so on, most frequent first; "" counts names without suffix, "." hidden files.
        folders: number of folders; they are not searched.
    """

    path: Path
    names: tuple[str, ...]
    others: tuple[tuple[str, int], ...]
    folders: int

    @property
    def files(self) -> tuple[Path, ...]:
        """The files in the order of their names."""
        return tuple(self.path / name for name in self.names)


@dataclass(frozen=True, slots=True)
class Picture:
    """A file that was decoded whole; `width` and `height` are those of the upright picture.

    A calibration set may hold thousands, and every worker a copy: no paths are kept.
    """

    folder: Path
    name: str
    sha256: str
    kind: Kind
    width: int
    height: int

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.name


@dataclass(frozen=True, slots=True)
class Choice:
    """The pictures to calibrate with, sorted by name.

    Attributes:
        skipped: (name, reason) of each file that was tried and could not be decoded, sorted by name.
        asked: how many pictures were wanted.
        found: how many files of the folder look like images.
    """

    pictures: tuple[Picture, ...]
    skipped: tuple[tuple[str, str], ...]
    asked: int
    found: int


def find(directory: Path) -> Folder:
    """The files of a directory that look like images by their suffix, not searching its folders.

    Raises:
        ImageError: no such directory, or no such file in it.
    """
    names: list[str] = []
    others: Counter[str] = Counter()
    folders = 0
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                suffix = Path(entry.name).suffix.lower()
                if entry.is_dir():
                    folders += 1
                elif entry.name.startswith("."):
                    others["."] += 1
                elif suffix in SUFFIXES and (entry.is_file() or entry.is_symlink()):
                    names.append(entry.name)
                else:
                    others[suffix] += 1
    except NotADirectoryError:
        raise ImageError(f"{directory} is a file; give the directory that holds the calibration images") from None
    except OSError as error:
        raise ImageError(f"{directory} cannot be read as a directory of images: {error.strerror}") from error
    counts = tuple(sorted(others.items(), key=lambda item: (-item[1], item[0])))
    if not names:
        raise ImageError(f"0 images in {directory}; {_content(counts, folders)}; give the folder that holds them")
    return Folder(directory, tuple(sorted(names, key=os.fsencode)), counts, folders)


def choose(
    folder: Folder, size: int, channels: int, seed: int | None = None, indices: Sequence[int] | None = None
) -> Choice:
    """The pictures to use: the first `size`, a random `size` with `seed`, or those at `indices` of `folder.files`.

    Every file is decoded here, so that none fails later. One that fails makes room for the next in order, except
    among `indices`. The random order is that of sha256("seed:name"): it depends on no library, and adding or removing
    a file leaves the order of the others.

    Raises:
        UsageError: `size` below 1, `seed` together with `indices`, or an index that does not exist or is repeated.
        ImageError: no file can be decoded, or the network's input has neither 1 nor 3 channels.
    """
    check(channels)
    order: Sequence[str] = folder.names
    if indices is not None:
        if seed is not None:
            raise UsageError("a calibration seed and calibration indices exclude each other; give one of them")
        order, size = _at(folder, indices), len(indices)
    elif seed is not None:
        order = sorted(folder.names, key=lambda name: hashlib.sha256(b"%d:" % seed + os.fsencode(name)).digest())
    if size < 1:
        raise UsageError(f"at least 1 calibration image is needed, not {size}")
    pictures: list[Picture] = []
    skipped: list[tuple[str, str]] = []
    for name in order:
        if len(pictures) == size:
            break
        try:
            pictures.append(_picture(folder.path, name, channels))
        except ImageError as error:
            skipped.append((name, error.message))
    reasons = tuple(sorted(skipped, key=lambda skip: os.fsencode(skip[0])))
    if not pictures:
        problems = [f"{name}: {reason}" for name, reason in reasons[:5]]
        problems += [f"and {len(reasons) - 5} more"] if reasons[5:] else []
        raise ImageError(f"none of the {len(reasons)} images tried in {folder.path} can be decoded", problems)
    pictures.sort(key=lambda picture: os.fsencode(picture.name))
    return Choice(tuple(pictures), reasons, size, len(folder.names))


def _picture(folder: Path, name: str, channels: int) -> Picture:
    data = read(folder / name)
    pixels, kind = decode(data, channels)
    height, width = pixels.shape[:2]
    return Picture(folder, name, hashlib.sha256(data).hexdigest(), kind, width, height)


def _at(folder: Folder, indices: Sequence[int]) -> list[str]:
    count = len(folder.names)
    for position, index in enumerate(indices):
        if not 0 <= index < count:
            raise UsageError(f"calibration index {index} does not exist; {folder.path} has 0 to {count - 1}")
        if index in indices[:position]:
            raise UsageError(f"calibration index {index} is given twice; each image can be used once")
    return [folder.names[index] for index in indices]


def _content(others: tuple[tuple[str, int], ...], folders: int) -> str:
    """What a directory without images holds: "it holds 12 files ending in .txt and 2 folders (not searched)"."""
    held = [_counted(count, suffix) for suffix, count in others[:4]]
    if others[4:]:
        held.append(f"{sum(count for _, count in others[4:])} other files")
    if folders:
        held.append(f"{folders} folder{'s' * (folders != 1)} (not searched)")
    if not held:
        return "it is empty"
    return "it holds " + " and ".join(filter(None, (", ".join(held[:-1]), held[-1])))


def _counted(count: int, suffix: str) -> str:
    files = "file" + "s" * (count != 1)
    if suffix == ".":
        return f"{count} hidden {files}"
    return f"{count} {files} ending in {suffix}" if suffix else f"{count} {files} without suffix"
