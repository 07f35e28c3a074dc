"""`python -m benchmarks.accuracy`: every threshold rule on real networks, written as docs/accuracy.md.

Each network is converted with calibration pictures that are not among those it is judged by. What it costs is measured
by `xportdnn evaluate`'s own code in the arithmetic `fake`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.cases import CALIBRATED, JUDGED, ROOT, Case, cases, judge, split
from xportdnn import convert
from xportdnn.choices import PARAMS_METHODS, THRESHOLD_METHODS
from xportdnn.evaluation.result import Evaluation

WIDTHS = (8, 6)


class Choice(NamedTuple):
    """What is varied."""

    bits: int
    method: str
    params: str


class Result(NamedTuple):
    """What one conversion costs, in per cent and dB; None where it was not computed."""

    case: str
    choice: Choice
    images: int
    float_top1: float | None
    top1: float | None
    agreement: float | None
    divergence: float | None
    sqnr_db: float | None


def measure(case: Case, choice: Choice) -> Result:
    """Convert and evaluate."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calibration, judged = split(case, folder)
        conversion = convert(
            case.deploy,
            case.weights,
            bitwidths=(choice.bits,) * 3,
            calibration_directory=calibration,
            calibration_size=CALIBRATED,
            threshold_method=choice.method,
            params_method=choice.params,
            workers=1,
            **case.feeding,
        )
        deploy = folder / "quantized.prototxt"
        deploy.write_text(conversion.text, encoding="utf-8")
        return _result(case, choice, judge(case, deploy, case.weights, judged, folder))


def _result(case: Case, choice: Choice, found: Evaluation) -> Result:
    classified = found.classified if case.labels is not None else None
    return Result(
        case.name,
        choice,
        len(found.used),
        classified.float_top1 if classified else None,
        classified.top1 if classified else None,
        classified.agreement_top1 if classified else None,
        classified.divergence if classified else None,
        found.output_sqnr_db,
    )


def choices(methods: Iterable[str]) -> Iterator[Choice]:
    """Every rule at every width, weights by either."""
    for bits in WIDTHS:
        for method in methods:
            for params in PARAMS_METHODS:
                yield Choice(bits, method, params)


def table(results: Sequence[Result]) -> Iterator[str]:
    """The results of one network in Markdown."""
    first = results[0]
    labelled = first.float_top1 is not None
    told = f"float top-1 {first.float_top1:.1f} %" if first.float_top1 is not None else "no labels"
    yield f"## {first.case}"
    yield ""
    yield f"{first.images} pictures, {told}."
    yield ""
    columns = ["top-1", "agreement", "output SQNR"] if labelled else ["output SQNR"]
    heads = [f"{column}, {bits} bits" for bits in WIDTHS for column in columns]
    yield f"| thresholds | weights | {' | '.join(heads)} |"
    yield f"|---|---|{'---:|' * len(heads)}"
    by_choice = {result.choice: result for result in results}
    for method in dict.fromkeys(result.choice.method for result in results):
        for params in PARAMS_METHODS:
            cells = [cell for bits in WIDTHS for cell in _cells(by_choice.get(Choice(bits, method, params)), labelled)]
            yield f"| {method} | {params} | {' | '.join(cells)} |"
    yield ""


def _cells(result: Result | None, labelled: bool) -> list[str]:
    if result is None:
        return ["-"] * (3 if labelled else 1)
    share = [f"{result.top1:.1f}", f"{result.agreement:.1f}"] if labelled else []
    return [*share, "-" if result.sqnr_db is None else f"{result.sqnr_db:.1f}"]


class Line(NamedTuple):
    """A line of a network's table, as printed; None where nothing was computed."""

    method: str
    params: str
    float_top1: float | None
    cells: tuple[float | None, ...]


def lines(section: str) -> Iterator[Line]:
    """What a network's section says."""
    told = re.search(r"float top-1 ([\d.]+) %", section)
    float_top1 = float(told[1]) if told else None
    for method, params, rest in re.findall(r"^\| (\w+) \| (max|mse) \| (.*) \|$", section, re.MULTILINE):
        cells = tuple(None if cell == "-" else float(cell) for cell in rest.split(" | "))
        yield Line(method, params, float_top1, cells)


def summary(sections: Iterable[str]) -> Iterator[str]:
    """Means over networks: the points of top-1 lost and the agreement of classifiers, the SQNR of all."""
    found = [line for section in sections for line in lines(section)]
    yield "## All networks"
    yield ""
    yield "Means over the networks above: points of top-1 lost and agreement of the classifiers, output SQNR of all."
    yield ""
    heads = [f"{column}, {bits} bits" for bits in WIDTHS for column in ("lost", "agreement", "SQNR")]
    yield f"| thresholds | weights | {' | '.join(heads)} |"
    yield f"|---|---|{'---:|' * len(heads)}"
    for method, params in dict.fromkeys((line.method, line.params) for line in found):
        same = [line for line in found if (line.method, line.params) == (method, params)]
        cells = [cell for at in range(len(WIDTHS)) for cell in _means(same, at)]
        yield f"| {method} | {params} | {' | '.join(cells)} |"
    yield ""


def _means(same: Sequence[Line], at: int) -> list[str]:
    """Lost, agreement and SQNR at the width of that position."""
    lost, agreement, sqnr_db = [], [], []
    for line in same:
        width = len(line.cells) // len(WIDTHS)
        *share, noise = line.cells[at * width : (at + 1) * width]
        sqnr_db.append(noise)
        if line.float_top1 is not None and share[0] is not None:
            lost.append(line.float_top1 - share[0])
            agreement.append(share[1])
    return [_mean(lost, 2), _mean(agreement), _mean(sqnr_db)]


def _mean(values: Iterable[float | None], digits: int = 1) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.{digits}f}" if known else "-"


_HEAD = f"""# What each threshold rule costs

Written by `python -m benchmarks.accuracy`, which takes about half an hour on two cores. Calibrated with {CALIBRATED}
pictures (or as many as there are) that are not among those judged by; arithmetic `fake`; top-1 and agreement in per
cent, output SQNR in dB. The sample networks are judged by {JUDGED} held-out pictures. Some of the other sets are small:
one picture of 80 is 1.25 points, so look at agreement and SQNR as well.
"""


@click.command()
@click.option("--nets", default="", help="Networks to measure, all by default; the tables of others are kept.")
@click.option("--methods", default=",".join(THRESHOLD_METHODS), show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=ROOT / "docs" / "accuracy.md")
@click.option("--workers", default=2, show_default=True)
def main(nets: str, methods: str, output: Path, workers: int) -> None:
    """Measure, and write the tables."""
    wanted = nets.split(",") if nets else []
    known = _sections(output.read_text(encoding="utf-8")) if output.exists() else {}
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(workers) as pool:
        everything = list(cases(Path(name)))
        for case in everything:
            if wanted and case.name not in wanted:
                continue
            varied = list(choices(methods.split(",")))
            known[case.name] = "\n".join(table(list(pool.map(measure, [case] * len(varied), varied))))
            click.echo(known[case.name])
            there = [known[each.name] for each in everything if each.name in known]
            output.write_text("\n".join([_HEAD, *there, *summary(there)]), encoding="utf-8")


def _sections(text: str) -> dict[str, str]:
    """The networks of a file that was written before, by name."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.split()[1]: part.rstrip("\n") + "\n" for part in parts}


if __name__ == "__main__":
    main()
