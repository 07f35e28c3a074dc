"""The README's tables and docs/check.md are those of the code. `python -m tests.test_docs` writes them anew."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
import pytest

from tests.check.page import PAGE, rules_page
from xportdnn.choices import Matrix
from xportdnn.cli.conversion import conversion
from xportdnn.matrix import table
from xportdnn.version import __version__

ROOT = Path(__file__).parent.parent


def options_table() -> str:
    """The conversion's options as a Markdown table, from the same objects as `--help`."""
    rows = ["| option | meaning | default |", "|---|---|---|"]
    context = click.Context(conversion)
    for parameter in conversion.params:
        assert isinstance(parameter, click.Option)
        record = parameter.get_help_record(context)
        assert record is not None
        name, text = record
        text, _, default = re.sub(r"\s+", " ", text).partition(" [default: ")
        rows.append(f"| `{name.replace('|', chr(92) + '|')}` | {text} | {default.rstrip(']')} |")
    return "\n".join(rows)


def layer_table(matrix: Matrix) -> str:
    rows = ["| layer | Xilinx | DynamicFixed |", "|---|---|---|"]
    return "\n".join([*rows, *(f"| {name} | {xilinx} | {dynamic} |" for name, xilinx, dynamic in table(matrix))])


def means(page: str) -> str:
    """The means of a page in docs/, which `python -m benchmarks.accuracy` or `benchmarks.dynamic_fixed` writes."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return "\n".join(line for line in text.partition("## All networks")[2].splitlines() if line.startswith("|"))


def sections() -> dict[str, str]:
    tables = {f"matrix {matrix.value}": layer_table(matrix) for matrix in Matrix}
    measured = {"accuracy": means("accuracy.md"), "dynamic fixed": means("dynamic_fixed.md")}
    return {"options": options_table(), **measured, **tables}


def written(text: str) -> str:
    """The README with every section filled from the code."""
    for name, body in sections().items():
        head, _, rest = text.partition(f"<!-- {name} -->\n")
        text = f"{head}<!-- {name} -->\n{body}\n{rest[rest.index(f'<!-- /{name} -->') :]}"
    return text


@pytest.mark.parametrize("name", sorted(sections()))
def test_table_in_readme(name: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"<!-- {name} -->\n{sections()[name]}\n<!-- /{name} -->" in readme, "run `python -m tests.test_docs`"


def test_every_option_has_help() -> None:
    assert [parameter.name for parameter in conversion.params if not getattr(parameter, "help", None)] == []


def test_ci_runs_the_test_command_of_the_readme() -> None:
    command = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")


def test_changelog_has_the_version() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_link_of_the_readme_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(written(readme.read_text(encoding="utf-8")), encoding="utf-8")
    PAGE.write_text(rules_page(), encoding="utf-8")
    sys.exit(0)
