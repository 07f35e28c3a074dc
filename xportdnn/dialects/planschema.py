"""What a plan may hold, of whatever network it is: schemas/plan.schema.json as functions, and a test compares them.

A rule takes a value with its name and yields what is wrong with it, one sentence each. One thing of the schema is left
to `planmatch`, which knows the layers and with them more than the schema: which fields a block has together.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from xportdnn.choices import Matrix, Mode
from xportdnn.overrides import FRACTIONS, WIDTHS, near
from xportdnn.precision import Precision

FORMAT, VERSION = "xportdnn.plan", 1
GREATEST = (2 - 2.0**-23) * 2.0**127  # of float32
_SHOWN = 3  # of the entries of a list that are wrong for one reason
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PLAIN = re.compile(r"[\w./-]{1,60}")

Rule: TypeAlias = Callable[[Any, str], Iterator[str]]


class Pairs(dict[str, Any]):
    """A JSON object that remembers which names it had twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs) if len(pairs) > len(self) else {}
        self.repeated = [name for name, count in counts.items() if count > 1]


def shown(value: object) -> str:
    """A value in a message."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _plain(name: str) -> str:
    """A field's name in a message, in quotes where it is a strange one."""
    return name if _PLAIN.fullmatch(name) else shown(name)


def at_layer(name: object) -> str:
    """`layer "conv1": ` in front of what is wrong with its entry."""
    return f"layer {shown(name)}: "


def is_number(value: object) -> bool:
    """Whether JSON calls it a number, which `true` is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_digest(value: object) -> bool:
    """Whether it looks like a SHA-256."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _must(holds: Callable[[Any], bool], what: str) -> Rule:
    def rule(value: Any, name: str) -> Iterator[str]:
        if not holds(value):
            yield f"{name} cannot be {shown(value)}; it must be {what}"

    return rule


def _whole(least: int, greatest: int | None = None) -> Rule:
    def holds(value: Any) -> bool:
        # JSON knows one kind of number: 8.0 is a whole one; NaN and infinity compare and convert as none
        if not is_number(value) or not value >= least or (greatest is not None and value > greatest):
            return False
        return isinstance(value, int) or value.is_integer()

    return _must(holds, f"a whole number from {least}" + ("" if greatest is None else f" to {greatest}"))


def _threshold(least_is_taken: bool) -> Rule:
    def holds(value: Any) -> bool:
        return is_number(value) and (0 < value <= GREATEST or (least_is_taken and value == 0))

    return _must(holds, "a number " + ("from" if least_is_taken else "above") + " 0 in float32's range")


def _one_of(*words: str) -> Rule:
    return _must(lambda value: value in words, " or ".join(f'"{word}"' for word in words))


def _list(entry: Rule, least: int = 0, greatest: int | None = None, most: int | None = _SHOWN) -> Rule:
    """A list.

    Args:
        least, greatest: how many entries it may have.
        most: of how many entries it is told what is wrong; None: of all.
    """

    def rule(value: Any, name: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{name} cannot be {shown(value)}; it must be a list"
            return
        if len(value) < least or (greatest is not None and len(value) > greatest):
            count = f"{least}" if least == greatest else f"{least} or more"
            yield f"{name} cannot be {shown(value)}; it must be one of {count}"
        wrong = [found for at, each in enumerate(value) if (found := list(entry(each, f"{name}[{at}]")))]
        for found in wrong[:most]:
            yield from found
        if most is not None and len(wrong) > most:
            yield f"{name}: and {len(wrong) - most} more of its entries"

    return rule


@dataclass(frozen=True)
class Record:
    """An object.

    Attributes:
        fields: the rule of each field.
        optional: those that may be absent.
        others: the rule of fields of other names; None: there are no others.
    """

    fields: Mapping[str, Rule]
    optional: Collection[str] = ()
    others: Rule | None = None

    def __call__(self, value: Any, name: str) -> Iterator[str]:
        if isinstance(value, dict):
            yield from self.inside(value, f"{name}.")
        else:
            yield f"{name} cannot be {shown(value)}; it must be an object"

    def inside(self, value: Mapping[str, Any], prefix: str) -> Iterator[str]:
        """What is wrong with the fields; `prefix` comes in front of their names."""
        for key in value.repeated if isinstance(value, Pairs) else ():
            yield f"{prefix}{_plain(key)} is given twice; keep one"
        for key, each in value.items():
            rule = self.fields.get(key, self.others)
            if rule is not None:
                yield from rule(each, f"{prefix}{_plain(key)}")
            else:
                yield f"{prefix}there is no field {_plain(key)}{near(key, list(self.fields))}"
        yield from (f"{prefix}{key} is missing" for key in self.fields if key not in value and key not in self.optional)


def _free(value: Any, name: str) -> Iterator[str]:
    """The rule of what may be anything."""
    yield from ()


def _block(value: Any, name: str) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, dict):
        yield from _BLOCK.inside(value, name.removesuffix("precision_param"))
    else:
        yield f"{name} cannot be {shown(value)}; it must be an object, or null where the layer gets no block"


def _layer(value: Any, name: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{name} cannot be {shown(value)}; it must be an object"
    elif isinstance(value.get("name"), str):
        yield from _LAYER.inside(value, at_layer(value["name"]))
    else:
        yield from _LAYER.inside(value, f"{name}.")


def _block_rule(name: str) -> Rule:
    parts = name.split("_")
    if name == "quant_type":
        return _one_of(*(mode.value for mode in Mode))
    if name == "th_params":
        return _list(_threshold(least_is_taken=True), least=1)
    if parts[0] == "th":
        return _threshold(least_is_taken=False)
    return _whole(*(WIDTHS if "bw" in parts else FRACTIONS))


_TEXT = _must(lambda value: isinstance(value, str), "text")
_TEXTS = _list(_TEXT)
_FILE = Record({"name": _TEXT, "sha256": _must(is_digest, "64 hexadecimal digits")})
_BLOCK = Record({name: _block_rule(name) for name in Precision.__dataclass_fields__}, Precision.__dataclass_fields__)
_LAYER = Record({"name": _TEXT, "type": _TEXT, "bottoms": _TEXTS, "tops": _TEXTS, "precision_param": _block})
_PLAN = Record(
    {
        "format": _one_of(FORMAT),
        "version": _must(lambda value: is_number(value) and value == VERSION, str(VERSION)),
        "xportdnn": _TEXT,
        "deploy_model": _FILE,
        "weights": _FILE,
        "options": Record(
            {
                "quant_type": _one_of(*(mode.value for mode in Mode)),
                "bitwidths": _list(_whole(*WIDTHS), 3, 3),
                "matrix": _one_of(*(matrix.value for matrix in Matrix)),
            },
            others=_free,
        ),
        "pictures": _list(_FILE),
        "inputs": Record({}, others=_list(_whole(1))),
        "scale_classes": _list(_list(Record({"blob": _TEXT, "written_by": _TEXT}), least=1)),
        "layers": _list(_layer, most=None),
    }
)


def problems(plan: Mapping[str, Any]) -> Iterator[str]:
    """What the schema forbids.

    Args:
        plan: as the JSON reader gives it.
    """
    return _PLAN.inside(plan, "")
