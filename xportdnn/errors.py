"""The errors a user can meet, and nothing else.

    XportdnnError
    ├── UsageError          the command line contradicts itself          exit code 2
    └── InputError          something the user gave cannot be used       exit code 1
        ├── PrototxtError   text that no prototxt parser accepts
        ├── NetworkError    a network that does not hold together
        ├── LayerError      one layer's own rule (the graph adds where it stands)
        ├── WeightsError    a caffemodel that is broken or belongs elsewhere
        ├── ImageError      no usable calibration image
        ├── CalibrationError  numbers that cannot become thresholds
        ├── FoldingError    a folded network that does not compute the same
        └── OutputError     a file that cannot be written

A message names the file, line or layer, the value found, and what to do about it. Problems of one kind are
reported together: `problems` holds them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence


class XportdnnError(Exception):
    """Base of every error meant for the user; never raised itself."""

    exit_code = 1

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join((self.message, *(f"  {problem}" for problem in self.problems)))


class UsageError(XportdnnError):
    """Options that contradict each other or cannot be read."""

    exit_code = 2


def refuse(problems: Sequence[str]) -> None:
    """Raise everything that is wrong with some options at once; nothing where nothing is.

    Raises:
        UsageError: with the problem itself, if it is the only one.
    """
    if len(problems) == 1:
        raise UsageError(problems[0])
    if problems:
        raise UsageError("these options cannot be used:", problems)


class InputError(XportdnnError):
    """A file, network, image or value that cannot be used."""


class PrototxtError(InputError):
    """Text that is not a prototxt; the message starts with `file:line:column`."""


class NetworkError(InputError):
    """A network whose layers, blobs or shapes contradict each other."""


class LayerError(InputError):
    """A layer's rule is broken; raised by layer modules without a place, which the graph adds."""


class WeightsError(InputError):
    """A caffemodel that cannot be read or does not belong to the prototxt."""


class ImageError(InputError):
    """No image of the calibration folder can be used, or a named one cannot."""


class CalibrationError(InputError):
    """The forward gave values from which no threshold can be made (NaN, infinity), or does not fit in memory."""


class FoldingError(InputError):
    """The folded network could not be shown to compute what the original does."""


class OutputError(InputError):
    """An output file that cannot be written where it was asked for."""
