"""Which pictures are evaluated, and what each of them shows.

Labels come from a file with a line `name label` per picture, or from a folder per class. A label is the index of a
class, counted from 0 as the network's output counts them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from xportdnn import folder
from xportdnn.errors import InputError, UsageError
from xportdnn.folder import SUFFIXES

_NAMED = 5  # problems of one kind that are told one by one


class Sample(NamedTuple):
    """A picture to evaluate; `name` is its path below the folder, with slashes."""

    path: Path
    name: str
    label: int | None


@dataclass(frozen=True)
class TestSet:
    """The pictures, sorted by the bytes of their names.

    Attributes:
        classes: label -> name, where folders name the classes.
        found: how many pictures there were to choose from.
        notes: what may be an oversight, one sentence each.
    """

    samples: tuple[Sample, ...]
    classes: tuple[str, ...] = ()
    found: int = 0
    notes: tuple[str, ...] = ()

    __test__ = False  # pytest would take the class for tests

    @property
    def labelled(self) -> bool:
        return any(sample.label is not None for sample in self.samples)


def find(directory: Path, labels: Path | None, size: int | None) -> TestSet:
    """The pictures of a directory with their labels.

    Pictures lie in the directory itself, or, where none does, in its sub-folders. Without `labels` sub-folders are
    classes: their sorted names count from 0, or are the labels themselves if all are whole numbers.

    Args:
        size: how many pictures to take, spread evenly over the sorted names; None takes all.

    Raises:
        ImageError: there are no pictures.
        InputError: the label file cannot be read, pictures have no label, or two folders mean the same class.
        UsageError: `size` is below 1.
    """
    if size is not None and size < 1:
        raise UsageError(f"--images_size must be at least 1, it is {size}")
    folders = _folders(directory)
    if not folders:
        paths = folder.find(directory).files
        samples = [Sample(path, path.name, None) for path in paths]
        return _chosen(samples, (), labels, size)
    classes, by_folder = _classes(folders)
    samples = [
        Sample(path, f"{sub.name}/{path.name}", None if labels else by_folder[sub])
        for sub in folders
        for path in _pictures(sub)
    ]
    return _chosen(samples, () if labels else classes, labels, size)


def read(path: Path) -> dict[str, int]:
    """Picture -> label, from lines `name label`; names may hold blanks.

    Raises:
        InputError: the file cannot be read, or every line that is wrong.
    """
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    found: dict[str, int] = {}
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        name, _, label = line.strip().replace("\t", " ").rpartition(" ")
        name = name.strip().removeprefix("./")
        if not line.strip():
            continue
        if not name or not (label.isascii() and label.isdigit()):
            problems.append(f"line {number}: '{line.strip()}' is not `name label`, the label a number from 0")
        elif found.setdefault(name, int(label)) != int(label):
            problems.append(f"line {number}: '{name}' has the label {label}, and {found[name]} before")
    if problems:
        raise InputError(f"{path}: labels that cannot be read:", listed(problems))
    return found


def check_range(samples: Iterable[Sample], classes: int, output: str, others: Sequence[str] = ()) -> None:
    """Make sure that every label is one of the output's classes.

    Args:
        others: outputs that the labels may be meant for.

    Raises:
        InputError: naming the pictures whose label is not.
    """
    outside = [f"{sample.name}: {sample.label}" for sample in samples if (sample.label or 0) >= classes]
    if outside:
        remedy = (
            f"; if they belong to another output, name it by --score_blob, of {', '.join(others)}" if others else ""
        )
        raise InputError(
            f"'{output}' has {classes} classes, 0 to {classes - 1}; labels that lie outside: {len(outside)}, "
            f"{first(outside)}{remedy}"
        )


def spread(total: int, size: int) -> Iterator[int]:
    """`size` positions of 0 .. total - 1, or all, evenly spread, so that sorted names are not all of one class."""
    taken = min(size, total)
    return (position * total // taken for position in range(taken))


def listed(problems: Sequence[str]) -> list[str]:
    """The first problems, and how many more there are."""
    more = [f"and {len(problems) - _NAMED} more"] if len(problems) > _NAMED else []
    return [*problems[:_NAMED], *more]


def first(names: Sequence[str]) -> str:
    """The same in a sentence: `a, b, c and 7 more`."""
    shown, more = ", ".join(names[:_NAMED]), len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _chosen(samples: list[Sample], classes: tuple[str, ...], labels: Path | None, size: int | None) -> TestSet:
    notes: list[str] = []
    total = len(samples)
    if labels is not None:
        samples, notes = _labelled(samples, labels)
    if size is not None and size > total:
        notes.append(f"{size} pictures asked for, {total} found and used")
    if size is not None and size < total:
        samples = [samples[position] for position in spread(total, size)]
    return TestSet(tuple(samples), classes, total, tuple(notes))


def _labelled(samples: Iterable[Sample], path: Path) -> tuple[list[Sample], list[str]]:
    given = read(path)
    found = [Sample(sample.path, sample.name, given.pop(sample.name, None)) for sample in samples]
    without = [sample.name for sample in found if sample.label is None]
    absent = f"labels without picture: {len(given)}" + (f", {first(sorted(given))}" if given else "")
    if without:
        raise InputError(
            f"{path}: pictures without label: {len(without)}, {first(without)}; {absent}; every picture needs a line "
            "`name label`, the name as in the folder"
        )
    return found, [f"{path}: {absent}"] if given else []


def _classes(folders: Sequence[Path]) -> tuple[tuple[str, ...], dict[Path, int]]:
    """The names by label, and the label of every folder; there are no names where the folders are numbered."""
    names = [sub.name for sub in folders]
    if not all(name.isascii() and name.isdigit() for name in names):
        return tuple(names), {sub: label for label, sub in enumerate(folders)}
    numbered: dict[int, str] = {}
    for name in names:
        other = numbered.setdefault(int(name), name)
        if other != name:
            raise InputError(f"{folders[0].parent}: the folders {other} and {name} both stand for class {int(name)}")
    return (), {sub: int(sub.name) for sub in folders}


def _folders(directory: Path) -> list[Path]:
    """The sub-folders, if the pictures lie in them; none if pictures lie in the directory itself."""
    if not directory.is_dir() or _pictures(directory):
        return []
    folders = [entry for entry in directory.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    return sorted(folders, key=_name_bytes) if any(_pictures(sub) for sub in folders) else []


def _pictures(directory: Path) -> list[Path]:
    found = [
        entry
        for entry in directory.iterdir()
        if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and not entry.is_dir()
    ]
    return sorted(found, key=_name_bytes)


def _name_bytes(path: Path) -> bytes:
    return os.fsencode(path.name)
