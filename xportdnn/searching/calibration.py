"""The pictures that formats are found from: those of `--calibration_directory`, or some of those that are judged.

Of the latter the positions of `--calibration_indices` are those in the sorted names of all of `--images`, in one folder
or in one per class, as are the names that `--calibration_seed` draws from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from xportdnn import folder, pictures
from xportdnn.evaluation import labels
from xportdnn.evaluation.run import Subject
from xportdnn.folder import Choice, Folder, Picture
from xportdnn.journal import Journal
from xportdnn.options import Options
from xportdnn.pictures import CalibrationSet
from xportdnn.searching.options import SearchOptions


class Given(NamedTuple):
    """Pictures as the conversion is told of them.

    Attributes:
        options: of the conversion.
        copied: what the pictures of its folder are copies of, if it is made for it.
    """

    options: Mapping[str, Any]
    copied: tuple[Picture, ...] = ()


def calibration_set(options: SearchOptions, ground: Subject, journal: Journal) -> CalibrationSet:
    """The pictures for the ladder.

    Raises:
        ImageError: none can be read.
        UsageError: an index lies outside the folder.
    """
    if options.calibration_directory is not None:
        given = Options(options.deploy_model, options.weights, **options.calibration, **options.preprocessing)
        return pictures.calibration_set(given, ground.opened.net, journal)[0]
    choice = _of_images(options, ground, journal)
    return CalibrationSet(choice, ground.fed.preprocessing, ground.fed.target, ground.fed.shape)


@contextmanager
def of_conversion(options: SearchOptions, ground: Subject, journal: Journal) -> Iterator[Given]:
    """The same for the conversion, which reads one folder: pictures of several are copied into one.

    Raises:
        ImageError, UsageError: as above, but where the conversion itself looks for them.
    """
    if options.calibration_directory is not None:
        yield Given(options.calibration)
    elif not any("/" in sample.name for sample in ground.tests.samples):
        _told(journal)
        picked = {} if options.picks else {"calibration_indices": _spread(options, ground)}
        yield Given(options.calibration | picked)
    else:
        choice = _of_images(options, ground, journal)
        with TemporaryDirectory() as copies:
            for position, picture in enumerate(choice.pictures):
                copyfile(picture.path, Path(copies, f"{position:06}-{picture.path.name}"))
            size = len(choice.pictures)
            yield Given({"calibration_directory": copies, "calibration_size": size}, choice.pictures)


def _of_images(options: SearchOptions, ground: Subject, journal: Journal) -> Choice:
    _told(journal)
    names = tuple(sample.name for sample in labels.find(Path(options.images), None, None).samples)
    indices = options.calibration_indices if options.picks else _spread(options, ground)
    size, channels = options.calibration_size, ground.fed.shape[0]
    # one that cannot be decoded is told where all pictures are read
    return folder.choose(Folder(Path(options.images), names, (), 0), size, channels, options.calibration_seed, indices)


def _spread(options: SearchOptions, ground: Subject) -> tuple[int, ...]:
    """Positions in the sorted names, spread over the pictures that are judged."""
    judged = list(labels.spread(ground.tests.found, len(ground.tests.samples)))
    return tuple(judged[at] for at in labels.spread(len(judged), options.calibration_size))


def _told(journal: Journal) -> None:
    journal.info("no --calibration_directory: the formats are found from some of the pictures they are judged by")
