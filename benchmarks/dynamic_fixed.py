"""`python -m benchmarks.dynamic_fixed`: Q.F formats found from pictures on real networks, as docs/dynamic_fixed.md.

Every cell is made several times, each time from other calibration pictures, none of which the network is judged by:
formats are few and coarse, so that a single draw says little. Networks with BatchNorm are measured as they are and
folded. What they cost is measured by `xportdnn evaluate`'s own code in the arithmetic `fake`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import click

from benchmarks.cases import JUDGED, ROOT, Case, cases, judge, split
from xportdnn import convert
from xportdnn.modelfile import pieces
from xportdnn.qformats import METHODS

WIDTHS = (16, 8)
DRAWS = 4
DRAWN = 16  # calibration pictures of a draw


class Choice(NamedTuple):
    """What is varied."""

    folded: bool
    method: str
    bits: int


class Result(NamedTuple):
    """What one conversion costs, in per cent and dB; None where it was not computed."""

    choice: Choice
    images: int
    float_top1: float | None
    top1: float | None
    agreement: float | None
    sqnr_db: float | None


def choices(case: Case) -> Iterator[Choice]:
    """Every method at every width; folded where there is something to fold."""
    has_batch_norm = '"BatchNorm"' in case.deploy.read_text(encoding="utf-8")
    for folded in (False, True)[: 1 + has_batch_norm]:
        for method in METHODS:
            for bits in WIDTHS:
                yield Choice(folded, method, bits)


def measure(case: Case, choice: Choice, draw: int) -> Result:
    """Convert and evaluate once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calibration, judged = split(case, folder)
        conversion = convert(
            case.deploy,
            case.weights,
            quant_type="DynamicFixed",
            bitwidths=(choice.bits,) * 3,
            fl_bitwidths="auto",
            fl_method=choice.method,
            calibration_directory=calibration,
            calibration_size=DRAWN,
            calibration_seed=draw,
            fold=choice.folded,
            workers=1,
            force=True,  # 16 bits, which the board does not take
            **case.feeding,
        )
        deploy, weights = folder / "quantized.prototxt", case.weights
        deploy.write_text(conversion.text, encoding="utf-8")
        if conversion.folded is not None:
            weights = folder / "folded.caffemodel"
            weights.write_bytes(b"".join(pieces(conversion.folded.layers)))
        found = judge(case, deploy, weights, judged, folder)
    classes = found.classified if case.labels is not None else None
    share = (classes.float_top1, classes.top1, classes.agreement_top1) if classes else (None, None, None)
    return Result(choice, len(found.used), *share, found.output_sqnr_db)


def table(name: str, results: Sequence[Result]) -> Iterator[str]:
    """One network in Markdown.

    Args:
        results: those of a choice one behind the other.
    """
    first = results[0]
    told = "no labels" if first.float_top1 is None else f"float top-1 {first.float_top1:.1f} %"
    columns = ["output SQNR"] if first.float_top1 is None else ["top-1", "worst", "agreement", "output SQNR"]
    heads = [f"{column}, {bits} bits" for bits in WIDTHS for column in columns]
    yield f"## {name}"
    yield ""
    yield f"{first.images} pictures, {told}."
    yield ""
    yield f"| network | formats | {' | '.join(heads)} |"
    yield f"|---|---|{'---:|' * len(heads)}"
    for (folded, method), row in groupby(results, key=lambda result: result.choice[:2]):
        by_width = {bits: list(draws) for bits, draws in groupby(row, key=lambda result: result.choice.bits)}
        cells = [cell for bits in WIDTHS for cell in _cells(by_width[bits])]
        yield f"| {'folded' if folded else 'as it is'} | {method} | {' | '.join(cells)} |"
    yield ""


def _cells(draws: Sequence[Result]) -> Iterator[str]:
    top1 = [draw.top1 for draw in draws if draw.top1 is not None]
    agreement = [draw.agreement for draw in draws if draw.agreement is not None]
    if top1:
        yield from (f"{fmean(top1):.1f}", f"{min(top1):.1f}", f"{fmean(agreement):.1f}")
    noise = [draw.sqnr_db for draw in draws if draw.sqnr_db is not None]
    yield f"{fmean(noise):.1f}" if noise else "-"


class Line(NamedTuple):
    """A line of a network's table, as printed."""

    folded: bool
    method: str
    float_top1: float | None
    cells: tuple[float, ...]


def lines(section: str) -> Iterator[Line]:
    """What a network's section says."""
    told = re.search(r"float top-1 ([\d.]+) %", section)
    for network, method, rest in re.findall(r"^\| (as it is|folded) \| (\w+) \| (.*) \|$", section, re.MULTILINE):
        yield Line(network == "folded", method, float(told[1]) if told else None, tuple(map(float, rest.split(" | "))))


def summary(sections: Sequence[str]) -> Iterator[str]:
    """Over all networks: points of top-1 lost, on the average and at worst, agreement, and SQNR."""
    yield "## All networks"
    yield ""
    yield (
        "Points of top-1 lost by classifiers: the mean, and the most that the worst draw of any network lost; their "
        "mean agreement; mean output SQNR of all networks."
    )
    yield ""
    heads = [f"{column}, {bits} bits" for bits in WIDTHS for column in ("lost", "at most", "agreement", "SQNR")]
    yield f"| networks | formats | {' | '.join(heads)} |"
    yield f"|---|---|{'---:|' * len(heads)}"
    for name, group in _groups([list(lines(section)) for section in sections]).items():
        for method in METHODS:
            same = [line for line in group if line.method == method]
            cells = [cell for at in range(len(WIDTHS)) for cell in _means(same, at)]
            yield f"| {name} | {method} | {' | '.join(cells)} |"
    yield ""


def _groups(networks: Iterable[Sequence[Line]]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {
        "without BatchNorm": [],
        "with BatchNorm, as they are": [],
        "with BatchNorm, folded": [],
    }
    for network in networks:
        for line in network:
            has_batch_norm = any(other.folded for other in network)
            found[list(found)[has_batch_norm + line.folded]].append(line)
    return found


def _means(same: Sequence[Line], at: int) -> Iterator[str]:
    """Of the width of that position."""
    parts = [(line.float_top1, line.cells[len(line.cells) // len(WIDTHS) * at :]) for line in same]
    classified = [(before, *cells[:3]) for before, cells in parts if before is not None]
    yield f"{fmean(before - top1 for before, top1, _, _ in classified):.2f}"
    yield f"{max(before - worst for before, _, worst, _ in classified):.1f}"
    yield f"{fmean(agreement for *_, agreement in classified):.1f}"
    yield f"{fmean(cells[0 if before is None else 3] for before, cells in parts):.1f}"


_HEAD = f"""# What Q.F formats from pictures cost

Written by `python -m benchmarks.dynamic_fixed`: DynamicFixed mode with `--fl_bitwidths auto` and each `--fl_method`,
arithmetic `fake`. Means over {DRAWS} draws of {DRAWN} calibration pictures (or as many as there are) that are not among
those judged by, and the worst draw's top-1; top-1 and agreement in per cent, output SQNR in dB. The sample networks are
judged by {JUDGED} held-out pictures. Some of the other sets are small: one picture of 80 is 1.25 points, so look at
agreement and SQNR as well.
"""


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=ROOT / "docs" / "dynamic_fixed.md")
@click.option("--workers", default=2, show_default=True)
def main(output: Path, workers: int) -> None:
    """Measure, and write the tables."""
    written = [_HEAD]
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(workers) as pool:
        for case in cases(Path(name)):
            runs = [(choice, draw) for choice in choices(case) for draw in range(DRAWS)]
            results = pool.map(measure, [case] * len(runs), *zip(*runs, strict=True))
            written.append("\n".join(table(case.name, list(results))))
            click.echo(written[-1])
    output.write_text("\n".join([*written, *summary(written[1:])]), encoding="utf-8")


if __name__ == "__main__":
    main()
