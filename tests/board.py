"""What CHaiDNN makes of a prototxt, found out without xportdnn.

`parse` reads text under `schemas/chai_caffe.proto` with protobuf's own parser. `problems` checks the rules that our
output has to keep. What a message cannot tell, the order of the fields and the digits of a number, comes from a small
reader of the text, because CHaiDNN compares thresholds exactly (`find_in_out_thresold` in xtract_opt.cpp).

No rule is made for the `fl_*` of DynamicFixed blocks: they are the user's.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from google.protobuf import descriptor_pool, message_factory, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

if TYPE_CHECKING:
    from collections.abc import Iterator

Mode: TypeAlias = Literal["Xilinx", "DynamicFixed"]
Matrix: TypeAlias = Literal["guide", "parser"]
NetParameter: TypeAlias = Any  # its class exists only once the schema is compiled
Fields: TypeAlias = "list[tuple[str, str | Fields]]"

SCHEMAS = Path(__file__).parents[1] / "schemas"


def compile_schema(path: Path) -> FileDescriptorProto:
    """The descriptor of one .proto file; a warning of protoc counts as an error.

    Raises:
        RuntimeError: protoc refuses the file; what it says is on stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "descriptors")
        arguments = ["protoc", "--fatal_warnings", f"-I{path.parent}", f"--descriptor_set_out={target}", path.name]
        if protoc.main(arguments) != 0:
            raise RuntimeError(f"protoc refuses {path}")
        return FileDescriptorSet.FromString(target.read_bytes()).file[0]


@lru_cache(maxsize=1)
def _net_class() -> Any:
    # A pool of its own: other schemas also declare a `caffe` package.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(compile_schema(SCHEMAS / "chai_caffe.proto").SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def parse(text: str) -> NetParameter:
    """The network, as strictly as CHaiDNN reads it (EP002).

    Raises:
        google.protobuf.text_format.ParseError: wrong syntax, an unknown field, a scalar or block given twice.
    """
    return text_format.Parse(text, _net_class()())


# The fields of a block in their order, which is that of their numbers.
_TH = "bw_layer_in bw_layer_out th_layer_in th_layer_out quant_type"
_TH_PARAMS = "bw_layer_in bw_layer_out bw_params th_layer_in th_layer_out th_params quant_type"
_FL = "bw_layer_in bw_layer_out fl_layer_in fl_layer_out quant_type"
_FL_PARAMS = "bw_layer_in bw_layer_out bw_params fl_layer_in fl_layer_out fl_params quant_type"
_FL_BATCH_NORM = (
    "bw_layer_in bw_layer_out fl_layer_in fl_layer_out batchnorm_mean_fl batchnorm_variance_fl"
    " batchnorm_mean_bw batchnorm_variance_bw quant_type"
)
_FL_SCALE = (
    "bw_layer_in bw_layer_out fl_layer_in fl_layer_out scale_gamma_fl scale_beta_fl"
    " scale_gamma_bw scale_beta_bw scale_gamma_by_std_fl scale_gamma_by_std_bw quant_type"
)

# "guide": the layers with a Yes in CHaiDNN's docs/QUANTIZATION.md, which names weights' fields for convolutions only.
# "parser": those whose block caffe_network_parser.cpp misses when it is absent. All others take no block.
_XILINX_PARSER = {
    **dict.fromkeys(("Convolution", "Deconvolution", "Normalize"), _TH_PARAMS),
    **dict.fromkeys(("Pooling MAX", "Pooling AVE", "Eltwise", "Permute", "BatchNorm", "Scale"), _TH),
}
_DYNAMIC_BOTH = {
    "Convolution": _FL_PARAMS,
    "BatchNorm": _FL_BATCH_NORM,
    "Scale": _FL_SCALE,
    **dict.fromkeys(("Pooling AVE", "Permute", "Eltwise"), _FL),
}
MATRICES: dict[tuple[Mode, Matrix], dict[str, str]] = {
    ("Xilinx", "guide"): {
        **_XILINX_PARSER,
        **dict.fromkeys(("Concat", "Normalize"), _TH),
        "ReLU": "bw_layer_in bw_layer_out th_layer_in th_layer_out",
        "Input": "bw_layer_out th_layer_out",
    },
    ("Xilinx", "parser"): _XILINX_PARSER,
    ("DynamicFixed", "guide"): {**_DYNAMIC_BOTH, "Pooling MAX": _FL},
    ("DynamicFixed", "parser"): {**_DYNAMIC_BOTH, "Normalize": _FL, "Deconvolution": _FL},
}

_DATA = frozenset({"Data", "DummyData", "HDF5Data", "ImageData", "MemoryData", "WindowData"})
_DEPTHWISE = frozenset({"ConvolutionDepthwise", "DepthwiseConvolution"})
# Without rescaling on the board, a number means the same before and after these.
_SAME_IN_AND_OUT = frozenset({"ReLU", "Pooling", "Eltwise", "Concat", "Permute"})
_CARRIES = _SAME_IN_AND_OUT | {"Dropout", "Split", "Flatten", "Reshape", "Crop", "Slice"}
_JOINS = frozenset({"Eltwise", "Concat"})


@dataclass(frozen=True)
class _Layer:
    """A LayerParameter and its block as written: (field, text of the value) in order, or None."""

    message: Any
    block: tuple[tuple[str, str], ...] | None

    @property
    def name(self) -> str:
        return str(self.message.name)

    @property
    def type(self) -> str:
        """Caffe's own name; CHaiDNN takes Ristretto's names for the same types (caffe_layer_map.hpp)."""
        name: str = self.message.type.removesuffix("Ristretto")
        return "Convolution" if name in _DEPTHWISE else name

    @property
    def row(self) -> str:
        """The layer's key in the matrices."""
        if self.type == "Pooling":
            pooling = self.message.pooling_param
            return f"Pooling {pooling.PoolMethod.Name(pooling.pool)}"
        return "Input" if self.type in _DATA else self.type

    def written(self, field: str) -> str | None:
        return dict(self.block or ()).get(field)


@dataclass
class _Wire:
    """One version of a blob: who wrote it and which threshold its integers stand for, None while nobody said."""

    source: str
    threshold: str | None


def problems(text: str, mode: Mode, matrix: Matrix = "guide", uncalibrated: frozenset[str] = frozenset()) -> list[str]:
    """Everything in our output that breaks a rule of the board, one line each.

    Layers with `include { phase: TRAIN }` are skipped, as CHaiDNN does.

    Args:
        text: a quantized prototxt.
        mode: the quant_type that it was made with.
        matrix: which layers must have a block, see `MATRICES`; all others must have none.
        uncalibrated: names of layers that may lack their block, because a layer before them has no rule.
    """
    try:
        net = parse(text)
    except text_format.ParseError as error:
        return [f"EP002: {error}"]
    if not net.layer:
        return ["EP106: no layer entries"]
    layers = [layer for layer in _layers(net, text) if not _train_only(layer)]
    rows = MATRICES[mode, matrix]
    found = [*_names(layers), *_batch(net, layers)]
    for layer in layers:
        if layer.block is None:
            found += _absence(layer, layer.row in rows and layer.name not in uncalibrated)
        elif layer.row not in rows:
            found.append(f"{layer.name}: {layer.row} takes no precision_param")
        else:
            found += [*_fields(layer, mode, rows[layer.row]), *_thresholds(layer)]
    return found + list(_chain(net, layers))


_WORD = re.compile(r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[{}<>\[\],;:]|[^\s{}<>\[\],;:#"']+""")


def _read(words: Iterator[str]) -> Fields:
    """The fields up to the closing brace; `[a, b]` is the same as two fields. Relies on a text that `parse` took."""
    fields: Fields = []
    name = before = ""
    listed = False
    for word in words:
        if word in "}>":
            break
        if word in "{<":
            fields.append((name, _read(words)))
        elif word in "[]":
            listed = word == "["
        elif word not in ",;:":
            if before == ":" or listed:
                fields.append((name, word))
            else:
                name = word
        before = word
    return fields


def _layers(net: NetParameter, text: str) -> list[_Layer]:
    words = (word for word in _WORD.findall(text) if not word.startswith("#"))
    written = [fields for name, fields in _read(words) if name == "layer" and not isinstance(fields, str)]
    return [_Layer(message, _block(fields)) for message, fields in zip(net.layer, written, strict=True)]


def _block(fields: Fields) -> tuple[tuple[str, str], ...] | None:
    for name, value in fields:
        if name == "precision_param" and not isinstance(value, str):
            return tuple((field, literal) for field, literal in value if isinstance(literal, str))
    return None


def _train_only(layer: _Layer) -> bool:
    return any(rule.HasField("phase") and rule.phase == 0 for rule in layer.message.include)  # TRAIN = 0


def _names(layers: list[_Layer]) -> Iterator[str]:
    for name, count in Counter(layer.name for layer in layers).items():
        if count > 1:
            yield f"{name}: {count} layers of this name (EP010)"


def _batch(net: NetParameter, layers: list[_Layer]) -> Iterator[str]:
    """The first dimension of every network input must be 1 (EP004, EP008, EP027)."""
    shapes = {layer.name: layer.message.input_param.shape for layer in layers if layer.type == "Input"}
    batches = {name: [list(shape.dim[:1]) for shape in found] for name, found in shapes.items()}
    if net.input:
        header = [list(shape.dim[:1]) for shape in net.input_shape]
        batches["input"] = header or [[batch] for batch in net.input_dim[::4]]
    for name, found in batches.items():
        if not found or any(batch != [1] for batch in found):
            yield f"{name}: batch {found or 'unknown'}, the board takes 1"


def _absence(layer: _Layer, expected: bool) -> Iterator[str]:
    if layer.message.HasField("quantization_param"):
        yield f"{layer.name}: CHaiDNN would read the quantization_param"
    if expected:
        yield f"{layer.name}: {layer.row} without precision_param"


def _fields(layer: _Layer, mode: Mode, expected: str) -> Iterator[str]:
    fields = " ".join(field for field, _ in groupby(field for field, _ in layer.block or ()))
    if fields != expected:
        yield f"{layer.name}: fields {fields} instead of {expected}"
    block = layer.message.precision_param
    if block.HasField("quant_type") and block.quant_type != mode:
        yield f"{layer.name}: quant_type {block.quant_type} instead of {mode}"


def _thresholds(layer: _Layer) -> Iterator[str]:
    """Thresholds must be finite and positive as float32; weights have one for each output channel."""
    block = layer.message.precision_param
    values = [(field, getattr(block, field)) for field in ("th_layer_in", "th_layer_out") if block.HasField(field)]
    values += [(f"th_params {index}", value) for index, value in enumerate(block.th_params)]
    for field, value in values:
        if not 0 < value < math.inf:
            yield f"{layer.name}: {field} is {value}"
    channels = layer.message.convolution_param.num_output
    if layer.type in {"Convolution", "Deconvolution"} and block.th_params and len(block.th_params) != channels:
        yield f"{layer.name}: {len(block.th_params)} th_params for num_output {channels}"


def _chain(net: NetParameter, layers: list[_Layer]) -> Iterator[str]:
    """One threshold for each version of a blob, in the same digits wherever it is written."""
    wires = {blob: _Wire(f"input {blob}", None) for blob in net.input}
    for layer in layers:
        bottoms = list(layer.message.bottom)
        for bottom in bottoms:
            if bottom not in wires:
                yield f"{layer.name}: bottom {bottom} has no producer before it (EX002)"
        arriving = [wires[bottom] for bottom in bottoms if bottom in wires]
        yield from _meet(layer, arriving)
        carried = arriving[0] if arriving and layer.block is None and layer.type in _CARRIES else None
        for top in layer.message.top:
            if top in wires and top not in bottoms:
                yield f"{layer.name}: top {top} has another producer (EX003)"
            wires[top] = carried or _Wire(layer.name, layer.written("th_layer_out"))


def _meet(layer: _Layer, arriving: list[_Wire]) -> Iterator[str]:
    """The thresholds that arrive at a layer against its own."""
    taken, given = layer.written("th_layer_in"), layer.written("th_layer_out")
    known = {wire.source: wire.threshold for wire in arriving if wire.threshold is not None}
    if layer.type in _JOINS and len(set(known.values())) > 1:
        yield f"{layer.name}: inputs differ, " + ", ".join(f"{source} {value}" for source, value in known.items())
    # Of the types with a block only joins may have several bottoms (EP022).
    for wire in arriving if layer.type in _JOINS else arriving[:1]:
        if wire.threshold is None:
            wire.threshold = taken
        elif taken not in {None, wire.threshold}:
            yield f"{layer.name}: th_layer_in {taken}, but the output of {wire.source} has {wire.threshold}"
    if layer.type in _SAME_IN_AND_OUT and None not in {taken, given} and taken != given:
        yield f"{layer.name}: th_layer_in {taken}, but th_layer_out {given}"
