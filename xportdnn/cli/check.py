"""`xportdnn check`: what the board would make of a prototxt."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from xportdnn.cli.arguments import normalized, speech
from xportdnn.errors import UsageError

if TYPE_CHECKING:
    from xportdnn.check.repair import Repaired
    from xportdnn.journal import Journal
    from xportdnn.prototxt import Source

_STREAM = "-"

_EPILOG = """\
Findings go to standard output, the worst first: what stops the board's software, what makes it compute wrong numbers,
where it takes a default, documented limits.

Exit codes: 0 the board runs it, 1 it does not or computes wrong numbers, 2 bad usage.
"""


def _list(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from xportdnn.check import all_rules
        from xportdnn.check.report import listed

        _print(listed(all_rules()))
        ctx.exit()


def _explain(ctx: click.Context, param: click.Parameter, name: str | None) -> None:
    if name is not None and not ctx.resilient_parsing:
        from xportdnn.check import all_rules
        from xportdnn.check.report import explained, named

        rules = all_rules() if name == "all" else (named(name),)
        _print(line for rule in rules for line in (*explained(rule), *([""] if len(rules) > 1 else [])))
        ctx.exit()


def _print(lines: Iterable[str]) -> None:
    """Lines on standard output, in one piece and in the bytes of the file that they quote."""
    from xportdnn import output
    from xportdnn.prototxt import to_bytes

    output.write(output.STDOUT, to_bytes("".join(f"{line}\n" for line in lines)))


@click.command(
    epilog=_EPILOG, context_settings={"token_normalize_func": normalized, "help_option_names": ["--help", "-h"]}
)
@click.argument("file", required=False)
@click.option("--weights", metavar="FILE", help="Its caffemodel: biases, multipliers and sums are looked at, too.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
@click.option("--fix", is_flag=True, help="Mend what can be mended without a change of the numbers; prints a diff.")
@click.option("--output", "target", metavar="FILE", help="With --fix: prototxt to write; - for standard output.")
@click.option(
    "--explain",
    metavar="RULE",
    is_eager=True,
    expose_value=False,
    callback=_explain,
    help="Say all about a rule (or all of them) and leave.",
)
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="List the rules and leave."
)
@speech
def check(
    file: str | None,
    weights: str | None,
    as_json: bool,
    fix: bool,
    target: str | None,
    quiet: bool,
    verbose: bool,
    debug: bool,
) -> int:
    """Look at a prototxt as CHaiDNN's parser, graph optimiser and integer kernels do; - is standard input."""
    if file is None:
        raise UsageError("FILE must be given: the prototxt to look at")
    if target is not None and not fix:
        raise UsageError("--output is where --fix writes; give --fix, too")
    if target == _STREAM and as_json:
        raise UsageError("--output - and --json cannot both be standard output")
    from xportdnn import caffemodel, output
    from xportdnn.check import opening
    from xportdnn.check.report import as_bytes, lines, report, summary
    from xportdnn.cli.console import journal
    from xportdnn.prototxt import Source, to_bytes

    if target is not None:
        output.check(target, [path for path in (file, weights) if path is not None and path != _STREAM])
    speaker = journal(quiet, verbose)
    source = _read(file)
    model = None if weights is None else caffemodel.read(weights)
    repaired = _repaired(source, speaker) if fix else None
    if repaired is not None:
        source = repaired.subject.source
        if target is not None and target != _STREAM:
            output.write(target, to_bytes(source.text))
            source = Source(target, source.text)  # what is left is named by the lines of the new file
    found = report(opening.subject(source, model))
    shown = list(lines(source.name, found.findings, verbose))
    if as_json:
        output.write(output.STDOUT, as_bytes(found, repaired.plain() if repaired is not None else {}))
    elif repaired is None or target not in (None, _STREAM):
        _print(shown)
    else:
        output.write(output.STDOUT, to_bytes(source.text if target == _STREAM else repaired.diff()))
        for line in () if quiet else shown:
            click.echo(line, err=True)
    if found.trouble:
        click.echo(f"xportdnn: error: {found.trouble}", err=True)
    speaker.info(summary(found))
    return int(found.refused)


def _read(file: str) -> Source:
    from xportdnn import prototxt

    if file == _STREAM:
        return prototxt.decoded("<stdin>", sys.stdin.buffer.read())
    return prototxt.read(file)


def _repaired(source: Source, speaker: Journal) -> Repaired:
    from xportdnn.check.repair import repair

    repaired = repair(source)
    for mended in repaired.mended:
        speaker.info(f"{source.name}:{mended.line}: {mended.message} [{', '.join(mended.rules)}]")
    if not repaired.mended:
        speaker.info(f"{source.name}: there is nothing that could be mended by itself")
    return repaired
