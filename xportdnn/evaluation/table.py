"""An evaluation as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xportdnn import scales
from xportdnn.evaluation.ranking import Row, by_damage
from xportdnn.evaluation.result import Classified, Evaluation
from xportdnn.evaluation.sensitivity import Effect
from xportdnn.simulation.sparsity import total

SHORT = 20  # layers of a table that is not asked for whole


def text(evaluation: Evaluation, whole: bool = False) -> str:
    """The summary and the layers, worst first.

    Args:
        whole: all layers; otherwise the `SHORT` worst of those that make numbers and do not only pass them on.
    """
    parts = [_summary(evaluation), _findings(evaluation)]
    if evaluation.effects:
        parts.append(_effects(evaluation, whole))
    parts.append(_layers(evaluation, whole))
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(evaluation: Evaluation) -> str:
    options, count = evaluation.options, len(evaluation.used)
    only = f", only {options.only.value}" if options.only else ""
    lines = [
        f"{evaluation.opened.net.source.name}: {count} picture{'s' * (count != 1)}, {options.arithmetic.value} "
        f"arithmetic{only}"
    ]
    if evaluation.classified is not None:
        lines += _classes(evaluation.classified, count)
    for output in evaluation.outputs:
        parts = ["as in float"] if output.identical else [f"SQNR {_number(output.sqnr_db, 1)} dB"]
        parts += [f"PSNR {output.psnr_db:.1f} dB"] if output.psnr_db and evaluation.classified is None else []
        parts += [] if output.cosine is None else [f"cosine {output.cosine:.5f}"]
        parts += [f"lowest {output.worst[1]:.1f} dB, {output.worst[0]}"] if output.worst else []
        lines.append(f"output {output.value.blob}: {', '.join(parts)}")
    if evaluation.boxes is not None:
        boxes = evaluation.boxes
        lines.append(f"detections: float {boxes.first}, quantized {boxes.second}, {boxes.matched} the same")
    weights = total(row.zeros for row in evaluation.rows if row.zeros is not None)
    if weights.total:
        lines.append(f"zero weights: {weights} of {weights.total:,}")
    return "\n".join(lines)


def _classes(found: Classified, count: int) -> Iterator[str]:
    rows = [("top-1", found.float_top1, found.top1), ("top-5", found.float_top5, found.top5)]
    for name, before, after in rows:
        if before is not None and after is not None:
            yield f"{name}: float {before:.2f} %, quantized {after:.2f} % ({after - before:+.2f})"
    ties = f", {found.tied} of {count} with ties for the best class" if found.tied else ""
    agreement, divergence = _number(found.agreement_top1, 2), _number(found.divergence, 4)
    yield f"agreement of top-1: {agreement} %, divergence {divergence} nats{ties}"


def _findings(evaluation: Evaluation) -> str:
    lines = [f"ALARM: {alarm}" for alarm in evaluation.alarms]
    return "\n".join([*lines, *(f"- {finding.text}" for finding in evaluation.findings)])


def _effects(evaluation: Evaluation, whole: bool) -> str:
    ranked = evaluation.ranked_effects
    layers = [effect for effect in ranked if effect.part.layer is not None]
    shown = layers if whole else layers[:SHORT]
    body = [_effect(effect) for effect in (*shown, *ranked[len(layers) :])]
    head = ("SQNR dB", "agreement", "top-1", "layer")
    title = "one layer at a time, most harmful first: what is left of the output"
    return "\n".join([title, *_grid(head, body), *_more(len(layers) - len(shown))])


def _effect(effect: Effect) -> tuple[str, ...]:
    return (
        "as in float" if effect.identical else _number(effect.sqnr_db, 1),
        _number(effect.agreement_top1, 1),
        _number(effect.top1, 1),
        effect.part.name,
    )


def _layers(evaluation: Evaluation, whole: bool) -> str:
    ranked = by_damage(evaluation.rows)
    shown = ranked if whole else [row for row in ranked if row.sqnr_db is not None and not scales.copied(row.layer)]
    shown = shown if whole else shown[:SHORT]
    wraps = any(row.wrapped for row in ranked)
    head = ("SQNR dB", "drop", "cosine", "saturated", *(["wrapped"] if wraps else []), "dead")
    head = (*head, "zero weights", "layer")
    body = [_cells(row, wraps) for row in shown]
    return "\n".join(["layers by damage, lowest SQNR first", *_grid(head, body), *_more(len(ranked) - len(shown))])


def _cells(row: Row, wraps: bool) -> tuple[str, ...]:
    return (
        "as in float" if row.identical else _number(row.sqnr_db, 1),
        _number(row.drop_db, 1),
        _number(row.cosine, 5),
        _number(row.saturated, 0),
        *([_number(row.wrapped, 0)] if wraps else []),
        "" if not row.dead else f"{row.dead}/{row.channels}",
        "" if row.zeros is None else str(row.zeros),
        f"{row.layer.name} ({row.layer.type})",
    )


def _more(hidden: int) -> list[str]:
    return [f"... and {hidden} more; --verbose or --json shows all"] if hidden else []


def _grid(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if name == "layer" else cell.rjust(width)
            for name, cell, width in zip(head, cells, widths, strict=True)
        ).rstrip()
        for cells in (head, *body)
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
