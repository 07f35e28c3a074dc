"""The protobuf class of a weight blob, built when first needed.

No generated module is shipped, so no version of google.protobuf is tied to this package; the test-suite holds the
fields below against schemas/caffemodel.proto.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_TYPES = {"int32": 5, "int64": 3, "float": 2, "double": 1, "bytes": 12, "enum": 14, "message": 11}

# name, number, repeated, packed, type
FIELDS = (
    ("num", 1, False, False, "int32"),
    ("channels", 2, False, False, "int32"),
    ("height", 3, False, False, "int32"),
    ("width", 4, False, False, "int32"),
    ("data", 5, True, True, "float"),
    ("double_data", 8, True, True, "double"),
)


@lru_cache(maxsize=1)
def blob_class() -> Any:
    """The message class of BlobProto, with the fields that hold values."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="xportdnn_blob.proto", package="xportdnn", syntax="proto2")
    blob = file.message_type.add(name="BlobProto")
    for name, number, repeated, packed, kind in FIELDS:
        entry = blob.field.add(name=name, number=number, label=3 if repeated else 1, type=_TYPES[kind])
        entry.options.packed = packed
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("xportdnn.BlobProto"))
