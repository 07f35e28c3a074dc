"""What the board's documentation limits, and what its pooling does at the border. Nothing of this is checked when the
board's software reads the file."""

from __future__ import annotations

import math
from collections.abc import Iterator

from xportdnn.arithmetic.board import faults
from xportdnn.check.params import commas, integer, integers, of, param, start
from xportdnn.check.reading import fusion
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.shaped import Shaped, shaped
from xportdnn.check.signs import nonnegative
from xportdnn.check.subject import Subject
from xportdnn.check.wording import listed
from xportdnn.kernels import Windows
from xportdnn.layers import Shape, pooling
from xportdnn.layers.convolution import windows_of
from xportdnn.network import Layer
from xportdnn.simulation.board.geometry import windows_on_board

_KERNELS = (1, 3, 5, 7, 11)
_DILATION = 6
_FEATURE_MAPS = {"Convolution": 4096, "Pooling": 4096, "BatchNorm": 2048, "Scale": 2048}
_BOXES = 200
# Between a Deconvolution and the ArgMax that reads it.
_CUTTING = frozenset({"Crop", "Dropout"})


def _kernels(subject: Subject) -> Iterator[Broken]:
    for found in shaped(subject, "Convolution"):
        kernel = windows_of(found.layer.params, found.bottoms[0]).kernel
        if len(set(kernel)) == 1 and kernel[0] not in _KERNELS:
            where = start(param(found.board, "convolution_param"), "kernel_size", "kernel_h")
            yield Broken(f"the kernel is {kernel[0]}x{kernel[0]}", found.board, where)


def _dilations(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Convolution"):
        block = param(layer, "convolution_param")
        dilation = integers(block, "dilation")
        if max(dilation, default=1) > _DILATION:
            yield Broken(f"dilation is {commas(dilation)}", layer, start(block, "dilation"))


def _feature_maps(subject: Subject) -> Iterator[Broken]:
    fused = fusion(subject).owners
    for found in shaped(subject, *_FEATURE_MAPS):
        assert found.layer.kind is not None
        if found.layer.index in fused or min(len(found.bottoms[0]), len(found.tops[0])) < 2:
            continue
        limit = _FEATURE_MAPS[found.layer.kind.name]
        maps = {"come in": found.bottoms[0][1], "go out": found.tops[0][1]}
        over = [f"{count} feature maps {way}" for way, count in maps.items() if count >= limit]
        if over:
            yield Broken(f"{' and '.join(over)}, {limit - 1} is the most", found.board)


def _deconvolution(subject: Subject) -> Iterator[Broken]:
    for found in shaped(subject, "Deconvolution"):
        readers = list(_readers(subject, found.layer))
        others = [f"{reader.name} ({reader.type})" for reader in readers if reader.type != "ArgMax"]
        if others or not readers:
            yield Broken(f"{listed(others) if readers else 'nothing'} reads what it makes", found.board)


def _readers(subject: Subject, layer: Layer) -> Iterator[Layer]:
    """The layers that read a layer's top, past those that only cut pieces out."""
    assert subject.net is not None
    for reader in subject.net.readers.get(layer.tops[0], ()):
        if reader.kind is not None and reader.kind.name in _CUTTING:
            yield from _readers(subject, reader)
        else:
            yield reader


def _boxes(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "DetectionOutput"):
        block = param(layer, "detection_output_param")
        kept = integer(block, "keep_top_k", -1)
        if not 0 <= kept <= _BOXES:
            said = f"keep_top_k is {kept}" if block.all("keep_top_k") else "keep_top_k is not given, all boxes are kept"
            yield Broken(said, layer, start(block, "keep_top_k"))


# ---- pooling at the border


def _poolings(subject: Subject, method: str) -> Iterator[tuple[Shaped, Windows]]:
    """Layers of that method of which the board computes as many windows as Caffe, and all of them as it is meant to."""
    for found in shaped(subject, "Pooling"):
        params, size, counts = found.layer.params, found.bottoms[0][2:], found.tops[0][2:]
        windows = pooling.windows_of(params, size)
        if params.pool == method and windows_on_board(windows, size) == counts:
            kinds = {fault.kind for fault in faults.pooling(params.pool, found.bottoms[0][1], size, windows, counts)}
            if not kinds & {faults.Kind.OVERHANG, faults.Kind.WINDOW}:
                yield found, windows


def _maximum(subject: Subject) -> Iterator[Broken]:
    net = subject.net
    positive = nonnegative(net) if net is not None else frozenset()
    for found, windows in _poolings(subject, "MAX"):
        readers = net.readers.get(found.layer.tops[0], ()) if net is not None else ()
        rectified = bool(readers) and all(r.type == "ReLU" and not r.params.negative_slope for r in readers)
        if found.layer.bottoms[0] in positive or rectified:
            continue
        spans = zip(windows.span(found.tops[0][2:]), found.bottoms[0][2:], windows.pad, strict=True)
        outside = [max(0, span - length - pad) for span, length, pad in spans]
        if any(windows.pad) or any(outside):
            what = f"pad {windows.pad[0]}" if any(windows.pad) else f"windows that hang over by {max(outside)}"
            where = start(param(found.board, "pooling_param"), "pad", "pad_h", "kernel_size", "kernel_h")
            yield Broken(f"{what}, and '{found.layer.bottoms[0].blob}' can hold numbers below 0", found.board, where)


def _average(subject: Subject) -> Iterator[Broken]:
    for found, windows in _poolings(subject, "AVE"):
        sides = _sides(windows, found.bottoms[0][2:], found.tops[0][2:])
        whole = math.prod(side.count(kernel) for side, kernel in zip(sides, windows.kernel, strict=True))
        count = math.prod(len(side) for side in sides)
        if whole < count:
            message = (
                f"{count - whole} of {count} windows hang over the padded picture; Caffe divides their sums by "
                f"as few as {math.prod(min(side) for side in sides)}, the board by {math.prod(windows.kernel)}"
            )
            yield Broken(message, found.board, start(param(found.board, "pooling_param"), "kernel_size", "kernel_h"))


def _sides(windows: Windows, size: Shape, counts: Shape) -> list[list[int]]:
    """Of every axis the cells of each window within the padded picture; `pooling.divisors` without NumPy."""
    return [
        [min(kernel, length + 2 * pad - at * stride) for at in range(count)]
        for kernel, stride, pad, length, count in zip(
            windows.kernel, windows.stride, windows.pad, size, counts, strict=True
        )
    ]


_DOCUMENT = "CHaiDNN docs/SUPPORTED_LAYERS.md"
_POOL = "CHaiDNN design/conv, Conv3dTop, run in C simulation"

RULES = (
    Rule(
        "kernel-size",
        Severity.LIMIT,
        "The kernels of convolutions are 1x1, 3x3, 5x5, 7x7 or 11x11",
        "The user guide names no others; what the hardware makes of them is not known.",
        "Enlarge the kernel to the next of these with zero weights around it, and the pad with it.",
        _DOCUMENT,
        _kernels,
        "shapes",
    ),
    Rule(
        "dilation",
        Severity.LIMIT,
        "Convolutions are dilated by no more than 6",
        "The user guide names 6; what the hardware makes of more is not known.",
        "Use a dilation of at most 6 and train again, or a larger kernel.",
        _DOCUMENT,
        _dilations,
    ),
    Rule(
        "feature-maps",
        Severity.LIMIT,
        "Convolution and Pooling have less than 4096 feature maps, BatchNorm and Scale less than 2048",
        "The user guide limits what comes in and what goes out. BatchNorm and Scale that are worked into a convolution "
        "count with it.",
        "Make the layer narrower, or divide it into several with a Concat behind them.",
        _DOCUMENT,
        _feature_maps,
        "shapes",
    ),
    Rule(
        "deconvolution-read",
        Severity.LIMIT,
        "A Deconvolution is read by ArgMax",
        "The board's Deconvolution computes with 16 bits, does not bring its result back to 8 and is one job with the "
        "ArgMax behind it. What another layer would read of it is not known.",
        "End the network before the Deconvolution and upsample on the host, or put ArgMax behind it.",
        f"{_DOCUMENT}; xtract_opt.cpp",
        _deconvolution,
        "shapes",
    ),
    Rule(
        "box-count",
        Severity.LIMIT,
        "DetectionOutput keeps no more than 200 boxes",
        "The board's NMS has room for 200.",
        "Write keep_top_k: 200 or less.",
        _DOCUMENT,
        _boxes,
    ),
    Rule(
        "max-pooling-border",
        Severity.WRONG,
        "MAX pooling with pad or windows that hang over reads no numbers below 0",
        "The board counts everything outside the picture as 0. Caffe leaves it out: where all of a window's numbers "
        "are below 0, the board says 0. Behind a ReLU or before one the two agree.",
        "Put a ReLU before the layer, or choose kernel, stride and pad so that all windows lie inside. `xportdnn "
        "evaluate --arithmetic chaidnn` shows what it costs.",
        _POOL,
        _maximum,
        "shapes",
    ),
    Rule(
        "average-pooling-border",
        Severity.WRONG,
        "No window of an AVE pooling hangs over the padded picture",
        "The board always divides by the whole window, Caffe by the part of it that lies inside the padded picture: "
        "what the board computes along the last row and column is too small.",
        "Choose kernel, stride and pad so that the windows fill the picture: (size + 2 pad - kernel) must be a "
        "multiple of stride. `xportdnn evaluate --arithmetic chaidnn` shows what it costs.",
        f"{_POOL}; xi_dnn_conv_utils.hpp, loadsf_avg_pool",
        _average,
        "shapes",
    ),
)
