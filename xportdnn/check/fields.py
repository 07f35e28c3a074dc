"""What CHaiDNN's schema knows: the fields of every message, their types, the names of every enum.

`chai_fields.json` is made from schemas/chai_caffe.proto by `python -m tests.check.chai_fields`.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from xportdnn.decode import as_bool, as_float, as_int, as_text, as_uint
from xportdnn.errors import LayerError
from xportdnn.prototxt import Message, Scalar, Value

ROOT = "NetParameter"
_RANGES = {"int32": (-(2**31), 2**31), "uint32": (0, 2**32), "int64": (-(2**63), 2**63)}
_READERS = {
    "int32": as_int, "uint32": as_uint, "int64": as_int, "float": as_float, "double": as_float, "bool": as_bool,
    "string": as_text,
}  # fmt: skip


class Kind(NamedTuple):
    """The type of a field: a scalar type, a message or an enum by its name."""

    name: str
    repeated: bool


class Schema(NamedTuple):
    """Message -> field -> type, and enum -> name -> number."""

    messages: Mapping[str, Mapping[str, Kind]]
    enums: Mapping[str, Mapping[str, int]]

    def problem(self, kind: Kind, value: Value, name: str) -> str:
        """Why a value cannot stand in the field `name`; empty where it can."""
        try:
            if kind.name in self.messages:
                return "" if isinstance(value, Message) else f"{name} must be a {{ }} block, not {written(value)}"
            if kind.name in self.enums:
                return self._enum(kind, value, name)
            number = _READERS[kind.name](value, name)
        except LayerError as error:
            return str(error)
        low, high = _RANGES.get(kind.name, (0, 0))
        if low < high and isinstance(number, int) and not low <= number < high:
            return f"{name} is {number}, outside of {kind.name}: {low} to {high - 1}"
        return ""

    def _enum(self, kind: Kind, value: Value, name: str) -> str:
        names = self.enums[kind.name]
        if isinstance(value, Scalar):
            if value.kind == "name" and value.text in names:
                return ""
            if value.kind == "number" and as_int(value, name) in names.values():
                return ""
        return f"{name} must be one of {', '.join(names)}, not {written(value)}"


@lru_cache(maxsize=1)
def schema() -> Schema:
    """The table of the package."""
    # importlib.resources would read it, too, but takes longer to import than all rules
    data = pkgutil.get_data(__name__, "chai_fields.json")
    assert data is not None
    found = json.loads(data)
    messages = {
        message: {name: Kind(text.removesuffix("[]"), text.endswith("[]")) for name, text in fields.items()}
        for message, fields in found["messages"].items()
    }
    return Schema(messages, found["enums"])


def written(value: Value) -> str:
    """A value for messages, as it stands in the file."""
    if isinstance(value, Message):
        return "a { } block"
    return f'"{value.text}"' if value.kind == "string" else value.text
