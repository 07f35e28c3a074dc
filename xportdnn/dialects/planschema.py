"""What a plan may hold, of whatever network it is: schemas/plan.schema.json as rules, and a test compares them.

One thing of the schema is left to `planmatch`, which knows the layers and with them more than the schema: which fields
a block has together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xportdnn.choices import Matrix, Mode
from xportdnn.jsonrules import (
    Record,
    Rule,
    anything,
    called,
    is_number,
    listed,
    must,
    one_of,
    refused,
    same,
    sha256,
    shown,
    text,
    whole,
)
from xportdnn.overrides import FRACTIONS, GREATEST, WIDTHS
from xportdnn.precision import Precision

FORMAT, VERSION = "xportdnn.plan", 1


def at_layer(name: object) -> str:
    """`layer "conv1": ` in front of what is wrong with its entry."""
    return f"layer {shown(name)}: "


def _threshold(least_is_taken: bool) -> Rule:
    def holds(value: Any) -> bool:
        return is_number(value) and (0 < value <= GREATEST or (least_is_taken and value == 0))

    return must(holds, "a number " + ("from" if least_is_taken else "above") + " 0 in float32's range")


def _block(value: Any, entry: str, name: str) -> Iterator[str]:
    """A layer's block, or none. Messages call its fields as if they were the layer's, which has none of these names."""
    if isinstance(value, dict):
        yield from _BLOCK.inside(value, entry)
    elif value is not None:
        yield refused(value, f"{entry}{name}", "an object, or null where the layer gets no block")


def _block_rule(name: str) -> Rule:
    parts = name.split("_")
    if name == "quant_type":
        return _MODE
    if name == "th_params":
        return listed(_threshold(least_is_taken=True), least=1)
    if parts[0] == "th":
        return _threshold(least_is_taken=False)
    return whole(*(WIDTHS if "bw" in parts else FRACTIONS))


_MODE = one_of(*(mode.value for mode in Mode))
_TEXTS = listed(text)
_FILE = Record({"name": text, "sha256": sha256})
_BLOCK = Record({name: _block_rule(name) for name in Precision.__dataclass_fields__}, Precision.__dataclass_fields__)
_LAYER = Record({"name": text, "type": text, "bottoms": _TEXTS, "tops": _TEXTS, "precision_param": _block})
_OPTIONS = Record(
    {
        "quant_type": _MODE,
        "bitwidths": listed(whole(*WIDTHS), 3, 3),
        "matrix": one_of(*(matrix.value for matrix in Matrix)),
    },
    others=anything,
)
_PLAN = Record(
    {
        "format": same(FORMAT),
        "version": same(VERSION),
        "xportdnn": text,
        "deploy_model": _FILE,
        "weights": _FILE,
        "options": _OPTIONS,
        "pictures": listed(_FILE),
        "inputs": Record({}, others=listed(whole(1))),
        "scale_classes": listed(listed(Record({"blob": text, "written_by": text}), least=1)),
        "layers": listed(called("layer", _LAYER), most=None),
    }
)


def problems(plan: Mapping[str, Any]) -> Iterator[str]:
    """What the schema forbids.

    Args:
        plan: as the JSON reader gives it.
    """
    return _PLAN.inside(plan, "")
