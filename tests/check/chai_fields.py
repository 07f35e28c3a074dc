"""CHaiDNN's schema as the table that ships in the package.

    python -m tests.check.chai_fields

writes xportdnn/check/chai_fields.json anew from schemas/chai_caffe.proto.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto

from tests.board import SCHEMAS, compile_schema

TABLE = Path(__file__).parents[2] / "xportdnn" / "check" / "chai_fields.json"


def table() -> str:
    """The JSON text: message -> field -> type (`[]` for repeated ones), and enum -> name -> number."""
    file = compile_schema(SCHEMAS / "chai_caffe.proto")
    messages = {message.name: {field.name: _type(field) for field in message.field} for message in file.message_type}
    enums = {name: {value.name: value.number for value in enum.value} for name, enum in _enums(file.message_type)}
    enums |= {enum.name: {value.name: value.number for value in enum.value} for enum in file.enum_type}
    return json.dumps({"messages": messages, "enums": dict(sorted(enums.items()))}, indent=1) + "\n"


def _enums(messages: Iterable[DescriptorProto]) -> Iterator[tuple[str, EnumDescriptorProto]]:
    for message in messages:
        for enum in message.enum_type:
            yield f"{message.name}.{enum.name}", enum


def _type(field: FieldDescriptorProto) -> str:
    name = field.type_name.removeprefix(".caffe.") or FieldDescriptorProto.Type.Name(field.type)
    repeated = "[]" if field.label == FieldDescriptorProto.LABEL_REPEATED else ""
    return name.removeprefix("TYPE_").lower() + repeated if not field.type_name else name + repeated


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
