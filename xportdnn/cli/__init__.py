"""The command line: `xportdnn` alone is the conversion, its subcommands stand beside it.

Nothing but click is imported before a command runs, and of the commands only that one.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence

import click

from xportdnn.cli.conversion import conversion
from xportdnn.errors import XportdnnError

INTERRUPTED = 130
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 1 bad input, 2 bad usage, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # two threads of OpenBLAS stall when anything else runs, and one gives the same sums on every machine
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code = _run(given, debug="--debug" in given)
    # what is alive now dies with the process: no need to search it for cycles, a tenth of a short run
    gc.freeze()
    sys.exit(code)


def _run(arguments: list[str], debug: bool) -> int:
    try:
        code = conversion.main(arguments, prog_name="xportdnn", standalone_mode=False)
    except click.ClickException as error:
        return _failed(f"{error.format_message()} (see `xportdnn --help`)", error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _failed("interrupted, nothing was written", INTERRUPTED)
    except XportdnnError as error:
        if debug:
            raise
        return _failed(str(error), error.exit_code)
    except BrokenPipeError:
        # the reader of our output is gone; keep Python from complaining once more while it shuts down
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        return _failed("out of memory; use fewer pictures (--calibration_size) or a smaller network", 1)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.errno in _FULL:
            return _failed(f"standard output or a temporary file cannot be written: {error.strerror}", 1)
        return _failed(f"this is a fault of xportdnn: {type(error).__name__}: {error}; --debug shows where", 1)
    return code if isinstance(code, int) else 0


def _failed(message: str, code: int) -> int:
    click.echo(f"xportdnn: error: {message}", err=True)
    return code
