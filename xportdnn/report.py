"""Everything a conversion decided, as JSON: the same bytes for the same inputs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from xportdnn.calibration import Evidence
from xportdnn.check.report import plain
from xportdnn.choices import Mode
from xportdnn.conversion import Conversion
from xportdnn.guards.marks import Mark
from xportdnn.journal import Remark
from xportdnn.network import Net, Value
from xportdnn.pictures import CalibrationSet
from xportdnn.qformats import Formats, Row
from xportdnn.version import __version__


def as_json(conversion: Conversion, remarks: Sequence[Remark]) -> bytes:
    """The report of a conversion, UTF-8 with two blanks of indentation."""
    text = json.dumps(report(conversion, remarks), indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "surrogateescape")


def report(conversion: Conversion, remarks: Sequence[Remark]) -> dict[str, Any]:
    """The same as plain values."""
    net, found, formats = conversion.opened.net, conversion.evidence, conversion.formats
    pictures = next((each.pictures for each in (found, formats) if each is not None), None)
    return {
        "xportdnn": __version__,
        "options": _options(conversion),
        "network": net.source.name,
        "inputs": {value.blob: list(shape) for value, shape in conversion.opened.inputs.items()},
        "calibration": _calibration(pictures) if pictures else None,
        "layers": list(_layers(conversion)),
        "blobs": [*(_blobs(net, found) if found else ()), *(_formats(net, formats) if formats else ())],
        "guards": [_guard(mark) for mark in conversion.marks],
        "findings": plain(conversion.findings),
        "left_out": [layer._asdict() for layer in net.left_out],
        "not_calibrated": [layer.name for layer in conversion.missing],
        "remarks": [{"level": remark.level.name.lower(), "text": remark.text} for remark in remarks],
    }


def _options(conversion: Conversion) -> dict[str, Any]:
    # the number of workers changes nothing, so that the file is the same with any
    names = [name for name in conversion.options.__dataclass_fields__ if name != "workers"]
    values = {name: getattr(conversion.options, name) for name in names}
    if conversion.options.quant_type is Mode.XILINX:
        values |= {"threshold_method": conversion.options.rule, "params_method": conversion.options.params_rule}
    elif conversion.options.calibrated:
        values["fl_method"] = conversion.options.fl_rule
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _calibration(pictures: CalibrationSet) -> dict[str, Any]:
    steps, choice = pictures.preprocessing, pictures.choice
    return {
        "formula": steps.formula(),
        "pictures": [
            {"name": picture.name, "sha256": picture.sha256, "kind": str(picture.kind), "width": picture.width,
             "height": picture.height}
            for picture in choice.pictures
        ],
        "skipped": [{"name": name, "reason": reason} for name, reason in choice.skipped],
    }  # fmt: skip


def _layers(conversion: Conversion) -> Iterator[dict[str, Any]]:
    """Every layer in file order, with the fields of its block and what the rule said of it."""
    blocks = {block.layer.index: dict(block.fields) for block in conversion.blocks}
    found = conversion.evidence
    records = {record.layer.index: record for record in found.records} if found else {}
    reasons = {layer.index: reason for layer, reason in conversion.opened.unreached}
    for layer in conversion.opened.net.layers:
        entry: dict[str, Any] = {
            "name": layer.name,
            "type": layer.type,
            "line": conversion.opened.net.source.line(layer.entry.start),
            "bottoms": [value.blob for value in layer.bottoms],
            "tops": [value.blob for value in layer.tops],
            conversion.options.block: blocks.get(layer.index),
        }
        if override := conversion.asked.of(layer.name):
            entry["overridden"] = override
        if record := records.get(layer.index):
            entry["rule"] = {"th_layer_in": record.th_in, "th_layer_out": record.th_out}
            if record.found:
                entry["rule"] |= {
                    "threshold": record.found.threshold,
                    "max_abs": record.found.max_abs,
                    "bins": record.found.bins,
                    "index": record.found.candidate,
                }
        if layer.index in reasons:
            entry["not_run"] = reasons[layer.index]
        if found and layer.index in found.dead:
            entry["dead_channels"] = found.dead[layer.index]
        if conversion.formats and layer.index in conversion.formats.params:
            entry["parameters"] = {row.what: _row(row) for row in conversion.formats.params[layer.index]}
        yield entry


def _blobs(net: Net, found: Evidence) -> Iterator[dict[str, Any]]:
    """Every version of a blob with its threshold, its scale class, and what was seen of the class."""
    for value, threshold in found.thresholds.values.items():
        root = found.classes[value]
        entry: dict[str, Any] = {
            "blob": value.blob,
            "written_by": _writer(net, value),
            "scale_class": f"{root.blob} ({_writer(net, root)})",
            "threshold": threshold,
        }
        if seen := found.statistics.get(root):
            entry |= {"class_minimum": seen.minimum, "class_maximum": seen.maximum, "class_count": seen.count}
        yield entry


def _formats(net: Net, found: Formats) -> Iterator[dict[str, Any]]:
    """Every version of a blob with its scale class and the format of the class."""
    for value, root in found.classes.items():
        if row := found.values.get(root):
            place = {
                "blob": value.blob,
                "written_by": _writer(net, value),
                "scale_class": f"{root.blob} ({_writer(net, root)})",
            }
            yield place | _row(row)


def _row(row: Row) -> dict[str, Any]:
    """A format, what it is for and what it leaves of it; no ratio where there is no error."""
    saturated, sqnr_db = row.quality
    return {
        "bits": row.bits,
        "fl": row.fl,
        "minimum": row.minimum,
        "maximum": row.maximum,
        "saturated": saturated,
        "sqnr_db": sqnr_db if math.isfinite(sqnr_db) else None,
    }


def _guard(mark: Mark) -> dict[str, Any]:
    """`was` and `fits` are thresholds where the guard changed them, else what `Guard` says of the kind."""
    layers = [layer.name for layer in mark.layers]
    return {"guard": mark.guard.value, "layers": layers, "was": mark.was, "fits": mark.fits}


def _writer(net: Net, value: Value) -> str:
    return net.layers[value.writer].name
