"""The command line in this process, and what to give it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.desk import Desk, Ended, Run, made
from xportdnn import cli


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs the command line in this process."""

    def call(*arguments: object, debug: bool = False) -> Ended:
        capfdbinary.readouterr()
        code = cli._run([str(argument) for argument in arguments], debug)
        out, err = capfdbinary.readouterr()
        return Ended(code, out, err.decode())

    return call


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return made(tmp_path)
