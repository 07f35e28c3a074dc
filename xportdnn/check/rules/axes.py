"""Axes, orders and offsets: the board counts and joins them in one way only."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.params import board_type, commas, flag, integer, integers, of, param, start
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import Subject

_AXES = {
    "ArgMax": "argmax_param", "Concat": "concat_param", "Flatten": "flatten_param", "Softmax": "softmax_param",
}  # fmt: skip


def _flatten(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Flatten"):
        block = param(layer, "flatten_param")
        end = integer(block, "end_axis", -1)
        if end != -1:
            yield Broken(f"end_axis is {end} instead of -1", layer, start(block, "end_axis"))


def _permute(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Permute"):
        block = param(layer, "permute_param")
        order = integers(block, "order")
        if order != [0, 2, 3, 1]:
            yield Broken(f"order is {commas(order) or 'not given'} instead of 0, 2, 3, 1", layer, start(block, "order"))


def _scale(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Scale"):
        block = param(layer, "scale_param")
        for name in ("axis", "num_axes"):
            value = integer(block, name, 1)
            if value != 1:
                yield Broken(f"{name} is {value} instead of 1", layer, start(block, name))


def _reshape(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Reshape"):
        block = param(layer, "reshape_param")
        axes = integer(block, "num_axes", -1)
        if axes != -1:
            yield Broken(f"num_axes is {axes} instead of -1", layer, start(block, "num_axes"))
        if not any(shape.all("dim") for shape in block.messages("shape")):
            yield Broken("there is no shape with dims", layer)


def _reshape_axis(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Reshape"):
        block = param(layer, "reshape_param")
        axis = integer(block, "axis", 0)
        if axis != 0 and integer(block, "num_axes", -1) == -1:
            yield Broken(f"axis is {axis}; the board counts the dims from axis 0", layer, start(block, "axis"))


def _crop(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Crop"):
        block = param(layer, "crop_param")
        axis = integer(block, "axis", 2)
        if axis != 2:
            yield Broken(f"axis is {axis} instead of 2", layer, start(block, "axis"))
        if not block.all("offset"):
            yield Broken("offset is not given; Caffe's default is 0", layer)


def _negative_axis(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, *_AXES):
        block = param(layer, _AXES[board_type(layer)])
        axis = integer(block, "axis", 1)
        if axis < 0:
            yield Broken(f"axis is {axis}; the board counts from the front only", layer, start(block, "axis"))


def _concat_dim(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Concat"):
        block = param(layer, "concat_param")
        dim = integer(block, "concat_dim", 1)
        if dim != 1 and not block.all("axis"):
            yield Broken(f"concat_dim is {dim}; the board joins along axis 1", layer, start(block, "concat_dim"))


def _inner_product(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "InnerProduct"):
        block = param(layer, "inner_product_param")
        if flag(block, "transpose", False):
            yield Broken("transpose is true; the board takes the weights as they are", layer, start(block, "transpose"))
        axis = integer(block, "axis", 1)
        if axis != 1:
            yield Broken(f"axis is {axis}; the board joins all axes of the bottom", layer, start(block, "axis"))


_SOURCE = "caffe_network_parser.cpp, Extract"
_READ = " (read, not run)"
RULES = (
    Rule(
        "flatten-end",
        Severity.STOPS,
        "Flatten goes to the last axis",
        "The parser takes end_axis: -1 only.",
        "Delete end_axis.",
        _SOURCE + "FlattenParameters, EP040",
        _flatten,
    ),
    Rule(
        "permute-order",
        Severity.STOPS,
        "Permute brings the channels to the end",
        "The parser takes the order 0, 2, 3, 1 only, all four numbers.",
        "Run any other Permute behind the board, or as the user's own layer.",
        _SOURCE + "PermuteParameters, EP041",
        _permute,
    ),
    Rule(
        "scale-axis",
        Severity.STOPS,
        "Scale multiplies channels",
        "The parser takes axis: 1 and num_axes: 1 only.",
        "Train again with a factor for each channel.",
        _SOURCE + "ScaleParameters, EP062, EP063" + _READ,
        _scale,
    ),
    Rule(
        "reshape-shape",
        Severity.STOPS,
        "Reshape gives a shape for all axes",
        "The parser wants dims and takes num_axes: -1 only.",
        "Write all dims of the top.",
        _SOURCE + "ReshapeParameters, EP047, EP048" + _READ,
        _reshape,
    ),
    Rule(
        "reshape-axis",
        Severity.WRONG,
        "Reshape starts at axis 0",
        "The parser takes the dims for the whole shape of the top and does not look at axis.",
        "Write all dims, 0 for those that stay, without axis.",
        "software/xtract/xparameter.hpp, ReshapeParameter::computeOutputDim" + _READ,
        _reshape_axis,
    ),
    Rule(
        "crop-values",
        Severity.STOPS,
        "Crop has axis 2 and an offset",
        "The parser takes axis: 2 only and has no default for the offset.",
        "Write axis: 2 and the offset, 0 where there is none.",
        _SOURCE + "CropParameters, EP019, EP020" + _READ,
        _crop,
    ),
    Rule(
        "negative-axis",
        Severity.STOPS,
        "An axis is counted from the front",
        "Caffe takes -1 as the last axis. The board uses the number as it is: it stops, or aborts without a message.",
        "Write the axis from 0 on: the last of four is 3, the last of two is 1.",
        _SOURCE + "SoftmaxParameters, ExtractArgmaxParameters; xparameter.hpp, EX013, EX014" + _READ,
        _negative_axis,
    ),
    Rule(
        "concat-dim",
        Severity.WRONG,
        "Concat gives its axis as axis",
        "The parser does not look at the old concat_dim; without axis it joins along axis 1.",
        "Write axis instead of concat_dim.",
        _SOURCE + "ConcatParameters" + _READ,
        _concat_dim,
    ),
    Rule(
        "inner-product-layout",
        Severity.WRONG,
        "InnerProduct multiplies the whole bottom by rows of weights",
        "The parser does not look at transpose and axis. Where the weights do not fit the sizes that it makes up, it "
        "stops (EP035); where they do, the result is wrong.",
        "Write the weights in rows, num_output x inputs, and let the layer join all axes.",
        _SOURCE + "FCParameters" + _READ,
        _inner_product,
    ),
)
