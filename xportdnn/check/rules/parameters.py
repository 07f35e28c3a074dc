"""What a layer computes: settings that stop the parser, and those that it does not look at."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.params import commas, flag, number, numbers, of, param, start
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import Subject


def _relu(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "ReLU"):
        block = param(layer, "relu_param")
        slope = number(block, "negative_slope", 0.0)
        if slope:
            yield Broken(f"negative_slope is {slope:g}; the board computes 0", layer, start(block, "negative_slope"))


def _eltwise(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Eltwise"):
        block = param(layer, "eltwise_param")
        if block.string("operation") in ("MAX", "2"):
            yield Broken("operation is MAX", layer, start(block, "operation"))


def _product(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Eltwise"):
        block = param(layer, "eltwise_param")
        if block.string("operation") in ("PROD", "0"):
            yield Broken("operation is PROD; the board adds", layer, start(block, "operation"))


def _coeff(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Eltwise"):
        block = param(layer, "eltwise_param")
        if block.all("coeff"):
            yield Broken(f"coeff is {commas(numbers(block, 'coeff'))}", layer, start(block, "coeff"))


def _normalize(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Normalize"):
        block = param(layer, "norm_param")
        if flag(block, "across_spatial", False):
            yield Broken("across_spatial is true", layer, start(block, "across_spatial"))


def _normalize_default(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Normalize"):
        if not param(layer, "norm_param").all("across_spatial"):
            yield Broken("across_spatial is not given: true in Caffe, false on the board", layer)


def _batch_norm(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "BatchNorm"):
        block = param(layer, "batch_norm_param")
        if not flag(block, "use_global_stats", True):
            yield Broken("use_global_stats is false", layer, start(block, "use_global_stats"))


def _power(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Power"):
        block = param(layer, "power_param")
        power, scale, shift = (number(block, "power", 1), number(block, "scale", 1), number(block, "shift", 0))
        if (power, scale, shift) != (1, -1, 0):
            does_nothing = "; it does nothing and can be deleted" if (power, scale, shift) == (1, 1, 0) else ""
            message = f"power {power:g}, scale {scale:g}, shift {shift:g} instead of 1, -1, 0{does_nothing}"
            yield Broken(message, layer, start(block, "power", "scale", "shift"))


def _pooling(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Pooling"):
        block = param(layer, "pooling_param")
        if block.string("pool") in ("STOCHASTIC", "2"):
            yield Broken("pool is STOCHASTIC", layer, start(block, "pool"))


_SOURCE = "caffe_network_parser.cpp, Extract"
_READ = " (read, not run)"
RULES = (
    Rule(
        "relu-slope",
        Severity.WRONG,
        "A ReLU has no negative_slope",
        "The parser does not look at it: negative values become 0.",
        "Train again with a plain ReLU.",
        _SOURCE + "ReLUParameters",
        _relu,
    ),
    Rule(
        "eltwise-operation",
        Severity.STOPS,
        "Eltwise adds",
        "The parser stops at MAX.",
        "Train again with SUM, or run the layer as the user's own.",
        _SOURCE + "EltwiseParameters, EP061",
        _eltwise,
    ),
    Rule(
        "eltwise-product",
        Severity.WRONG,
        "Eltwise does not multiply",
        "The parser takes PROD, but there is one Eltwise job, and it adds.",
        "Train again with SUM, or run the layer as the user's own.",
        "xtract_opt.cpp and xi_convolution.hpp, opcode 11" + _READ,
        _product,
    ),
    Rule(
        "eltwise-coeff",
        Severity.STOPS,
        "Eltwise has no coeff",
        "The parser stops, also where every coeff is 1.",
        "Delete coefficients of 1; put others into the weights of the Convolutions before.",
        _SOURCE + "EltwiseParameters, EP062",
        _coeff,
    ),
    Rule(
        "normalize-across-spatial",
        Severity.STOPS,
        "Normalize works on every pixel by itself",
        "The parser stops at across_spatial: true.",
        "Train again with across_spatial: false, or run the layer as the user's own.",
        _SOURCE + "L2NormalizeParameters, EP042",
        _normalize,
    ),
    Rule(
        "normalize-default",
        Severity.WRONG,
        "Normalize says across_spatial: false",
        "Without the field Caffe norms over all pixels together, its default being true; the parser takes the layer, "
        "and the board norms every pixel by itself.",
        "Write across_spatial: false if the network was trained so; otherwise see normalize-across-spatial.",
        _SOURCE + "L2NormalizeParameters; swkernels/xi_norm_top.cpp" + _READ,
        _normalize_default,
    ),
    Rule(
        "batch-norm-statistics",
        Severity.STOPS,
        "BatchNorm uses its stored statistics",
        "The parser stops at use_global_stats: false, which is for training.",
        "Delete use_global_stats; xportdnn fold takes the whole layer away.",
        _SOURCE + "BatchNormParameters, EP163",
        _batch_norm,
    ),
    Rule(
        "power-values",
        Severity.STOPS,
        "Power changes the sign",
        "Power is there for CReLU only: the parser takes power: 1, scale: -1 and shift: 0.",
        "Put scale and shift into the weights of the Convolution before or behind it, and delete the layer.",
        _SOURCE + "PowerParameters, EP072, EP073, EP074" + _READ,
        _power,
    ),
    Rule(
        "pooling-method",
        Severity.LIMIT,
        "Pooling is MAX or AVE",
        "Only these two are supported; what the board makes of the third is not known.",
        "Train again with MAX or AVE.",
        "docs/SUPPORTED_LAYERS.md",
        _pooling,
    ),
)
