"""The commands beside the conversion: named in its help without being imported."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from xportdnn.cli import commands as beside
from xportdnn.cli.commands import SUMMARIES
from xportdnn.cli.conversion import conversion

NO_COMMANDS = {"arguments", "commands", "console", "conversion"}


def command(name: str) -> click.Command:
    found = conversion.get_command(click.Context(conversion), name)
    assert found is not None
    return found


def test_every_module_of_a_command_is_named() -> None:
    modules = {path.stem for path in Path(beside.__file__).parent.glob("[a-z]*.py")}
    assert set(SUMMARIES) == modules - NO_COMMANDS


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_summary_is_how_the_command_s_own_help_begins(name: str) -> None:
    found = command(name)
    assert found is getattr(import_module(f"xportdnn.cli.{name}"), name)
    assert found.name == name
    paragraph = " ".join((found.help or "").split("\n\n")[0].split())
    assert paragraph == SUMMARIES[name]


def test_what_is_no_command() -> None:
    assert conversion.get_command(click.Context(conversion), "arguments") is None
    ended = CliRunner().invoke(conversion, ["simulat"])
    assert ended.exit_code == 2
    assert "No such command 'simulat'" in ended.output


def test_the_help_lists_them() -> None:
    said = CliRunner().invoke(conversion, ["--help"]).output
    listed = [line.split()[0] for line in said.partition("Commands:")[2].splitlines()[1:] if line.startswith("  ")]
    assert listed[: len(SUMMARIES)] == sorted(SUMMARIES)
