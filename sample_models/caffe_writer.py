"""Layers to the bytes of a caffemodel, by protobuf itself and schemas/caffemodel.proto."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

from sample_models.images import Floats

SCHEMA = Path(__file__).resolve().parent.parent / "schemas" / "caffemodel.proto"


class WrittenLayer(NamedTuple):
    """One `layer` of the caffemodel."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    blobs: list[Floats]


@lru_cache(maxsize=1)
def net_parameter() -> Any:
    """The message class caffe.NetParameter, from the schema compiled now."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "descriptors"
        status = protoc.main(
            ["protoc", f"--proto_path={SCHEMA.parent}", f"--descriptor_set_out={compiled}", SCHEMA.name]
        )
        if status != 0:
            raise ValueError(f"{SCHEMA} does not compile")
        files = descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes())
    pool = descriptor_pool.DescriptorPool()  # a pool of its own: other packages may register `caffe` too
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def caffemodel(name: str, layers: Iterable[WrittenLayer]) -> bytes:
    """The binary NetParameter: `layer` (not the old `layers`), BlobShape, packed floats."""
    net = net_parameter()(name=name)
    for layer in layers:
        written = net.layer.add(name=layer.name, type=layer.type, bottom=layer.bottoms, top=layer.tops, phase="TEST")
        for blob in layer.blobs:
            written.blobs.add(shape={"dim": blob.shape}, data=blob.ravel())
    data: bytes = net.SerializeToString(deterministic=True)
    return data
