"""`python -m benchmarks`: measure, and print one table in Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import click

from benchmarks import evaluation, figures
from benchmarks.figures import Effort, Row
from benchmarks.nets import MEASURED, NETS
from xportdnn.lazy import np

_Figure: TypeAlias = Callable[[Effort], Iterator[Row]]

FIGURES = ("job", "forward", "opening", "memory", "startup", "evaluation")


def _names(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        if unknown := set(names).difference(known):
            raise click.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(known)}")
        return names

    return read


def plan(nets: Sequence[str], only: Sequence[str]) -> Iterator[_Figure]:
    """What to measure; the figures of one network take the last of `nets` where theirs is not among them."""
    loaded, large, small = (name if name in nets else nets[-1] for name in ("resnet50", "vgg16", "squeezenet"))
    for name in nets:
        if "job" in only:
            yield partial(figures.job, name)
        if "forward" in only:
            yield partial(figures.forward, name)
    if "opening" in only:
        yield partial(figures.opening, loaded)
    if "memory" in only:
        yield partial(figures.memory, large, small)
    if "startup" in only:
        yield partial(figures.startup, loaded)
    if "evaluation" in only:
        yield partial(evaluation.evaluation, small)


def circumstances() -> Iterator[str]:
    """What the figures depend on beside the code."""
    yield f"{date.today()}, {os.cpu_count()} x {_processor()}, Python {platform.python_version()}"
    for package in ("numpy", "onnxruntime", "opencv-python-headless", "protobuf"):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"no {package}"
    yield f"NumPy's BLAS: {_blas()}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _blas() -> str:
    """The kernels that NumPy's BLAS chose for this processor, or was told to take."""
    if find_spec("threadpoolctl") is None:
        return "unknown, threadpoolctl is not installed"
    from threadpoolctl import threadpool_info

    np.ones(1) @ np.ones(1)
    told = os.environ.get("OPENBLAS_CORETYPE")
    found = [
        f"{pool['internal_api']} {pool['version']}, core type {pool['architecture']}, {pool['num_threads']} thread"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    return "; ".join(found) + (f" (OPENBLAS_CORETYPE={told})" if told else " (not pinned)")


@click.command(context_settings={"show_default": True})
@click.option("--nets", type=_names(tuple(NETS)), default=",".join(MEASURED), metavar="NAME,...", help="Networks.")
@click.option("--only", type=_names(FIGURES), default=",".join(FIGURES), metavar="FIGURE,...", help="What to measure.")
@click.option("--rounds", type=click.IntRange(1), default=7, help="Turns of each arm; three times as many if brief.")
@click.option("--images", type=click.IntRange(2), default=8, help="Images of a turn.")
@click.option("--patience", type=float, default=5.0, help="Seconds to wait for a quiet machine before each turn.")
def main(nets: tuple[str, ...], only: tuple[str, ...], rounds: int, images: int, patience: float) -> None:
    """Measure xportdnn against onnxruntime, OpenCV and google.protobuf on the same work.

    Every result but times and memory is a ratio of times: below 1 is faster than the peer.
    """
    # read by OpenBLAS when NumPy is imported, which nothing has done yet
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for line in circumstances():
        click.echo(line)
    click.echo("\n| figure | network | result | medians | turns on a busy machine |\n|---|---|---|---|---|")
    for figure in plan(nets, only):
        for row in figure(Effort(rounds, images, patience)):
            click.echo(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
