"""`some_param { ... }` to the frozen dataclass that a layer declares.

The dataclass is the schema: its field names are Caffe's, its defaults are Caffe's, its annotations say how the text
is read. `Uint` refuses a minus sign, `int | None` and `bool | None` tell "absent" from a value, `tuple[X, ...]` is a
repeated field, `enum(...)` lists the names in the order of their numbers, `message(X)` and `messages(X)` nest.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Hashable
from functools import cache, partial
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from xportdnn.errors import LayerError
from xportdnn.prototxt import Message, Scalar

Uint: TypeAlias = int
P = TypeVar("P")


def enum(*names: str, default: str | None = None) -> Any:
    """A dataclass field whose text is one of `names` (or its number, from 0); the default is the first."""
    return dataclasses.field(default=names[0] if default is None else default, metadata={"enum": names})


def message(kind: type, default: Any = None) -> Any:
    """A dataclass field holding one nested message, or `default`."""
    return dataclasses.field(default=default, metadata={"message": kind})


def messages(kind: type) -> Any:
    """A dataclass field holding a tuple of nested messages."""
    return dataclasses.field(default=(), metadata={"message": kind})


def count_of(name: str) -> Any:
    """A dataclass field that takes the number of the layer's own `name` entries (`"top"`), not a text field."""
    return dataclasses.field(default=1, metadata={"count": name})


class _Rule(NamedTuple):
    name: str
    repeated: bool
    read: Callable[[Scalar | Message, str], Any]


def as_int(value: Scalar | Message, name: str) -> int:
    """A signed integer: decimal, `0x` hexadecimal or `0` octal."""
    text = value.text if isinstance(value, Scalar) and value.kind == "number" else ""
    if text.isdecimal() and (text[0] != "0" or text == "0"):  # nearly all of them
        return int(text)
    negative, digits = text.startswith("-"), text.lstrip("-")
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", digits):
        number = int(digits, 16)
    elif re.fullmatch(r"0[0-7]+", digits):
        number = int(digits, 8)
    elif re.fullmatch(r"\d+", digits) and not re.fullmatch(r"0\d+", digits):
        number = int(digits)
    else:
        raise LayerError(f"{name} must be a whole number, not {_written(value)}")
    return -number if negative else number


def as_uint(value: Scalar | Message, name: str) -> int:
    """A non-negative integer."""
    number = as_int(value, name)
    if number < 0 or (isinstance(value, Scalar) and value.text.startswith("-")):
        raise LayerError(f"{name} must not be negative, it is {number}")
    return number


def as_float(value: Scalar | Message, name: str) -> float:
    """A float; `inf`, `nan` and a trailing `f` are allowed as in protobuf."""
    if isinstance(value, Scalar) and value.kind != "string":
        text = value.text.lower()
        if re.fullmatch(r"-?(0x[0-9a-f]+|0[0-7]+)", text):
            return float(as_int(value, name))
        if text.lstrip("-") in ("inf", "infinity", "nan"):
            return float(text)
        if value.kind == "number":
            return float(text.rstrip("f"))
    raise LayerError(f"{name} must be a number, not {_written(value)}")


_BOOLS = {"true": True, "t": True, "True": True, "1": True, "false": False, "f": False, "False": False, "0": False}


def as_bool(value: Scalar | Message, name: str) -> bool:
    """`true`, `True`, `t`, `1` and their opposites."""
    if isinstance(value, Scalar) and value.kind != "string" and value.text in _BOOLS:
        return _BOOLS[value.text]
    raise LayerError(f"{name} must be true or false, not {_written(value)}")


def as_text(value: Scalar | Message, name: str) -> str:
    """A quoted string."""
    if isinstance(value, Scalar) and value.kind == "string":
        return value.text
    raise LayerError(f"{name} must be a quoted string, not {_written(value)}")


def as_enum(names: tuple[str, ...], value: Scalar | Message, name: str) -> str:
    """One of the names, or the name of that number."""
    if isinstance(value, Scalar):
        if value.kind == "name" and value.text in names:
            return value.text
        if value.kind == "number" and value.text.isdigit() and int(value.text) < len(names):
            return names[int(value.text)]
    raise LayerError(f"{name} must be one of {', '.join(names)}, not {_written(value)}")


def _written(value: Scalar | Message) -> str:
    if isinstance(value, Message):
        return "a { } block"
    return f'"{value.text}"' if value.kind == "string" else value.text


_READERS: dict[str, Callable[[Scalar | Message, str], Any]] = {
    "int": as_int, "Uint": as_uint, "float": as_float, "bool": as_bool, "str": as_text,
}  # fmt: skip


@cache
def _rules(kind: Hashable) -> tuple[dict[str, _Rule], dict[str, str], frozenset[str]]:
    """Text fields, counted fields and silently ignored names of a dataclass."""
    rules: dict[str, _Rule] = {}
    counts: dict[str, str] = {}
    for entry in dataclasses.fields(cast("Any", kind)):
        annotation = str(entry.type).removesuffix(" | None")
        repeated = annotation.startswith("tuple[")
        inner = annotation[len("tuple[") :].split(",")[0].strip() if repeated else annotation
        if "count" in entry.metadata:
            counts[entry.name] = entry.metadata["count"]
        elif "message" in entry.metadata:
            rules[entry.name] = _Rule(entry.name, repeated, partial(_nested, entry.metadata["message"]))
        elif "enum" in entry.metadata:
            rules[entry.name] = _Rule(entry.name, repeated, partial(as_enum, entry.metadata["enum"]))
        else:
            rules[entry.name] = _Rule(entry.name, repeated, _READERS[inner])
    return rules, counts, frozenset(getattr(kind, "IGNORED", ()))


def _nested(kind: type[P], value: Scalar | Message, name: str) -> P:
    if not isinstance(value, Message):
        raise LayerError(f"{name} must be a {{ }} block, not {_written(value)}")
    return decode(value, kind)


def decode(block: Message | None, kind: type[P], layer: Message | None = None) -> P:
    """An instance of `kind` with the values of `block`; `layer` supplies the counted fields.

    Raises:
        LayerError: a value of the wrong sort, or a scalar given twice.
    """
    rules, counts, _ = _rules(cast("Hashable", kind))
    values: dict[str, Any] = {}
    for entry in block.fields if block is not None else ():
        rule = rules.get(entry.name)
        if rule is None:
            continue
        value = rule.read(entry.value, entry.name)
        if rule.repeated:
            values.setdefault(entry.name, []).append(value)
        elif entry.name in values:
            raise LayerError(f"{entry.name} is given more than once")
        else:
            values[entry.name] = value
    for name, counted in counts.items():
        values[name] = len(layer.all(counted)) if layer is not None else 0
    repeated = {name: tuple(value) for name, value in values.items() if name in rules and rules[name].repeated}
    return kind(**values | repeated)


def unknown_fields(block: Message, kind: type) -> list[str]:
    """Names in `block` that neither the dataclass nor its `IGNORED` knows: another fork's, or a typing error."""
    rules, _, ignored = _rules(cast("Hashable", kind))
    return [entry.name for entry in block.fields if entry.name not in rules and entry.name not in ignored]
