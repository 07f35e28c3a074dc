"""The plan of a conversion as JSON: what `schemas/plan.schema.json` describes, the same bytes for the same inputs.

A plan belongs to one prototxt, byte for byte; with it the float prototxt is simulated as the quantized one would be.
Thresholds have the digits that a prototxt gets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from xportdnn import scales
from xportdnn.blocks import number
from xportdnn.choices import Mode
from xportdnn.codefile import digest, is_codefile
from xportdnn.errors import InputError
from xportdnn.folder import Picture
from xportdnn.journal import Journal
from xportdnn.layers import Shape
from xportdnn.network import Net, Value
from xportdnn.options import Options
from xportdnn.plan import Block, FieldValue
from xportdnn.precision import Precision, of_fields
from xportdnn.prototxt import to_bytes
from xportdnn.version import __version__

FORMAT, VERSION = "xportdnn.plan", 1
# what names files, or cannot change a number
_NO_DECISIONS = {
    "deploy_model", "weights", "workers", "strict", "force", "fold", "dialect", "trimming_mode",
    "net_quantization_param",
}  # fmt: skip


def text(
    options: Options, net: Net, inputs: Mapping[Value, Shape], blocks: Sequence[Block], pictures: Sequence[Picture]
) -> str:
    """The plan, with two blanks of indentation and a final newline.

    Args:
        inputs: the shapes of what is fed, as far as they are known.
        pictures: those of the calibration.
    """
    plan = {
        "format": FORMAT,
        "version": VERSION,
        "xportdnn": __version__,
        "deploy_model": _file(options.deploy_model, to_bytes(net.source.on_disk.text)),
        "weights": _file(options.weights, Path(options.weights).read_bytes()),
        "options": {
            name: _plain(getattr(options, name)) for name in options.__dataclass_fields__ if name not in _NO_DECISIONS
        },
        "pictures": [{"name": picture.name, "sha256": picture.sha256} for picture in pictures],
        "inputs": {value.blob: list(shape) for value, shape in inputs.items()},
        "scale_classes": list(_classes(net, options)),
        "layers": list(_layers(net, blocks)),
    }
    return json.dumps(plan, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _file(path: str, data: bytes) -> dict[str, str]:
    return {"name": Path(path).name, "sha256": digest(data)}


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _classes(net: Net, options: Options) -> Iterator[list[dict[str, str]]]:
    """The blobs that share a threshold or a fractional length, class by class in file order."""
    found = (
        scales.classes(net.layers, options.scale_classes)
        if options.quant_type is Mode.XILINX
        else scales.fraction_classes(net.layers)
    )
    for values in scales.members(found).values():
        yield [{"blob": value.blob, "written_by": net.layers[value.writer].name} for value in values]


def _layers(net: Net, blocks: Iterable[Block]) -> Iterator[dict[str, Any]]:
    by_layer = {block.layer.index: block for block in blocks}
    for layer in net.layers:
        block = by_layer.get(layer.index)
        yield {
            "name": layer.name,
            "type": layer.type,
            "bottoms": [value.blob for value in layer.bottoms],
            "tops": [value.blob for value in layer.tops],
            "precision_param": None if block is None else {name: _printed(value) for name, value in block.fields},
        }


def _printed(value: FieldValue) -> object:
    """What a prototxt would say."""
    if isinstance(value, tuple):
        return [_printed(each) for each in value]
    return float(number(value)) if isinstance(value, float) else value


def read(path: str, net: Net, weights: str | None, journal: Journal) -> dict[int, Precision]:
    """Layer index -> its block.

    Args:
        net: the network that the plan should be of.
        weights: its caffemodel.

    Raises:
        InputError: the file is no plan, or one of another prototxt.
    """
    plan = _parsed(path)
    _compare(path, plan, net, weights, journal)
    problems: list[str] = []
    found: dict[int, Precision] = {}
    for layer, entry in zip(net.layers, plan["layers"], strict=True):
        fields = entry.get("precision_param")
        if fields is None:
            continue
        wrong = [name for name, value in fields.items() if not _fits(name, value)]
        problems += [f"{net.at(layer)}: {name} cannot be {json.dumps(fields[name])}" for name in wrong]
        if not wrong:
            found[layer.index] = of_fields(
                (name, tuple(value) if isinstance(value, list) else value) for name, value in fields.items()
            )
    if problems:
        raise InputError(f"{path}: formats that cannot be read:", problems)
    return found


def _parsed(path: str) -> dict[str, Any]:
    try:
        content = json.loads(Path(path).read_bytes().decode("utf-8", "surrogateescape"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: this is no JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: this is no plan; give what a conversion with --dialect json wrote")
    if content.get("version") != VERSION:
        raise InputError(f"{path}: plans of version {content.get('version')} are not known here; convert again")
    if not _is_whole(content):
        raise InputError(f"{path}: the plan is damaged; convert again")
    return content


def _is_whole(plan: Mapping[str, Any]) -> bool:
    """Whether what `read` looks at is there, in the shape of the schema."""
    files = all(isinstance(plan.get(name), dict) for name in ("deploy_model", "weights"))
    layers = plan.get("layers")
    return files and isinstance(layers, list) and all(_is_layer(entry) for entry in layers)


def _is_layer(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return False
    return isinstance(entry.get("precision_param"), dict | None)


def _compare(path: str, plan: Mapping[str, Any], net: Net, weights: str | None, journal: Journal) -> None:
    found = digest(to_bytes(net.source.on_disk.text))
    names = [layer.name for layer in net.layers]
    if plan["deploy_model"].get("sha256") != found or [entry["name"] for entry in plan["layers"]] != names:
        raise InputError(
            f"{path}: is the plan of another prototxt ({plan['deploy_model'].get('name')}) than {net.source.name}; "
            "--deploy_model takes the float prototxt as it was converted"
        )
    if weights is None or is_codefile(weights):
        return
    if plan["weights"].get("sha256") != digest(Path(weights).read_bytes()):
        journal.warn(f"{path}: was made with another caffemodel than {weights}")


def _fits(name: str, value: object) -> bool:
    """Whether a field takes such a value."""
    if name == "quant_type":
        return value in [mode.value for mode in Mode]
    if name == "th_params":
        return isinstance(value, list) and all(_is_number(each) for each in value)
    if name.startswith("th_"):
        return _is_number(value)
    return name in Precision.__dataclass_fields__ and isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
