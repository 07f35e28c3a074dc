"""Whether a plan is that of a network: the same prototxt, the same layers, and in every block the fields that a
conversion gives a layer of that type, no fewer and no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xportdnn.choices import Matrix, Mode
from xportdnn.codefile import digest
from xportdnn.dialects.planschema import at_layer
from xportdnn.jsonrules import is_digest, near, shown
from xportdnn.network import Layer, Net
from xportdnn.plan import block_fields
from xportdnn.precision import Precision
from xportdnn.prototxt import to_bytes


def problems(plan: Mapping[str, Any], net: Net) -> Iterator[str]:
    """How a plan differs from what conversions of a network write, one sentence each.

    Args:
        plan: what the schema forbids may be in it, and is passed over here.
    """
    made_for = plan.get("deploy_model")
    made_for = made_for if isinstance(made_for, dict) else {}
    recorded = made_for.get("sha256")
    if is_digest(recorded) and recorded != digest(to_bytes(net.source.on_disk.text)):
        yield (
            f"is the plan of another prototxt ({shown(made_for.get('name'))}) than {net.source.name}; --deploy_model "
            "takes the float prototxt as it was converted"
        )
        return
    entries = plan.get("layers")
    if not isinstance(entries, list):
        return
    named = [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("name"), str)]
    if len(named) == len(entries):
        yield from _order([entry["name"] for entry in named], net)
    layers: dict[str, list[Layer]] = {}
    for layer in net.layers:
        layers.setdefault(layer.name, []).append(layer)
    how = _how(plan.get("options"))
    for entry in named:
        if layers.get(entry["name"]):
            layer, block = layers[entry["name"]].pop(0), entry.get("precision_param")
            found = list(_wiring(entry, layer, net))
            if isinstance(block, dict) and how is not None:
                found += _fields(block, layer, *how)
            yield from (f"{at_layer(layer.name)}{problem}" for problem in found)


def _how(options: object) -> tuple[Mode, Matrix] | None:
    """What decides about the fields of blocks; None if the options do not say it."""
    if not isinstance(options, dict):
        return None
    try:
        return Mode(options.get("quant_type")), Matrix(options.get("matrix"))
    except ValueError:
        return None


def _order(names: Sequence[str], net: Net) -> Iterator[str]:
    """Layers that are missing, too many or in another place."""
    own = [layer.name for layer in net.layers]
    missing, strange = Counter(own) - Counter(names), Counter(names) - Counter(own)
    yield from (f"{at_layer(name)}is missing" for name in missing)
    for name in strange:
        there = "has it once only" if name in own else f"has no such layer{near(name, own)}"
        yield f"{at_layer(name)}{net.source.name} {there}"
    if not missing and not strange:
        for name, other in zip(names, own, strict=True):
            if name != other:
                yield f'{at_layer(name)}stands where {net.source.name} has "{other}"; keep its order'
                return


def _wiring(entry: Mapping[str, Any], layer: Layer, net: Net) -> Iterator[str]:
    own: dict[str, str | list[str]] = {
        "type": layer.type,
        "bottoms": [value.blob for value in layer.bottoms],
        "tops": [value.blob for value in layer.tops],
    }
    for name, value in own.items():
        found = entry.get(name)
        if isinstance(found, type(value)) and found != value:
            yield f"{name} cannot be {_said(found)}; in {net.source.name} it is {_said(value)}"


def _said(value: str | list[Any]) -> str:
    return shown(value) if isinstance(value, str) else f"[{', '.join(map(shown, value))}]"


def _fields(block: Mapping[str, Any], layer: Layer, mode: Mode, matrix: Matrix) -> Iterator[str]:
    """What speaks against the fields that a layer's block has."""
    wanted = block_fields(layer, matrix, mode)
    if not wanted:
        yield f"gets no block in {mode.value} mode by --matrix {matrix.value}; its precision_param must be null"
        return
    for name in block:
        if name in Precision.__dataclass_fields__ and name not in wanted:
            yield f"{name} does not belong to the block of {layer.type} in {mode.value} mode; remove it"
    yield from (f"{name} is missing" for name in wanted if name not in block)
    other = block.get("quant_type")
    if "quant_type" in wanted and other != mode.value and other in [each.value for each in Mode]:
        yield f'quant_type cannot be "{other}"; that of the options is "{mode.value}"'
    thresholds, count = block.get("th_params"), _output_channels(layer)
    if isinstance(thresholds, list) and count is not None and len(thresholds) != count:
        yield f"has {len(thresholds)} th_params for {count} output channels"


def _output_channels(layer: Layer) -> int | None:
    """Those of its weights; None where only the weights know."""
    if layer.kind is None or layer.kind.channels is None:
        return None
    if layer.kind.name == "Normalize":
        return 1 if layer.params.channel_shared else None
    count: int = layer.params.num_output
    return count
