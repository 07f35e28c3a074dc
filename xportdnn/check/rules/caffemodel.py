"""What the board's parser reads of a caffemodel (caffe_network_parser.cpp, ExtractTrainedParameters).

It looks layers up by name among the `layer` entries; of several with one name the last counts, as in Caffe. Of a blob
it knows `shape` and `data` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from xportdnn.caffemodel import Blob, LayerBlobs
from xportdnn.check.params import board_type, flag, of, param
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.shaped import Shaped, shaped
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.check.wording import listed
from xportdnn.layers import Shape, Shapes
from xportdnn.layers.convolution import windows_of
from xportdnn.lazy import np
from xportdnn.shapes import written

# type -> its block in the text and whether it has a bias where the block says nothing of it
_BIASED = {
    "Convolution": ("convolution_param", True),
    "Deconvolution": ("convolution_param", True),
    "InnerProduct": ("inner_product_param", True),
    "Scale": ("scale_param", False),
}
_TRAINED = (*_BIASED, "BatchNorm", "Normalize")
_DIMS_READ = 2  # of the third blob of a BatchNorm only the value


class _Entry(NamedTuple):
    """A layer with weights and what the parser finds of it.

    Attributes:
        entry: of the generation that it reads; None where there is none.
        old: whether there is one of an older generation instead.
    """

    layer: BoardLayer
    entry: LayerBlobs | None
    old: bool


@lru_cache(maxsize=1)
def _entries(subject: Subject) -> tuple[_Entry, ...]:
    return tuple(_found(subject))


def _found(subject: Subject) -> Iterator[_Entry]:
    stored = subject.model.layers if subject.model is not None else ()
    read = {entry.name: entry for entry in stored if entry.generation == 2}
    old = {entry.name for entry in stored if entry.generation < 2 and entry.blobs}
    for layer in of(subject, *_TRAINED):
        entry = read.get(layer.name)
        yield _Entry(layer, entry, entry is None and layer.name in old)


def _old(subject: Subject) -> Iterator[Broken]:
    names = [found.layer.name for found in _entries(subject) if found.old]
    if names:
        what = "layers have their" if len(names) > 1 else "layer has its"
        yield Broken(f"{len(names)} {what} weights in the old form `layers`: {listed(names)}")


def _missing(subject: Subject) -> Iterator[Broken]:
    for found in _entries(subject):
        if found.entry is None and not found.old:
            yield Broken("is not in the caffemodel", found.layer)


def _blob_count(layer: BoardLayer) -> int:
    """How many blobs the parser takes."""
    kind = board_type(layer)
    if kind in _BIASED:
        name, default = _BIASED[kind]
        return 1 + flag(param(layer, name), "bias_term", default)
    return 3 if kind == "BatchNorm" else 1


def _too_few(subject: Subject) -> Iterator[Broken]:
    for found in _entries(subject):
        if found.entry is not None and len(found.entry.blobs) < _blob_count(found.layer):
            message = (
                f"has {len(found.entry.blobs)} blobs in the caffemodel, the board takes {_blob_count(found.layer)}"
            )
            yield Broken(message, found.layer)


def _blobs(found: _Entry) -> tuple[Blob, ...]:
    """Those that the parser takes."""
    return found.entry.blobs[: _blob_count(found.layer)] if found.entry is not None else ()


def _of_file(wrong: Callable[[_Entry], bool], message: str) -> Callable[[Subject], Iterator[Broken]]:
    """One finding for the file: what wrote it wrote all layers alike."""

    def find(subject: Subject) -> Iterator[Broken]:
        names = [found.layer.name for found in _entries(subject) if wrong(found)]
        if names:
            yield Broken(f"{message}: {listed(names)}")

    return find


def _shapeless(found: _Entry) -> bool:
    if board_type(found.layer) == "Normalize" and flag(param(found.layer, "norm_param"), "channel_shared", True):
        return False
    return any(blob.legacy or not blob.shape for blob in _blobs(found)[:_DIMS_READ])


def _unread(found: _Entry) -> bool:
    return any(blob.stored_in != "data" for blob in _blobs(found))


def _misfits(subject: Subject) -> Iterator[Broken]:
    stored = {found.layer.index: _blobs(found) for found in _entries(subject)}
    for layer in shaped(subject, *_TRAINED):
        pairs = zip(stored.get(layer.board.index, ()), _wanted(layer), strict=False)
        for at, (blob, wanted) in enumerate(pairs):
            if blob.shape and not blob.legacy and blob.shape[: len(wanted)] != wanted:
                yield Broken(f"blob {at} is {written(blob.shape)} instead of {written(wanted)}", layer.board)


def _wanted(found: Shaped) -> Shapes:
    """The leading dims of every blob whose dims the parser compares, for layers of which it takes the parameters."""
    kind, params, bottom = board_type(found.board), found.layer.params, found.bottoms[0]
    channels: Shape = found.tops[0][1:2]
    if kind in ("Convolution", "Deconvolution"):
        weight = (*channels, bottom[1] // params.group, *windows_of(params, bottom).kernel)
        # another Deconvolution is not taken at all
        return (weight, channels) if kind == "Convolution" or params.group == bottom[1] == channels[0] else ()
    if kind == "InnerProduct":
        weight = (params.num_output, math.prod(bottom[params.axis % len(bottom) :]))
        return () if params.transpose else (weight, (params.num_output,))
    if kind == "Normalize" and params.channel_shared:
        return ()
    return (channels, channels) if kind else ()


def _not_finite(subject: Subject) -> Iterator[Broken]:
    for index, arrays in subject.weights.items():
        wrong = sum(int(array.size - np.isfinite(array).sum()) for array in arrays)
        if wrong and index in subject.board_layers:
            total = sum(array.size for array in arrays)
            yield Broken(f"{wrong} of {total} weights are NaN or infinite", subject.board_layers[index])


_PARSER = "CHaiDNN caffe_network_parser.cpp"
_FOLD = "`xportdnn fold` writes a caffemodel in the form that the board reads."

RULES = (
    Rule(
        "caffemodel-old-layers",
        Severity.STOPS,
        "The caffemodel's layers are in `layer` entries",
        "Files of 2014 and before have `layers`, which the board's parser does not look at: it finds none of them.",
        f"{_FOLD} Caffe's upgrade_net_proto_binary does so, too.",
        f"{_PARSER}, ExtractTrainedParameters, EP030",
        _old,
        "model",
    ),
    Rule(
        "caffemodel-layer-missing",
        Severity.STOPS,
        "Every layer with weights is in the caffemodel, by its name",
        "The parser stops at the first Convolution, Deconvolution, InnerProduct, Normalize, BatchNorm or Scale that it "
        "does not find.",
        "Use the caffemodel of this network, or the name that the layer has there.",
        f"{_PARSER}, EP030, EP032, EP035, EP037",
        _missing,
        "model",
    ),
    Rule(
        "caffemodel-blobs-missing",
        Severity.STOPS,
        "Every layer has as many blobs as the board takes",
        "The parser takes weights and, where the prototxt does not say bias_term: false, a bias, three blobs of a "
        "BatchNorm, without looking whether they are there; protobuf aborts.",
        "Write bias_term: false where the layer has no bias; use the caffemodel of this network.",
        f"{_PARSER}, ExtractTrainedParameters",
        _too_few,
        "model",
    ),
    Rule(
        "caffemodel-old-shapes",
        Severity.STOPS,
        "The blobs have a BlobShape",
        "Old files give num, channels, height and width instead, which the board's parser does not know.",
        f"{_FOLD} Loading and saving the network with a Caffe of today does so, too.",
        f"{_PARSER}, getBlobDim, EP167",
        _of_file(_shapeless, "blobs without a BlobShape"),
        "model",
    ),
    Rule(
        "caffemodel-values-unread",
        Severity.WRONG,
        "The weights are 32-bit floats",
        "The parser takes BlobProto.data; double_data and half precision raw_data are not read and leave an empty list "
        "of weights, beyond whose end the loader then reads.",
        _FOLD,
        f"{_PARSER}, extractBlobToVector",
        _of_file(_unread, "weights that are no 32-bit floats"),
        "model",
    ),
    Rule(
        "caffemodel-shape",
        Severity.STOPS,
        "The weights have the shapes that the board computes from the prototxt",
        "(num_output, channels / group, k, k) of a convolution, (num_output, inputs) of an InnerProduct, (channels) of "
        "all others; a bias has num_output first.",
        "Use the caffemodel of this network, and the input shape that it was trained with; an InnerProduct depends on "
        "that. Leading ones, as in (1, 1, num_output, inputs), must go.",
        f"{_PARSER}, EP031, EP034 to EP036, EP038, EP056, EP057",
        _misfits,
        "model",
    ),
    Rule(
        "weights-not-finite",
        Severity.WRONG,
        "No weight is NaN or infinite",
        "What such a number becomes as an integer is not defined, and everything behind the layer is lost.",
        "Take an earlier snapshot: the training went wrong.",
        "CHaiDNN xi_common_utils.hpp",
        _not_finite,
        "weights",
    ),
)
