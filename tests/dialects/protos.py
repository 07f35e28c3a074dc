"""The dialects' own schemas, made of CHaiDNN's: protobuf's text parser says whether their programs could read a file.

The fields are those of pmgysel/caffe and of mathmanu/caffe-jacinto, branch caffe-0.17; their numbers mean nothing here.
"""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Literal

from google.protobuf import descriptor_pool, message_factory, text_format

from tests.board import SCHEMAS, compile_schema

_RISTRETTO = """
message QuantizationParameter {
  enum Precision { DYNAMIC_FIXED_POINT = 0; MINIFLOAT = 1; INTEGER_POWER_OF_2_WEIGHTS = 2; }
  enum Rounding { NEAREST = 0; STOCHASTIC = 1; }
  optional Precision precision = 1; optional Rounding rounding_scheme = 2;
  optional uint32 bw_layer_in = 3; optional uint32 bw_layer_out = 4; optional uint32 bw_params = 5;
  optional int32 fl_layer_in = 6; optional int32 fl_layer_out = 7; optional int32 fl_params = 8;
  optional uint32 mant_bits = 9; optional uint32 exp_bits = 10;
  optional int32 exp_min = 11; optional int32 exp_max = 12;
}
"""
_JACINTO = """
enum QuantizationParameter_Precision {
  QuantizationParameter_Precision_FLOAT = 0; QuantizationParameter_Precision_DYNAMIC_FIXED_POINT = 1;
}
enum QuantizationParameter_Rounding {
  QuantizationParameter_Rounding_NEAREST = 0; QuantizationParameter_Rounding_STOCHASTIC = 1;
}
message QuantizationParameter { }
message NetQuantizationParameter {
  optional bool quantize_weights = 1; optional bool quantize_activations = 2;
  optional uint32 bitwidth_weights = 3; optional uint32 bitwidth_activations = 4; optional uint32 bitwidth_bias = 5;
  optional bool power2_scale_weights = 6; optional bool power2_scale_activations = 7;
  optional bool apply_offset_weights = 8; optional bool apply_offset_activations = 9;
  optional QuantizationParameter_Precision precision = 10;
  optional QuantizationParameter_Rounding rounding_scheme = 11;
  optional int32 display_quantization = 12; optional bool update_quantization_param = 13;
  optional int32 quantization_start = 14; optional float range_update_factor = 15;
  optional float range_expansion_factor = 16; repeated string ignored_layer_names = 17;
}
"""
_OF_NET = "optional bool quantize = 200; optional NetQuantizationParameter net_quantization_param = 201;"


def parse(text: str, dialect: Literal["ristretto", "jacinto"]) -> Any:
    """The network as the dialect's program reads it.

    Raises:
        google.protobuf.text_format.ParseError: a field that it does not know, or another sort of value.
    """
    return text_format.Parse(text, _net_class(dialect)())


@cache
def _net_class(dialect: Literal["ristretto", "jacinto"]) -> Any:
    schema = (SCHEMAS / "chai_caffe.proto").read_text(encoding="utf-8")
    schema = re.sub(r"\n *optional PrecisionParameter precision_param[^\n]*", "", schema)
    schema, count = re.subn(r"\nmessage QuantizationParameter \{.*?\n\}\n", "\n", schema, flags=re.DOTALL)
    assert count == 1
    if dialect == "jacinto":
        schema = schema.replace("message NetParameter {", f"message NetParameter {{ {_OF_NET}", 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "caffe.proto")
        path.write_text(schema + (_RISTRETTO if dialect == "ristretto" else _JACINTO), encoding="utf-8")
        compiled = compile_schema(path)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(compiled.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))
