"""docs/check.md, made of the rules and fixes themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from xportdnn.check import Rule, Severity, all_rules
from xportdnn.check.fix import all_fixes
from xportdnn.check.report import word

PAGE = Path(__file__).parents[2] / "docs" / "check.md"

_INTRODUCTION = """\
# What CHaiDNN wants of a prototxt

<!-- Made by `python -m tests.test_docs` from the rules in xportdnn/check/rules. -->

`xportdnn check` tries these rules on any CHaiDNN prototxt, whoever converted it; the conversion tries them on its own
output.

```sh
xportdnn check quantized.prototxt --weights net.caffemodel
xportdnn check --explain batch
xportdnn check quantized.prototxt --fix | patch -p0
xportdnn check quantized.prototxt --fix --output mended.prototxt
```

Findings are lines on standard output, the worst first, and under those of one rule what to do:

```
deploy.prototxt:2: stops: the input is 10x3x227x227: batch 10 instead of 1 [batch] (layer "data", Input)
  remedy: Write 1 as first dim.
```

`--verbose` adds why, and shows every finding in full where a rule has many. `--json` prints everything as JSON: of each
finding `rule`, `severity`, `line`, `layer`, `type`, `message`, `why`, `remedy`; in `not_tried` the rules that could not
be tried, with the reason; in `trouble` why Caffe itself refuses the file or its weights.

| exit code | meaning |
|---|---|
| 0 | the board runs it: nothing was found, or only what is `default` or `limit` |
| 1 | it does not run it, or computes wrong numbers, or Caffe refuses the file |
| 2 | the command line cannot be used |

`--fix` prints what it would change as a diff; the file is never overwritten. Nothing is changed that would change the
network's numbers, and every byte that nothing has to be done about stays. What is left is printed, with `--output` on
standard output and otherwise on standard error.
"""

_NEEDS = {
    "text": "",
    "shapes": " Needs a network that Caffe accepts and the shape of its input.",
    "weights": " Needs `--weights`.",
    "model": " Needs `--weights`.",
}


def rules_page() -> str:
    """The page as Markdown."""
    rules = all_rules()
    sections = [_section(severity, [rule for rule in rules if rule.severity is severity]) for severity in Severity]
    return "\n".join([_INTRODUCTION, *sections, _fixes()])


def _section(severity: Severity, rules: Sequence[Rule]) -> str:
    rows = ((f"`{rule.id}`", rule.title, rule.why + _NEEDS[rule.needs], rule.remedy, rule.source) for rule in rules)
    title = f"{word(severity)}: {severity.value}"
    return f"## {title}\n\n{_table(('id', 'rule', 'why', 'remedy', 'source'), rows)}"


def _fixes() -> str:
    rows = ((fix.title, ", ".join(f"`{rule}`" for rule in fix.rules)) for fix in all_fixes())
    return f"## What --fix mends\n\n{_table(('what is done', 'for the findings of'), rows)}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
