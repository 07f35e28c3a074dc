"""An evaluation as one HTML page that needs no network: for a screen, on paper, and read aloud."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from xportdnn import channels, execute, scales
from xportdnn.errors import UsageError
from xportdnn.evaluation.charts import Charts, beyond
from xportdnn.evaluation.ranking import Row, by_damage
from xportdnn.evaluation.result import Evaluation
from xportdnn.evaluation.rounding import largest, roundings
from xportdnn.journal import Level, Remark
from xportdnn.lazy import np
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation.formats import whole_out
from xportdnn.version import __version__

_BARS = 20  # layers in a bar chart


class Figure(NamedTuple):
    """A chart with the words below it."""

    svg: str
    caption: str


class Weighted(NamedTuple):
    """The weights of one layer: the largest |w| of its output channels, and their thresholds."""

    layer: str
    channels: int
    least: float
    greatest: float
    thresholds: tuple[float, float] | None
    bits: int | None


def check() -> None:
    """Make sure that the libraries of the page are installed, before any work.

    Raises:
        UsageError: they are not.
    """
    missing = [name for name in ("jinja2", "pygal") if find_spec(name) is None]
    if missing:
        raise UsageError(f"--report needs {' and '.join(missing)}: pip install xportdnn[report]")


def as_html(evaluation: Evaluation, remarks: Sequence[Remark]) -> bytes:
    """The page, UTF-8; the same bytes for the same inputs."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _number, "grouped": _grouped}
    template = environment.from_string(files(__package__).joinpath("report.html.jinja").read_text(encoding="utf-8"))
    charts = Charts()
    text = template.render(
        version=__version__,
        evaluation=evaluation,
        net=evaluation.opened.net,
        name=Path(evaluation.opened.net.source.name).name,
        rows=by_damage(evaluation.rows),
        wraps=any(row.wrapped for row in evaluation.rows),
        figures=list(_overview(evaluation, charts)),
        histograms=[_histogram(found, charts) for found in _drawn(evaluation)],
        weights=list(_weights(evaluation)),
        formats=[(row.layer, _formats(row.block)) for row in evaluation.rows if row.block is not None],
        warnings=[remark.text for remark in remarks if remark.level >= Level.WARNING],
    )
    return text.encode("utf-8", "replace")


def _overview(evaluation: Evaluation, charts: Charts) -> Iterator[Figure]:
    """SQNR of the worst layers, along the network, and with one layer quantized at a time."""
    worst = [row for row in by_damage(evaluation.rows) if row.sqnr_db is not None and not scales.copied(row.layer)]
    if not worst:
        return
    shown = {row.layer.name: row.sqnr_db or 0.0 for row in worst[:_BARS]}
    title = f"SQNR of the {len(shown)} layers with the lowest"
    words = f"{title}, in dB; lower is worse. The lowest is {worst[0].layer.name} with {worst[0].sqnr_db:.1f} dB."
    yield Figure(charts.bars(shown, title, words), words)
    points = [(row.layer.index, row.sqnr_db) for row in evaluation.rows if row.sqnr_db is not None]
    title = "SQNR along the network"
    words = (
        f"{title}, in dB, by position in the file: from {points[0][1]:.1f} dB at the first layer that was compared to "
        f"{points[-1][1]:.1f} dB at the last."
    )
    yield Figure(charts.line(points, title, words, "layer, counted from 0"), words)
    alone = [effect for effect in evaluation.ranked_effects if effect.part.layer and effect.sqnr_db is not None]
    if alone:
        shown = {effect.part.name: effect.sqnr_db or 0.0 for effect in alone[:_BARS]}
        title = f"Output SQNR with one layer quantized, the {len(shown)} most harmful"
        words = f"{title}, in dB. {alone[0].part.name} alone leaves {alone[0].sqnr_db:.1f} dB."
        yield Figure(charts.bars(shown, title, words), words)


def _drawn(evaluation: Evaluation) -> Iterator[tuple[Row, Row]]:
    """Each layer that writes numbers in a format of its own, and the row of what is stored of it."""
    stored = {found.row.layer.index: found.stored for found in roundings(evaluation.opened.net, evaluation.rows)}
    for row in evaluation.rows:
        kept = stored.get(row.layer.index)
        if kept is not None and kept.histogram is not None and whole_out(row.block) is not None:
            yield row, kept


def _histogram(found: tuple[Row, Row], charts: Charts) -> Figure:
    row, stored = found
    form = whole_out(row.block)
    assert form is not None
    assert stored.histogram is not None
    limit = largest(form)
    behind = f" behind {stored.layer.name}" if stored is not row else ""
    share = 100 * beyond(stored.histogram, limit)
    words = (
        f"{row.layer.name} ({row.layer.type}){behind}: |x| up to {stored.histogram.peak:.4g}, threshold {limit:.4g} at "
        f"{form.bits} bits, steps of {form.step:.3g}; {share:.3g} % lie beyond the threshold."
    )
    return Figure(charts.histogram(stored.histogram, limit, f"Histogram of {row.layer.name}", words), words)


def _weights(evaluation: Evaluation) -> Iterator[Weighted]:
    net, opened = evaluation.opened.net, evaluation.opened
    layers = [layer for layer in net.layers if layer.index in opened.weights]
    arrays = execute.load(layers, opened.weights)
    for layer in layers:
        rows = channels.matrix(layer, arrays)
        if rows is None:
            continue
        index, peaks = layer.index, channels.peak(rows)
        block = evaluation.blocks.get(index)
        th_params = block.th_params if isinstance(block, Precision) else ()
        yield Weighted(
            net.layers[index].name,
            peaks.size,
            float(np.min(peaks)),
            float(np.max(peaks)),
            (min(th_params), max(th_params)) if th_params else None,
            None if block is None else block.bw_params,
        )


def _formats(block: Precision | Ristretto) -> str:
    """`bw_layer_in 8, th_layer_in 1.5, th_params 0.2 .. 0.9 (16)`."""
    parts = []
    for name in block.__dataclass_fields__:
        value = getattr(block, name)
        if isinstance(value, tuple):
            parts += [f"{name} {min(value):.4g} .. {max(value):.4g} ({len(value)})"] if value else []
        elif value is not None:
            parts.append(f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}")
    return ", ".join(parts)


def _number(value: Any, digits: int = 1) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}"


def _grouped(value: int | None) -> str:
    return _number(value) if value is None else f"{value:,}"
