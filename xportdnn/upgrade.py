"""Older prototxt generations, brought to `layer { }` form as edits of the user's own text.

What caffe/src/caffe/util/upgrade_proto.cpp does in memory: `input:` headers become Input layers, V1 `layers` get
string types and `param {}` blocks, V0 `layers { layer { } }` are written anew with their padding layers folded into
the convolutions behind them. A file in today's form comes back untouched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from xportdnn.decode import as_int, as_text
from xportdnn.edits import lines_of
from xportdnn.errors import LayerError, PrototxtError
from xportdnn.literals import quoted
from xportdnn.prototxt import Document, Edit, Field, Message, Scalar, Source, parse

# V1LayerParameter.LayerType by number
V1_TYPES = (
    "NONE", "Accuracy", "BNLL", "Concat", "Convolution", "Data", "Dropout", "EuclideanLoss", "Flatten", "HDF5Data",
    "HDF5Output", "Im2col", "ImageData", "InfogainLoss", "InnerProduct", "LRN", "MultinomialLogisticLoss", "Pooling",
    "ReLU", "Sigmoid", "Softmax", "SoftmaxWithLoss", "Split", "TanH", "WindowData", "Eltwise", "Power",
    "SigmoidCrossEntropyLoss", "HingeLoss", "MemoryData", "ArgMax", "Threshold", "DummyData", "Slice", "MVN",
    "AbsVal", "Silence", "ContrastiveLoss", "Exp", "Deconvolution",
)  # fmt: skip
_V1_NAMES = {
    "NONE": "NONE", "HDF5_DATA": "HDF5Data", "HDF5_OUTPUT": "HDF5Output", "SOFTMAX_LOSS": "SoftmaxWithLoss",
} | {name.upper(): name for name in V1_TYPES} | {
    "EUCLIDEAN_LOSS": "EuclideanLoss", "IMAGE_DATA": "ImageData", "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct", "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "WINDOW_DATA": "WindowData", "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss", "HINGE_LOSS": "HingeLoss",
    "MEMORY_DATA": "MemoryData", "DUMMY_DATA": "DummyData", "CONTRASTIVE_LOSS": "ContrastiveLoss",
}  # fmt: skip

# V0 type -> (today's type, parameter field, {V0 field: today's field})
_WEIGHTED = {
    "num_output": "num_output", "biasterm": "bias_term", "pad": "pad", "kernelsize": "kernel_size", "group": "group",
    "stride": "stride", "weight_filler": "weight_filler", "bias_filler": "bias_filler",
}  # fmt: skip
_POOLING = {"pool": "pool", "kernelsize": "kernel_size", "stride": "stride", "pad": "pad"}
_V0 = {
    "accuracy": ("Accuracy", "", {}),
    "bnll": ("BNLL", "", {}),
    "concat": ("Concat", "concat_param", {"concat_dim": "concat_dim"}),
    "conv": ("Convolution", "convolution_param", _WEIGHTED),
    "data": ("Data", "data_param", {"source": "source", "batchsize": "batch_size"}),
    "dropout": ("Dropout", "dropout_param", {"dropout_ratio": "dropout_ratio"}),
    "euclidean_loss": ("EuclideanLoss", "", {}),
    "flatten": ("Flatten", "", {}),
    "hdf5_data": ("HDF5Data", "hdf5_data_param", {"source": "source", "batchsize": "batch_size"}),
    "hdf5_output": ("HDF5Output", "", {}),
    "im2col": ("Im2col", "convolution_param", _WEIGHTED),
    "images": ("ImageData", "image_data_param", {"source": "source", "batchsize": "batch_size"}),
    "infogain_loss": ("InfogainLoss", "infogain_loss_param", {"source": "source"}),
    "innerproduct": ("InnerProduct", "inner_product_param", _WEIGHTED),
    "lrn": ("LRN", "lrn_param", {"local_size": "local_size", "alpha": "alpha", "beta": "beta", "k": "k"}),
    "multinomial_logistic_loss": ("MultinomialLogisticLoss", "", {}),
    "pool": ("Pooling", "pooling_param", _POOLING),
    "relu": ("ReLU", "", {}),
    "sigmoid": ("Sigmoid", "", {}),
    "softmax": ("Softmax", "", {}),
    "softmax_loss": ("SoftmaxWithLoss", "", {}),
    "split": ("Split", "", {}),
    "tanh": ("TanH", "", {}),
    "window_data": ("WindowData", "window_data_param", {"source": "source", "batchsize": "batch_size"}),
}  # fmt: skip


class Upgraded(NamedTuple):
    """Today's form of a file, and what had to be done for it, one sentence each."""

    document: Document
    notes: tuple[str, ...]


def upgrade(document: Document) -> Upgraded:
    """The document with only `layer { }` entries in it.

    Raises:
        PrototxtError: generations are mixed, or an old layer cannot be read.
    """
    document, listed = _apart(document)
    source, root = document
    old = [entry for entry in root.fields if entry.name == "layers"]
    new = [entry for entry in root.fields if entry.name == "layer"]
    if old and new:
        raise PrototxtError(
            f"{source.where(old[0].start)}: 'layers' here and 'layer' in line {source.line(new[0].start)}: one file "
            "holds two generations of the format, and their order is lost; write all of them as 'layer'"
        )
    edits: list[Edit] = []
    notes = list(listed)
    header = _header(document)
    if header:
        edits += header
        notes.append(f"{source.where(header[0].start)}: the input header is now an Input layer")
    if old:
        generation = "V0" if any(_v0_layer(entry) is not None for entry in old) else "V1"
        edits += _v0(document, old) if generation == "V0" else [edit for entry in old for edit in _v1(source, entry)]
        notes.append(f"{source.where(old[0].start)}: {len(old)} {generation} 'layers' entries are now 'layer' entries")
    if not edits:
        return Upgraded(document, tuple(notes))
    return Upgraded(parse(source.edited(edits)), tuple(notes))


def _apart(document: Document) -> Upgraded:
    """Layers that stand in a list, `layer: [{ }, { }]`, as entries of their own, which can be edited one by one."""
    source = document.source
    layers = [entry for entry in document.root.fields if entry.name in ("layer", "layers")]
    edits: list[Edit] = []
    notes: list[str] = []
    for (start, end), group in groupby(layers, key=lambda entry: (entry.start, entry.end)):
        entries = list(group)
        if len(entries) == 1:
            continue
        at = start
        for entry in entries:
            newline = source.newline if at > start else ""
            edits.append(
                Edit(at, entry.value.start, f"{newline}{_comments(source, at, entry.value.start)}{entry.name} ")
            )
            at = entry.value.end
        edits.append(Edit(at, end, f" {_comments(source, at, end)}".rstrip()))
        notes.append(f"{source.where(start)}: the list of {len(entries)} layers is now one entry for each")
    return Upgraded(parse(source.edited(edits)) if edits else document, tuple(notes))


def _comments(source: Source, start: int, end: int) -> str:
    """The comments between two layers of a list, each with its line's end."""
    return "".join(re.findall(r"#[^\n]*\n", source.text[start:end]))


def input_layer(name: str, tops: Sequence[str], shapes: Sequence[Sequence[int]], newline: str) -> str:
    """The text of an Input layer, laid out like the rest of our output (no final newline)."""
    lines = ["layer {", f"  name: {quoted(name)}", '  type: "Input"', *(f"  top: {quoted(top)}" for top in tops)]
    if any(shapes):
        lines.append("  input_param {")
        for dims in shapes:
            lines += ["    shape {", *(f"      dim: {dim}" for dim in dims), "    }"]
        lines.append("  }")
    return newline.join([*lines, "}"])


def _header(document: Document) -> list[Edit]:
    """Edits that turn `input`, `input_shape` and `input_dim` into an Input layer where the first of them stood.

    A header behind layers moves before them, as in Caffe.
    """
    source, root = document
    fields = [entry for entry in root.fields if entry.name in ("input", "input_shape", "input_dim")]
    names = [_scalar(source, entry) for entry in fields if entry.name == "input"]
    if not names:
        return []
    shapes = [
        [_integer(source, dim) for dim in entry.value.fields if dim.name == "dim"]
        for entry in fields
        if entry.name == "input_shape" and isinstance(entry.value, Message)
    ]
    dims = [_integer(source, entry) for entry in fields if entry.name == "input_dim"]
    where = source.where(fields[0].start)
    if shapes and dims:
        raise PrototxtError(f"{where}: input_shape and input_dim are both given; keep one of them")
    if dims and len(dims) != 4 * len(names):
        raise PrototxtError(
            f"{where}: {len(names)} input(s) need {4 * len(names)} input_dim values (batch, channels, height, width "
            f"each), there are {len(dims)}"
        )
    if shapes and len(shapes) not in (1, len(names)):
        raise PrototxtError(f"{where}: {len(names)} inputs but {len(shapes)} input_shape blocks; give one each")
    if dims:
        shapes = [dims[i : i + 4] for i in range(0, len(dims), 4)]
    shapes = shapes * len(names) if len(shapes) == 1 else shapes or [[] for _ in names]
    taken = {layer.string("name") for layer in (*root.messages("layer"), *root.messages("layers"))}
    # Caffe calls the layer "input" (UpgradeNetInput); where the network has one of that name, the blob's name serves
    name = names[0] if "input" in taken else "input"
    text = input_layer(name, names, shapes, source.newline)
    first = min((entry.start for entry in root.fields if entry.name in ("layer", "layers")), default=fields[0].start)
    if first < fields[0].start:
        return [Edit(first, first, text + source.newline), *_without(source, _spans(fields), first)]
    return _replace(source, fields, text)


def _replace(source: Source, fields: Sequence[Field], text: str) -> list[Edit]:
    """Put `text` where the first field stood and take the others away."""
    spans = _spans(fields)
    return [Edit(*spans[0], text), *_without(source, spans[1:], spans[0][1])]


def _spans(fields: Sequence[Field]) -> list[tuple[int, int]]:
    """Where the fields stand, in order; the values of a list share one span."""
    return sorted({(entry.start, entry.end) for entry in fields})


def _without(source: Source, spans: Sequence[tuple[int, int]], after: int) -> Iterator[Edit]:
    """Edits that take spans behind `after` away, with their lines where they have their own."""
    for span in spans:
        start, end = lines_of(source, *span)
        yield Edit(max(start, after), end, "")
        after = end


def _v1(source: Source, entry: Field) -> list[Edit]:
    """Edits of one V1 layer: keyword, type, and learning rates as `param {}` blocks."""
    if not isinstance(entry.value, Message):
        raise PrototxtError(f"{source.where(entry.start)}: 'layers' must be a {{ }} block")
    edits = [Edit(entry.start, entry.start + len("layers"), "layer")]
    rates: dict[str, list[Field]] = {"blobs_lr": [], "weight_decay": [], "param": [], "blob_share_mode": []}
    for item in entry.value.fields:
        if item.name == "type" and isinstance(item.value, Scalar):
            edits.append(Edit(item.value.start, item.value.end, quoted(_v1_type(source, item.value))))
        elif item.name in rates:
            rates[item.name].append(item)
    written = sorted((item for items in rates.values() for item in items), key=lambda item: item.start)
    if written:
        blocks = _params(*([_scalar(source, item) for item in items] for items in rates.values()))
        indent = source.newline + " " * (source.position(written[0].start)[1] - 1)
        edits += _replace(source, written, indent.join(blocks))
    return edits


def _v1_type(source: Source, value: Scalar) -> str:
    if value.kind == "number" and value.text.isdigit() and int(value.text) < len(V1_TYPES):
        return V1_TYPES[int(value.text)]
    if value.kind == "name" and value.text in _V1_NAMES:
        return _V1_NAMES[value.text]
    raise PrototxtError(
        f"{source.where(value.start)}: '{value.text}' is no V1 layer type; write the layer as "
        'layer { type: "..." } with the type in quotes'
    )


def _params(rates: Sequence[str], decays: Sequence[str], names: Sequence[str], modes: Sequence[str]) -> list[str]:
    """`param { }` texts from the four parallel lists of a V1 layer."""
    blocks = []
    for index in range(max(len(rates), len(decays), len(names), len(modes))):
        parts = [
            f"name: {quoted(names[index])}" if index < len(names) and names[index] else "",
            f"share_mode: {modes[index]}" if index < len(modes) else "",
            f"lr_mult: {rates[index]}" if index < len(rates) else "",
            f"decay_mult: {decays[index]}" if index < len(decays) else "",
        ]
        blocks.append(f"param {{ {' '.join(part for part in parts if part)} }}".replace("{  }", "{ }"))
    return blocks


def _v0_layer(entry: Field) -> Message | None:
    return next(iter(entry.value.messages("layer")), None) if isinstance(entry.value, Message) else None


def _v0(document: Document, entries: Sequence[Field]) -> list[Edit]:
    """Edits that write every V0 layer anew; padding layers vanish into the convolution that reads them."""
    source = document.source
    padding: dict[str, tuple[str, str]] = {}  # padded blob -> (blob before padding, pad)
    edits = []
    for entry in entries:
        layer = _v0_layer(entry)
        if layer is None or not isinstance(entry.value, Message):
            raise PrototxtError(f"{source.where(entry.start)}: V0 and V1 layers in one file; write all as 'layer'")
        kind = layer.string("type")
        bottoms, tops = entry.value.strings("bottom"), entry.value.strings("top")
        if kind == "padding":
            padding[tops[0]] = (bottoms[0], layer.string("pad", "0"))
            edits.append(Edit(*lines_of(source, entry.start, entry.end), ""))
            continue
        if kind not in _V0:
            raise PrototxtError(f"{source.where(entry.start)}: '{kind}' is no V0 layer type; write it as 'layer'")
        pads = [padding[bottom][1] for bottom in bottoms if bottom in padding]
        if pads and kind not in ("conv", "pool"):
            raise PrototxtError(f"{source.where(entry.start)}: only a conv or pool layer can follow a padding layer")
        bottoms = [padding[bottom][0] if bottom in padding else bottom for bottom in bottoms]
        edits.append(Edit(entry.start, entry.end, _v0_text(source, layer, kind, bottoms, tops, pads)))
    return edits


def _v0_text(
    source: Source, layer: Message, kind: str, bottoms: Sequence[str], tops: Sequence[str], pads: Sequence[str]
) -> str:
    name, block, renamed = _V0[kind]
    lines = ["layer {", f"  name: {quoted(layer.string('name'))}", f"  type: {quoted(name)}"]
    lines += [f"  bottom: {quoted(bottom)}" for bottom in bottoms]
    lines += [f"  top: {quoted(top)}" for top in tops]
    lines += [f"  {text}" for text in _params(layer.strings("blobs_lr"), layer.strings("weight_decay"), [], [])]
    inner = [
        f"    {renamed[item.name]} {source.text[item.value.start : item.value.end]}"
        if isinstance(item.value, Message)
        else f"    {renamed[item.name]}: {source.text[item.value.start : item.value.end]}"
        for item in layer.fields
        if item.name in renamed and not (item.name == "pad" and pads)
    ]
    inner += [f"    pad: {pad}" for pad in pads]
    if inner and block:
        lines += [f"  {block} {{", *inner, "  }"]
    return source.newline.join([*lines, "}"])


def _integer(source: Source, entry: Field) -> int:
    try:
        return as_int(entry.value, entry.name)
    except LayerError as error:
        raise PrototxtError(f"{source.where(entry.start)}: {error}") from None


def _scalar(source: Source, entry: Field) -> str:
    if entry.name in ("input", "param"):
        try:
            return as_text(entry.value, entry.name)
        except LayerError as error:
            raise PrototxtError(f"{source.where(entry.start)}: {error}") from None
    if isinstance(entry.value, Message):
        raise PrototxtError(f"{source.where(entry.start)}: '{entry.name}' must be a value, not a {{ }} block")
    return source.text[entry.value.start : entry.value.end]
