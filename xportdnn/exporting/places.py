"""Where an export writes: no two outputs in one place, nothing left behind where it fails, nothing old unmentioned."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xportdnn import output
from xportdnn.errors import OutputError, UsageError
from xportdnn.exporting.options import ExportOptions

FOLDERS = ("layers", "golden")


def check(options: ExportOptions) -> None:
    """Make sure that everything can be written later; folders are made.

    Raises:
        UsageError: a place is an input.
        OutputError: a place cannot be written.
    """
    for path in (options.npz, options.caffemodel):
        if path is not None:
            output.check(path, options.files)
    if options.c_dir is not None:
        if Path(options.c_dir).exists() and not Path(options.c_dir).is_dir():
            raise OutputError(f"{options.c_dir}: is a file; --c_dir takes a folder")
        output.check(str(Path(options.c_dir, "network.c")), options.files)


def check_apart(options: ExportOptions, folder: Iterable[str]) -> None:
    """Make sure that no file of the C folder takes the place of another output.

    Raises:
        UsageError: one does.
    """
    written = {os.path.realpath(path) for path in folder}
    for option, path in (("--npz", options.npz), ("--caffemodel", options.caffemodel)):
        if path is not None and os.path.realpath(path) in written:
            raise UsageError(f"{option} {path} is a file of --c_dir {options.c_dir}, too; give it another name")


@contextmanager
def tidy(options: ExportOptions) -> Iterator[None]:
    """Folders that were made for the outputs, and are empty because something failed, do not stay."""
    new = [folder for folder in _folders(options) if not folder.exists()]
    try:
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):
                folder.rmdir()
        raise


def _folders(options: ExportOptions) -> Iterator[Path]:
    """Those that outputs lie in, inner ones first."""
    if options.c_dir is not None:
        yield from (Path(options.c_dir, name) for name in FOLDERS)
        yield from (Path(options.c_dir), *Path(options.c_dir).parents)
    for path in (options.npz, options.caffemodel):
        if path is not None:
            yield from Path(path).parents


def left_over(folder: str, written: Iterable[str]) -> list[str]:
    """The headers of an earlier export in a C folder that this one has not written over."""
    known = set(written)
    found = (path for name in FOLDERS for path in sorted(Path(folder, name).glob("*.h")))
    return [path.relative_to(folder).as_posix() for path in found if str(path) not in known]
