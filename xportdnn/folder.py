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


@dataclass(frozen=True)
class Folder:
    """A calibration directory: the files that look like images, and what else lies there.

    Attributes:
        files: sorted by the bytes of their names, so that every machine has the same order.
        others: (".txt", 12) and so on, most frequent first; "" counts names without suffix, "." hidden files.
        folders: number of folders; they are not searched.
    """

    path: Path
    files: tuple[Path, ...]
    others: tuple[tuple[str, int], ...]
    folders: int


@dataclass(frozen=True)
class Picture:
    """A file that was decoded whole; `width` and `height` are those of the upright picture."""

    path: Path
    name: str
    sha256: str
    kind: Kind
    width: int
    height: int


@dataclass(frozen=True)
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
    files: list[Path] = []
    others: Counter[str] = Counter()
    folders = 0
    try:
        for entry in directory.iterdir():
            suffix = entry.suffix.lower()
            if entry.is_dir():
                folders += 1
            elif entry.name.startswith("."):
                others["."] += 1
            elif suffix in SUFFIXES and (entry.is_file() or entry.is_symlink()):
                files.append(entry)
            else:
                others[suffix] += 1
    except NotADirectoryError:
        raise ImageError(f"{directory} is a file; give the directory that holds the calibration images") from None
    except OSError as error:
        raise ImageError(f"{directory} cannot be read as a directory of images: {error.strerror}") from error
    counts = tuple(sorted(others.items(), key=lambda item: (-item[1], item[0])))
    if not files:
        raise ImageError(f"0 images in {directory}; {_content(counts, folders)}; give the folder that holds them")
    return Folder(directory, tuple(sorted(files, key=_name_bytes)), counts, folders)


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
    order: Sequence[Path] = folder.files
    if indices is not None:
        if seed is not None:
            raise UsageError("a calibration seed and calibration indices exclude each other; give one of them")
        order, size = _at(folder, indices), len(indices)
    elif seed is not None:
        order = sorted(folder.files, key=lambda path: hashlib.sha256(b"%d:" % seed + _name_bytes(path)).digest())
    if size < 1:
        raise UsageError(f"at least 1 calibration image is needed, not {size}")
    pictures: list[Picture] = []
    skipped: list[tuple[Path, str]] = []
    for path in order:
        if len(pictures) == size:
            break
        try:
            pictures.append(_picture(path, channels))
        except ImageError as error:
            skipped.append((path, error.message))
    skipped.sort(key=lambda skip: _name_bytes(skip[0]))
    reasons = tuple((path.name, reason) for path, reason in skipped)
    if not pictures:
        problems = [f"{name}: {reason}" for name, reason in reasons[:5]]
        problems += [f"and {len(reasons) - 5} more"] if reasons[5:] else []
        raise ImageError(f"none of the {len(reasons)} images tried in {folder.path} can be decoded", problems)
    pictures.sort(key=lambda picture: _name_bytes(picture.path))
    return Choice(tuple(pictures), reasons, size, len(folder.files))


def _picture(path: Path, channels: int) -> Picture:
    data = read(path)
    pixels, kind = decode(data, channels)
    height, width = pixels.shape[:2]
    return Picture(path, path.name, hashlib.sha256(data).hexdigest(), kind, width, height)


def _at(folder: Folder, indices: Sequence[int]) -> list[Path]:
    count = len(folder.files)
    for position, index in enumerate(indices):
        if not 0 <= index < count:
            raise UsageError(f"calibration index {index} does not exist; {folder.path} has 0 to {count - 1}")
        if index in indices[:position]:
            raise UsageError(f"calibration index {index} is given twice; each image can be used once")
    return [folder.files[index] for index in indices]


def _name_bytes(path: Path) -> bytes:
    return os.fsencode(path.name)


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
