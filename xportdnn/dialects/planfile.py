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
from xportdnn.dialects import planmatch, planschema
from xportdnn.dialects.planschema import FORMAT, VERSION
from xportdnn.errors import InputError
from xportdnn.folder import Picture
from xportdnn.journal import Journal
from xportdnn.jsonrules import Pairs, is_number, shown
from xportdnn.layers import Shape
from xportdnn.network import Net, Value
from xportdnn.options import Options
from xportdnn.plan import Block, FieldValue
from xportdnn.precision import Precision, of_fields
from xportdnn.prototxt import to_bytes
from xportdnn.version import __version__

_DIGITS = 1000  # of a whole number that is looked at
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
        InputError: the file is no plan, breaks the schema, or is the plan of another prototxt: everything at once.
    """
    plan = _parsed(path)
    found = [*planschema.problems(plan), *planmatch.problems(plan, net)]
    if len(found) == 1:
        raise InputError(f"{path}: {found[0]}")
    if found:
        raise InputError(f"{path}: this plan cannot be used:", found)
    recorded = plan["weights"]["sha256"]
    if weights is not None and not is_codefile(weights) and recorded != digest(Path(weights).read_bytes()):
        journal.warn(f"{path}: was made with another caffemodel than {weights}")
    blocks = zip(net.layers, (entry["precision_param"] for entry in plan["layers"]), strict=True)
    return {layer.index: _precision(fields) for layer, fields in blocks if fields is not None}


def _parsed(path: str) -> Mapping[str, Any]:
    try:
        text = Path(path).read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        content = json.loads(text, object_pairs_hook=Pairs, parse_int=_whole)
    except ValueError as error:
        raise InputError(f"{path}: this is no JSON: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: this is no plan: its brackets are nested too deep") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: this is no plan; give what a conversion with --dialect json wrote")
    version = content.get("version", VERSION)
    if is_number(version) and version != VERSION:
        raise InputError(f"{path}: plans of version {shown(version)} are not known here; convert again")
    return content


def _whole(digits: str) -> int:
    # how many digits Python reads depends on its version
    if len(digits) > _DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _precision(fields: Mapping[str, Any]) -> Precision:
    """The block of fields that the schema allows."""
    return of_fields((name, _value(name, value)) for name, value in fields.items())


def _value(name: str, value: Any) -> FieldValue:
    if isinstance(value, list):
        return tuple(map(float, value))
    if name == "quant_type":
        return str(value)
    return float(value) if name.startswith("th_") else int(value)
